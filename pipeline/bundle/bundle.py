"""A bundle: its folder, overlays and overrides. It alone knows which configs make a run."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from pipeline.bundle.check import check_config
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.overrides import apply_overrides, split_key
from pipeline.bundle.workflow import BundleWorkflow
from pipeline.children import run_child
from pipeline.errors import nearest
from pipeline.quiet import ignore_foreign_warnings

TRAIN = "train.yaml"
OVERLAYS = {
    "training": None,
    "evaluating": "evaluate.yaml",
    "inferring": "inference.yaml",
    "explaining": "explain.yaml",
}
"""The config that each run lays over ``train.yaml``."""
EXPERIMENTS = "experiments"


class Bundle:
    """A bundle's folder with the overlays and overrides of a run.

    Configs are merged and checked here before MONAI merges them, so that a misspelt key is seen as
    it was typed.

    Args:
        folder: of the bundle, with ``configs/train.yaml``.
        overlays: laid over ``train.yaml`` in order: a file, the name of one in
            ``configs/experiments``, or of one that fits every bundle (``unetpp``).
        overrides: ``network_def#dropout`` to value.

    Raises:
        FileNotFoundError: no such bundle or overlay.

    Example:
        >>> from pipeline.bundle.bundle import overlay_names
        >>> "unetpp" in overlay_names()
        True
    """

    def __init__(
        self,
        folder: Path | str,
        overlays: Sequence[Path | str] = (),
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.configs = self.folder / "configs"
        if not (self.configs / TRAIN).is_file():
            raise FileNotFoundError(
                f"{self.configs / TRAIN}: no such file; give the folder of a bundle, as "
                "bundles/membranes"
            )
        self.overlays = [self._overlay(overlay) for overlay in overlays]
        self.overrides = dict(overrides or {})

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    def recorded_name(self) -> str:
        """Return the name that its runs have in MLflow, whatever its folder is called."""
        return str(self.config("training")["bundle"])

    def is_packed(self) -> bool:
        """Whether it was packed, so that its configs are whole and its source lies beside them."""
        return (self.folder / "pipeline").is_dir()

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Bundle":
        """Return the same bundle with further overrides."""
        return Bundle(self.folder, self.overlays, {**self.overrides, **overrides})

    def with_places(self, places: Mapping[str, Any]) -> "Bundle":
        """Return the same bundle with overrides that a command decides, and nobody else.

        Raises:
            ValueError: one of them is set already.
        """
        for key in places:
            if key in self.overrides:
                raise ValueError(f"--set {key}: the command itself decides it; leave it out")
        return self.with_overrides(places)

    def for_training(self) -> "Bundle":
        """Return the same bundle without the overrides that only an evaluation knows.

        Commands that train and evaluate take settings of both.

        Raises:
            ValueError: a key that neither knows.
        """
        self.check("evaluating")
        keys = ConfigFiles.load_config_files([str(path) for path in self.files("training")])
        own = {key: value for key, value in self.overrides.items() if split_key(key)[0] in keys}
        return Bundle(self.folder, self.overlays, own)

    def with_overlay(self, overlay: Path | str) -> "Bundle":
        """Return the same bundle with a further overlay."""
        return Bundle(self.folder, [*self.overlays, overlay], self.overrides)

    def tracking_dir(self) -> Path:
        """Return the folder of the tracking store that its runs use."""
        return self._path("training", "tracking_dir")

    def model_path(self) -> Path:
        """Return where the weights are that its inference uses."""
        return self._path("inferring", "model")

    def _path(self, run: str, key: str) -> Path:
        parser = self.parser(run)
        parser["bundle_root"] = str(self.folder.resolve())
        return Path(parser.get_parsed_content(key))

    def files(self, run: str, *further: Path) -> list[Path]:
        """Return the configs of a run, in the order in which they are laid over each other.

        In a packed bundle each config is whole and stands alone.

        Args:
            run: ``training``, ``evaluating``, ``inferring`` or ``explaining``.
            further: overlays on the run's own config.

        Raises:
            FileNotFoundError: the bundle lacks the run's config, or a further one is absent.
            ValueError: an unknown run, or overlays on a packed bundle's whole config.
        """
        if run not in OVERLAYS:
            raise ValueError(f"{run}: no such run{nearest(run, OVERLAYS)}")
        own = OVERLAYS[run]
        paths = [self.configs / TRAIN, *self.overlays, *([self.configs / own] if own else [])]
        for path in (*paths, *further):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such config; every bundle has {path.name}")
        if own and "bundle_root" in ConfigFiles.load_config_file(self.configs / own):
            if self.overlays:
                raise ValueError(f"{self.configs / own}: is whole; it takes no overlay")
            paths = [self.configs / own]
        return [*paths, *further]

    def config(self, run: str, *further: Path) -> dict[str, Any]:
        """Return the merged config of a run, overrides included, macros unresolved.

        Raises:
            ValueError: an override whose parent is not in the config.
        """
        paths = [str(path) for path in self.files(run, *further)]
        config: dict[str, Any] = ConfigFiles.load_config_files(paths)
        apply_overrides(config, self.overrides)
        return config

    def check(self, run: str, *further: Path) -> None:
        """Refuse misspelt keys, and values out of range.

        Raises:
            ValueError: the first of them, in one line.
        """
        base = ConfigFiles.load_config_file(self.configs / TRAIN)
        check_config(run, self.config(run, *further), base)

    def parser(self, run: str, *further: Path) -> ConfigParser:
        """Return MONAI's parser of the merged config."""
        return ConfigParser(self.config(run, *further))

    def arguments(self, run: str, *further: Path) -> list[str]:
        """Return the arguments of ``python -m monai.bundle`` for a run."""
        return monai_arguments(
            run, [str(path) for path in self.files(run, *further)], self.overrides
        )

    def command(self, run: str, *further: Path) -> str:
        """Return the line that a person types to do the same."""
        return monai_command(self.arguments(run, *further))

    def workflow(self, run: str, *further: Path) -> BundleWorkflow:
        """Return MONAI's workflow of a run in this process, checked and not yet initialised."""
        self.check(run, *further)
        ignore_foreign_warnings()
        paths = [str(path) for path in self.files(run, *further)]
        kind = "infer" if run == "inferring" else "train"
        return BundleWorkflow(paths, self.overrides, run_id=run, workflow_type=kind)

    def run(self, run: str, *further: Path) -> None:
        """Do a run in this process."""
        workflow = self.workflow(run, *further)
        workflow.initialize()
        workflow.run()
        workflow.finalize()

    def start(self, run: str, *further: Path) -> None:
        """Do a run in a process of its own, to its end.

        An interruption of this process interrupts the run, which then ends its records.

        Raises:
            ValueError: it failed, its own message stands above; or the check refuses it.
        """
        self.check(run, *further)
        absolute = Bundle(
            self.folder.resolve(), [p.resolve() for p in self.overlays], self.overrides
        )
        module = ["-m", "pipeline.bundle.start"]
        arguments = absolute.arguments(run, *(path.resolve() for path in further))
        source = os.pathsep.join([str(absolute.folder), os.environ.get("PYTHONPATH", "")])
        # a packed bundle brings the source that it runs with, and stays as it was signed
        environment = (
            {"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"} if self.is_packed() else {}
        )
        if run_child([sys.executable, *module, *arguments], environment):
            where = self.overrides.get("models_dir", self.configs)
            raise ValueError(f"{where}: {run} stopped; mend what it says above, and run this again")

    def _overlay(self, overlay: Path | str) -> Path:
        path = Path(overlay)
        if path.suffix in (".yaml", ".yml", ".json"):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such overlay")
            return path
        for folder in (self.configs / EXPERIMENTS, shared_overlays()):
            if (folder / f"{overlay}.yaml").is_file():
                return folder / f"{overlay}.yaml"
        names = overlay_names(self.configs / EXPERIMENTS)
        raise FileNotFoundError(
            f"{overlay}: {self.name} has no such overlay{nearest(str(overlay), names)}"
        )


