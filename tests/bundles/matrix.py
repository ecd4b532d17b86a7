"""One cell of the matrix of kinds: its bundle, and what each command makes of it, made once."""

import json
from functools import cached_property
from pathlib import Path

from pipeline import cli
from tests.bundles.kinds import new_bundle

SHORT = ["steps_per_epoch=1", "batch_size=2", "val_interval=1", "threads=1", "cache_rate=0.0"]
SMALL = {
    2: ["network_def#features=[2,2]", "patch=[16,16]", "window=[32,32]"],
    3: ["network_def#features=[2,2]", "patch=[16,16,16]", "window=[16,16,16]"],
}


class Cell:
    """A kind of bundle on its way from images to another hospital.

    Each property is made by the command of its name, after those that it needs.

    Args:
        root: folder for all of it.
        kind: ``3D classes grey``, one of :data:`tests.bundles.kinds.KINDS`.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind = root, kind
        dims, self.labels, self.content = kind.split()
        self.dims = int(dims[0])
        self.images = root / "images"
        self.tracking = ["--tracking", str(root / "mlruns")]
        self.settings = ["--set", *SHORT, *SMALL[self.dims]]

    @property
    def formats(self) -> list[str]:
        """Formats to export: the network of instances is that of a mask, whose ONNX is tested.

        ONNX is made of the graph of ``torch_export``, whatever the channels of the image are.
        """
        onnx = self.labels != "instances" and self.content == "grey"
        return ["torchscript", "torch_export", *(["onnx"] if onnx else [])]

    def call(self, *arguments: str | Path) -> None:
        assert cli.main([str(argument) for argument in arguments]) == 0, arguments

    @cached_property
    def bundle(self) -> Path:
        bundle = new_bundle(self.root, self.kind)
        licence = bundle / "docs" / "data_license.txt"
        licence.write_text("Made images, free of any right.\n")
        return bundle

    @cached_property
    def trained(self) -> Path:
        """The folder of the run: one epoch, and a second one after an interruption."""
        run = self.bundle / "models" / "first"
        train = ["train", self.bundle, *self.tracking]
        more = [*self.settings, "run_name=first"]
        self.call(*train, *more, "max_epochs=1")
        self.call(*train, "--resume", run / "last.pt", *more, "max_epochs=2")
        return run

    @cached_property
    def evaluated(self) -> Path:
        assert self.trained
        out = self.root / "evaluation"
        evaluate = ["evaluate", self.bundle, *self.tracking, "--out", out]
        # of the few patients of a cell hardly anything can be promised
        self.call(*evaluate, *self.settings, "run_name=evaluation", "outer_missed=0.9")
        return out

    @cached_property
    def explained(self) -> Path:
        assert self.evaluated
        out = self.root / "explanation"
        quick = ["case_settings#occlusion#size=12", "latent_settings#clusters=2"]
        explain = ["explain", self.bundle, *self.tracking, "--out", out]
        self.call(*explain, *self.settings, *quick, "run_name=explanation")
        return out

    @cached_property
    def cross_validated(self) -> Path:
        out = self.root / "crossval"
        crossval = ["crossval", self.bundle, *self.tracking, "--folds", 3, "--out", out]
        self.call(*crossval, *self.settings, "max_epochs=1")
        return out

    @cached_property
    def searched(self) -> Path:
        space, out = self.root / "space.yaml", self.root / "searched"
        space.write_text("learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n")
        search = ["search", self.bundle, *self.tracking, "--space", space, "--out", out]
        self.call(*search, "--trials", 1, *self.settings, "max_epochs=1")
        return out / "best.yaml"

    @cached_property
    def inferred(self) -> Path:
        assert self.evaluated
        return self.infer(self.bundle, "inferred")

    @cached_property
    def package(self) -> Path:
        assert self.evaluated
        package, keys = self.root / "package.zip", self.root / "keys"
        # by the name of the training: its evaluation and its cohort are found
        self.call("pack", self.bundle, *self.tracking, "--run", "first", "--out", package)
        self.call("key", "new", "--out", keys)
        self.call("sign", package, "--key", keys / "private.pem")
        return package

    @cached_property
    def received(self) -> Path:
        received = self.root / "received" / self.bundle.name
        key = self.root / "keys" / "public.pem"
        self.call("receive", self.package, "--key", key, "--out", received)
        return received

    @cached_property
    def exported(self) -> Path:
        out = self.root / "exported"
        export = ["export", self.received, "--images", self.images, "--out", out]
        self.call(*export, "--formats", *self.formats)
        return out

    @cached_property
    def inferred_by_receiver(self) -> Path:
        return self.infer(self.received, "inferred_by_receiver")

    def infer(self, bundle: Path, name: str) -> Path:
        out = self.root / name
        settings = self.settings if bundle == self.bundle else []
        images = ["--images", self.images, "--out", out, "--probabilities"]
        self.call("infer", bundle, *images, *settings)
        return out

    def protocol(self) -> str:
        return self.package.with_name("package.zip.acceptance.md").read_text("utf-8")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))
