"""A resumed training takes over what it was begun with.

The state of a training holds the config that it executed. Resuming takes that config as a whole;
what was typed may differ in :data:`CHANGEABLE` keys alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.knobs import knob_error
from pipeline.bundle.overrides import apply_overrides, split_key
from pipeline.bundle.places import run_kind
from pipeline.bundle.received import PLACES, contained
from pipeline.bundle.restarted import run_before_restart
from pipeline.bundle.workflow import RESTORED
from pipeline.errors import nearest
from pipeline.states import PREVIOUS_STATE, STATE, has_state, read_whole_state

CHANGEABLE = (
    "max_epochs", "patience", "threads", "device", "cache_rate", "dataset_dir", "models_dir",
    "tracking_dir",
)  # fmt: skip
"""Keys that a resumed training may change: its length, and where it computes and writes."""
OF_THE_CALL = ("resume", "_meta_")
"""Keys of the call itself."""
PARENT = "current_run::parent"
"""The run that the training belongs to, which may be another one when it is resumed."""
NAMES = ("run_name", "output_dir")
"""Keys that a resumed training has from its state, and from where that is now."""
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
    config |= _absolute_places(parser)
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
    path = Path(resume).absolute()
    if path.is_file() or (path.name == STATE and path.with_name(PREVIOUS_STATE).is_file()):
        return path
    for folder in (path, models.absolute() / resume):
        if has_state(folder):
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
        ValueError: a damaged state, one of another bundle, a typed value that differs from that
            of the run and may not change, or one of the run that this machine does not have.
    """
    parser = workflow.parser
    resume = parser.get_parsed_content("resume", default=None)
    if resume is None and run_kind(workflow) == "training":
        resume = _before_restart(parser)
    if resume is None:
        return
    state = find_state(str(resume), Path(parser.get_parsed_content("models_dir")))
    state, content = read_whole_state(contained(state, "--resume"))
    begun = _meaning(state, parser.config, _begun_config(state, content))
    typed = _typed_paths(workflow, files, overrides)
    now = {**parser.config, **_absolute_places(parser), **_typed_names(parser, typed)}
    changes = dict(_changes(state, begun, now, typed))
    _print_taken_over(begun, now, {*changes, *OF_THE_CALL, *NAMES})
    apply_overrides(begun, changes)
    _check_knobs(state, begun)
    RESTORED.add(workflow)
    parser.set({**begun, "_meta_": parser.config.get("_meta_", {}), "resume": str(state)})


def _before_restart(parser: ConfigParser) -> Path | None:
    """Return the folder of the run that torchrun starts again, and say so."""
    folder = run_before_restart(Path(parser.get_parsed_content("models_dir")))
    if folder is not None:
        print(f"started again by torchrun: {folder.name} goes on from its last state", flush=True)
    return folder


def _absolute_places(parser: ConfigParser) -> dict[str, str]:
    places = {key: parser.get_parsed_content(key, default=None) for key in PLACES}
    return {key: str(Path(place).resolve()) for key, place in places.items() if place is not None}


def _typed_names(parser: ConfigParser, typed: set[str]) -> dict[str, str]:
    names = {key: str(parser.get_parsed_content(key)) for key in NAMES if key in typed}
    if "output_dir" in names:
        names["output_dir"] = str(Path(names["output_dir"]).resolve())
    return names


def _typed_paths(
    workflow: ConfigWorkflow, files: Sequence[str], overrides: Mapping[str, Any]
) -> set[str]:
    """The keys that overlays and overrides set; of a workflow made by hand, those that differ."""
    if not files:
        return set(_keys_unlike_the_bundle(workflow))
    overlays = (ConfigFiles.load_config_file(path) for path in files[1:])
    keys = [*overrides, *(key.lstrip("+~") for overlay in overlays for key in overlay)]
    return {"::".join(split_key(key)) for key in keys}


def _keys_unlike_the_bundle(workflow: ConfigWorkflow) -> Iterator[str]:
    path = Path(workflow.config_root_path) / "train.yaml"
    if path.is_file():
        bundle = ConfigParser(ConfigFiles.load_config_file(path))
        bundle.resolve_macro_and_relative_ids()
        for key, value in workflow.parser.config.items():
            if bundle.config.get(key, ABSENT) != value:
                yield key


def _check_knobs(state: Path, config: Mapping[str, Any]) -> None:
    """Refuse what this machine does not have, as the device of another one."""
    for key, value in config.items():
        if error := knob_error(key, value):
            raise ValueError(f"{error}; {_run_of(state)} was begun with it, give another --{key}")


def _begun_config(state: Path, content: Mapping[str, Any]) -> dict[str, Any]:
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


def _changes(
    state: Path, begun: Mapping[str, Any], now: Mapping[str, Any], typed: set[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what may change, printing it; refuse what may not."""
    for path in sorted(typed):
        before, value = _at(begun, path), _at(now, path)
        if path in OF_THE_CALL or _equal(before, value):
            continue
        if path not in (*CHANGEABLE, PARENT):
            raise ValueError(
                f"{_shown(path)}: found {_short(value)}, {_run_of(state)} was begun with "
                f"{_short(before)}; leave it out, or begin a new training; a resumed one may "
                f"change {', '.join(CHANGEABLE)}"
            )
        if path != PARENT:
            print(f"resumed with {path} {_short(value)}, begun with {_short(before)}", flush=True)
        yield path, value


def _print_taken_over(begun: Mapping[str, Any], now: Mapping[str, Any], aside: set[str]) -> None:
    """Say what comes from the run and not from the bundle as it is now."""
    tops = {path.partition("::")[0] for path in aside}
    keys = [
        key
        for key in {**begun, **now}
        if key not in tops and not _equal(_at(begun, key), _at(now, key))
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


def _equal(before: Any, value: Any) -> bool:
    """Whether a value that was read from JSON is one of a config, or of what was typed."""
    return bool(before == value) or str(before) == str(value) or before == _from_json(value)


def _from_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _run_of(state: Path) -> str:
    return state.parent.name


def _shown(path: str) -> str:
    return path.replace("::", "#")


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = json.dumps(value, default=str)
    cut = MAX_VALUE_CHARACTERS
    return text if len(text) <= cut else f"{text[:cut]}…"