def monai_arguments(run: str, files: Sequence[str], overrides: Mapping[str, Any]) -> list[str]:
    """Return the arguments of ``python -m monai.bundle`` for a run of configs.

    Example:
        >>> monai_arguments("training", ["a.yaml", "b.yaml"], {"seed": 1})
        ['run', 'training', '--config_file', "['a.yaml','b.yaml']", '--seed', '1']
    """
    file = files[0] if len(files) == 1 else "[" + ",".join(f"'{path}'" for path in files) + "]"
    words = [part for key, value in overrides.items() for part in (f"--{key}", _typed(value))]
    return ["run", run, "--config_file", file, *words]


def monai_command(arguments: Sequence[str]) -> str:
    """Return the line that a person types, of the arguments of ``python -m monai.bundle``."""
    return " ".join(map(_quoted, ["python", "-m", "monai.bundle", *arguments]))


def shared_overlays() -> Path:
    """Return the folder of the overlays that fit every bundle."""
    return Path(str(files("pipeline.bundle"))) / "overlays"


def overlay_names(*folders: Path) -> list[str]:
    """Return the names of the overlays that fit every bundle, and of those in further folders."""
    return sorted(
        {
            path.relative_to(folder).with_suffix("").as_posix()
            for folder in (shared_overlays(), *folders)
            for path in folder.glob("**/*.yaml")
        }
    )


def _typed(value: Any) -> str:
    """A value as the command line of MONAI reads it."""
    if isinstance(value, Path):
        return str(value.resolve())
    return value if isinstance(value, str) else json.dumps(value) if value is not None else "None"


def _quoted(word: str) -> str:
    """A word as a person quotes it in a shell."""
    easy = "'" in word and not set(word) & set('"$`\\!')
    return f'"{word}"' if easy else shlex.quote(word)
