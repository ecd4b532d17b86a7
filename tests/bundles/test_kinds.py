"""Every overlay of a network, and the recipe, on every kind of bundle."""

from pathlib import Path

import pytest

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.bundle.bundle import overlay_names
from pipeline.errors import error_line
from tests.bundles.kinds import KINDS, PATCHES, SMALL, new_bundle

FIVE_LEVELS = {"network_def#features": [2, 2, 2, 2, 2]}
OWN = {
    "unet3plus": FIVE_LEVELS | {"network_def#skip_channels": 2},
    "unetpp_deep_supervision": {"network_def#features": [2, 2, 2, 2, 2]},
    "recipe/strong": {"network_def#features": [2, 2, 2, 2]},
}
OF_INSTANCES = ("heads/distance",)
OF_MASKS = ("segments/watershed",)
OVERLAYS = [
    name for name in overlay_names() if not name.startswith(("recipe/", "pretraining/"))
] + ["recipe/strong"]


@pytest.fixture(scope="module", params=KINDS)
def planned(request, tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("kind")
    bundle = new_bundle(root, request.param)
    places = {"models_dir": str(root / "models"), "tracking_dir": str(root / "mlruns")}
    return bundle, {**places, **SMALL, **PATCHES[int(request.param[0])]}


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_network_trains_on_every_kind(planned, overlay, tmp_path):
    bundle, settings = planned
    own = {**settings, "models_dir": str(tmp_path / "models"), **OWN.get(overlay, {})}
    if overlay in OF_INSTANCES and "instances" not in bundle.name:
        with pytest.raises(ValueError, match="is an overlay for another kind of bundle"):
            Bundle(bundle, [overlay], own).run("training")
        return
    if overlay in OF_MASKS and "mask" not in bundle.name:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - MONAI wraps what its runs raise
            Bundle(bundle, [overlay], own).run("training")
        reason = "numbered instances" if "instances" in bundle.name else "expected one to number"
        assert reason in error_line(refused.value)
        return
    Bundle(bundle, [overlay], own).run("training")
    assert (tmp_path / "models" / "model.pt").is_file()


def pretrain_then_train(planned, overlays, root):
    """Pretrain on the images that the cohort was made of, and begin a training with it."""
    bundle, settings = planned
    own = {**settings, "models_dir": str(root / "models")}
    for overlay in overlays:
        own |= OWN.get(overlay, {})
    typed = [f"{key}={value}" for key, value in own.items()]
    network = ["--with", *overlays] if overlays else []
    images = ["--images", str(bundle.parent / "images")]
    assert cli.main(["pretrain", str(bundle), *images, *network, "--set", *typed]) == 0
    begin = {"init_from": str(root / "models" / "pretrained" / "model.pt")}
    Bundle(bundle, overlays, {**own, **begin}).run("training")
    assert (root / "models" / "model.pt").is_file()


@pytest.mark.slow
def test_every_kind_is_pretrained(planned, tmp_path, capsys):
    pretrain_then_train(planned, [], tmp_path)
    said = capsys.readouterr().out
    assert "left out: 1 image of the test split" in said
    assert "left out: 1 image of the validation split" in said


@pytest.mark.slow
@pytest.mark.parametrize("planned", ["2D instances channels", "3D instances grey"], indirect=True)
@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name not in OF_MASKS])
def test_every_network_is_pretrained(planned, overlay, tmp_path):
    pretrain_then_train(planned, [overlay], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planned", "overlays"),
    [
        ("2D mask colour", ["unetpp_deep_supervision"]),
        ("2D classes channels", ["unet"]),
        ("2D instances grey", ["unet", "heads/distance"]),
        ("3D mask channels", ["unet3plus"]),
        ("3D classes grey", []),
    ],
    indirect=["planned"],
)
def test_every_kind_is_distilled(planned, overlays, tmp_path, capsys):
    bundle, settings = planned
    for overlay in overlays:
        settings = settings | OWN.get(overlay, {})
    teacher = settings | {"models_dir": str(tmp_path / "teacher")}
    Bundle(bundle, overlays, teacher).run("training")
    student = settings | {"models_dir": str(tmp_path / "models"), "teachers": teacher["models_dir"]}
    Bundle(bundle, [*overlays, "recipe/distill"], student).run("training")
    assert "distilling from 1 teacher" in capsys.readouterr().out
    assert (tmp_path / "models" / "model.pt").is_file()
