"""A resumed training takes over what it was begun with.

The state of a training holds the config that it executed. Resuming takes that config as a whole;
what was typed may differ in :data:`CHANGEABLE` keys alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from pipeline.bundle.overrides import apply_overrides, nearest, split_key
from pipeline.states import PREVIOUS_STATE, STATE, read_state

CHANGEABLE = (
    "max_epochs", "patience", "threads", "device", "cache_rate", "dataset_dir", "models_dir",
    "tracking_dir",
)  # fmt: skip
"""Keys that a resumed training may change: its length, and where it computes and writes."""
OF_THE_CALL = ("resume", "_meta_", "current_run::parent")
"""Keys of the call itself: what it resumes, and on whose behalf."""
PLACES = ("dataset_dir", "models_dir", "tracking_dir", "init_from", "reference_dir")
MAX_VALUE_CHARACTERS = 60


class _Absent:
    """Stands for a key that a config does not have."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


def executed_config(workflow: ConfigWorkflow, name: str, folder: Path) -> str:
    """Return the config that a training executes as JSON, its places absolute.

    Args:
        workflow: of the training.
        name: of its run.
        folder: of its run.
    """
    parser = workflow.parser
    config = {key: value for key, value in parser.config.items() if key not in OF_THE_CALL}
    for key in PLACES:
        place = parser.get_parsed_content(key, default=None)
        if place is not None:
            config[key] = str(Path(place).resolve())
    config |= {"run_name": name, "output_dir": str(folder.resolve()), "resume": None}
    return json.dumps(config, default=str)


def find_state(resume: str, models: Path) -> Path:
    """Return the state of the run that is resumed.

    Args:
        resume: its state, its folder, or its name.
        models: folder of the bundle's runs.

    Raises:
        FileNotFoundError: there is none; names the nearest run.
    """
    path = Path(resume)
    if path.is_file() or path.with_name(PREVIOUS_STATE).is_file():
        return path
    for folder in (path, models / resume):
        if any((folder / name).is_file() for name in (STATE, PREVIOUS_STATE)):
            return folder / STATE
    names = sorted({state.parent.name for state in models.glob(f"*/{STATE}")})
    hint = nearest(resume, names) if names else "; it holds no run with a state"
    raise FileNotFoundError(f"--resume {resume}: no such run in {models}{hint}")


def restore(workflow: ConfigWorkflow, files: Sequence[str], overrides: Mapping[str, Any]) -> None:
    """Give a config that resumes a training what that training was begun with.

    Every difference that was typed, and every key that was taken over in place of an edited
    ``train.yaml``, is printed.

    Args:
        workflow: whose config is restored, before anything is made of it.
        files: configs that were typed; none: not known.
        overrides: that were typed.

    Raises:
        FileNotFoundError: no such run.
        ValueError: a damaged state, one of another bundle, or a typed value that differs from that
            of the run and may not change.
    """
    parser = workflow.parser
    resume = parser.get_parsed_content("resume", default=None)
    if resume is None:
        return
    state = find_state(str(resume), Path(parser.get_parsed_content("models_dir")))
    begun = _begun_config(state)
    own = _meaning(state, parser.config, begun)
    base = _base(workflow, files)
    typed = {*_override_paths(overrides), *_keys_unlike(base, parser.config)}
    changes = dict(_changes(state, own, parser.config, typed))
    _print_taken_over(own, parser.config, {*changes, *typed, *OF_THE_CALL})
    apply_overrides(own, changes)
    parser.set({**own, "_meta_": parser.config.get("_meta_", {}), "resume": str(state)})


def _begun_config(state: Path) -> dict[str, Any]:
    content = read_state(state)
    text = content.get("run", {}).get("config")
    if text is None:
        raise ValueError(
            f"{state}: does not say what the training was begun with; it is of an older version, "
            "begin a new training"
        )
    config: dict[str, Any] = json.loads(text)
    return config


def _meaning(state: Path, now: Mapping[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the run where its folder is now."""
    if begun.get("bundle") != now.get("bundle"):
        raise ValueError(
            f"{state}: a training of {begun.get('bundle')}, not of {now.get('bundle')}; resume it "
            "with its own bundle"
        )
    own = dict(begun)
    folder = state.resolve().parent
    if str(folder) != begun["output_dir"]:  # it was moved
        own["output_dir"] = str(folder)
        if Path(begun["output_dir"]).parent == Path(begun["models_dir"]):
            own["models_dir"] = str(folder.parent)
    return own


def _base(workflow: ConfigWorkflow, files: Sequence[str]) -> Mapping[str, Any]:
    """The bundle's first config, over which others are laid."""
    first = Path(files[0]) if files else Path(workflow.config_root_path) / "train.yaml"
    return ConfigParser.load_config_file(first) if first.is_file() else {}


def _override_paths(overrides: Mapping[str, Any]) -> Iterator[str]:
    return ("::".join(split_key(key)) for key in overrides)


def _keys_unlike(base: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """The keys that something typed gave another value than the first config has."""
    return (key for key, value in config.items() if base and base.get(key, ABSENT) != value)


def _changes(
    state: Path, begun: Mapping[str, Any], now: Mapping[str, Any], typed: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what may change, printing it; refuse what may not."""
    for path in sorted(typed):
        top = path.partition("::")[0]
        before, value = _at(begun, path), _at(now, path)
        if path in OF_THE_CALL or top in OF_THE_CALL or _equal(top, before, value):
            continue
        name = path.replace("::", "#")
        if path not in CHANGEABLE:
            raise ValueError(
                f"{name}: found {_short(value)}, {state.parent.name} was begun with "
                f"{_short(before)}; leave it out, or begin a new training; a resumed one may "
                f"change {', '.join(CHANGEABLE)}"
            )
        print(f"resumed with {name} {_short(value)}, begun with {_short(before)}", flush=True)
        yield path, value


def _print_taken_over(begun: Mapping[str, Any], now: Mapping[str, Any], aside: set[str]) -> None:
    """Say what comes from the run and not from the bundle as it is now."""
    tops = {path.partition("::")[0] for path in aside} | {"run_name", "output_dir"}
    keys = [
        key
        for key in {**begun, **now}
        if key not in tops and key not in PLACES and not _equal(key, _at(begun, key), _at(now, key))
    ]
    if keys:
        print(f"as the training was begun: {', '.join(sorted(keys))}", flush=True)


def _at(config: Any, path: str) -> Any:
    for part in path.split("::"):
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif isinstance(config, list) and part.isdigit() and int(part) < len(config):
            config = config[int(part)]
        else:
            return ABSENT
    return config


def _equal(key: str, before: Any, value: Any) -> bool:
    if before == value or str(before) == str(value):
        return True
    places = isinstance(before, str) and isinstance(value, (str, Path))
    is_place = key in (*PLACES, "output_dir") and places and str(value)[:1] not in "$@%"
    return is_place and Path(before).resolve() == Path(value).resolve()


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, default=str)
    cut = MAX_VALUE_CHARACTERS
    return text if len(text) <= cut else f"{text[:cut]}…"
