"""MONAI Label and MONAI Deploy get from a bundle what our own inference writes: a label map."""

import shutil
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.bundle.flatten import dump
from pipeline.inference import OperatingPoint, Postprocessing
from pipeline.inference.trained_model import save_model
from tests.bundles.consumers import monai_deploy, monai_label
from tests.bundles.kinds import PATCHES, new_bundle

KINDS = ("2D mask grey", "2D classes grey", "3D mask grey", "3D classes grey")
POINT = OperatingPoint(threshold=0.6, postprocessing=Postprocessing(min_pixels=4))


class Package:
    """A bundle whose inference.yaml is whole, as that of a packed one, with weights by chance."""

    def __init__(self, root: Path, kind: str) -> None:
        self.images, self.out = root / "images", root / "out"
        self.folder = new_bundle(root, kind)
        settings = {**PATCHES[int(kind[0])], "network_def#features": [2, 4, 4]}
        bundle = Bundle(self.folder, overrides=settings)
        whole = bundle.config("inferring")
        (self.folder / "configs" / "inference.yaml").write_bytes(dump(whole, "whole"))
        network = undecided(bundle.parser("inferring"))
        model = self.folder / "models" / "model.pt"
        name = self.folder.name
        save_model(model, network.state_dict(), bundle=name, operating_point=POINT)
        self.image = sorted(self.images.iterdir())[0]

    def call(self, *arguments: str | Path) -> None:
        assert cli.main([str(argument) for argument in arguments]) == 0

    def inferred(self) -> np.ndarray:
        """The mask that our own inference writes, in the numbers of the labels."""
        overrides = {"image_dir": str(self.images), "output_dir": str(self.out), "device": "cpu"}
        Bundle(self.folder, overrides=overrides).run("inferring")
        mask = pixels(self.out / "mask" / self.image.name)
        return np.where(mask == 255, 1, mask)  # pictures show the one label in white

    @cached_property
    def exported(self) -> Path:
        self.call(
            "export", self.folder, "--images", self.images, "--out", self.out / "exported",
            "--formats", "torchscript",
        )  # fmt: skip
        return self.out / "exported" / "model.ts"


@torch.no_grad()
def undecided(parser: ConfigParser) -> torch.nn.Module:
    """A network of weights by chance that finds each label somewhere, and not everywhere."""
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def")
    network.head[-1].weight.mul_(9)
    noise = torch.randn(1, network.in_channels, *[16] * network.spatial_dims)
    middle = network.eval()(noise).flatten(2).median(dim=2).values[0]
    network.head[-1].bias.sub_(middle)
    return network


def pixels(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        return np.asarray(Image.open(path))
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module", params=KINDS)
def package(request, tmp_path_factory, in_this_process):
    return Package(tmp_path_factory.mktemp("package"), request.param)


@pytest.fixture(scope="module")
def expected(package):
    mask = package.inferred()
    numbers = Bundle(package.folder).config("inferring")["labels"].values()
    assert set(np.unique(mask)) == {0, *numbers}
    return mask


def test_monai_label_shows_the_label_map(package, expected):
    segmented = monai_label(package.folder, package.image)
    assert segmented.numbers == Bundle(package.folder).config("inferring")["labels"]
    np.testing.assert_array_equal(segmented.label_map, expected)
    if expected.ndim == 3:
        np.testing.assert_allclose(segmented.affine, nib.load(package.image).affine)


@pytest.mark.filterwarnings("ignore")
def test_monai_deploy_gets_the_label_map_from_one_file(package, expected):
    image = pixels(package.image)
    affine = nib.load(package.image).affine if image.ndim == 3 else np.eye(4)
    program = package.exported
    package.folder.rename(package.folder.with_name("elsewhere"))
    try:
        segmented = monai_deploy(program, image, affine)
    finally:
        package.folder.with_name("elsewhere").rename(package.folder)
    np.testing.assert_array_equal(segmented.label_map, expected)
    assert segmented.numbers == Bundle(package.folder).config("inferring")["labels"]


@pytest.mark.filterwarnings("ignore")
def test_monai_label_takes_the_exported_network(package, expected):
    copied = package.folder / "models" / "model.ts"
    shutil.copyfile(package.exported, copied)
    segmented = monai_label(package.folder, package.image)
    copied.unlink()
    np.testing.assert_array_equal(segmented.label_map, expected)


@pytest.mark.filterwarnings("ignore")
def test_monais_own_export_is_the_same_network(package, tmp_path):
    configs, models = package.folder / "configs", package.folder / "models"
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(models / "model.pt"),
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.yaml"),
    )
    network = Bundle(package.folder).parser("inferring").get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(models / "model.pt", weights_only=True))
    dims = network.spatial_dims
    image = torch.rand(1, 1, *[19] * dims)
    with torch.no_grad():
        written = torch.jit.load(str(tmp_path / "model.ts"))(image)
        torch.testing.assert_close(written, network(image), rtol=1e-5, atol=1e-6)
