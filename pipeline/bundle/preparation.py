"""What every run does first: its errors get one line, its config is checked, its seeds are set."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import set_determinism

from pipeline.bundle.bundle import TRAIN
from pipeline.bundle.check import check_config
from pipeline.bundle.config_files import ConfigFiles
from pipeline.bundle.overrides import apply_overrides, read_typed_texts, typed_numbers
from pipeline.bundle.places import check_places
from pipeline.bundle.restore import restore
from pipeline.bundle.workflow import running_workflow, typed_call, typed_values
from pipeline.errors import one_line_errors
from pipeline.precision import chosen_precision
from pipeline.progress import flush_lines
from pipeline.quiet import ignore_foreign_warnings


def prepare(seed: Any = 0, threads: Any = None) -> None:
    """Check the running config, files, overlays and overrides alike; seed the generators.

    For the list ``initialize`` of a config. A training that is resumed gets the config that it was
    begun with, see :mod:`pipeline.bundle.restore`. Texts that were typed and that YAML reads as
    something else (``false``, ``null``) are replaced by what it reads, names that MONAI read as
    numbers (``1e5``) by what was typed.

    Args:
        seed: of every generator.
        threads: that torch computes with; None: as many as it chooses.

    Raises:
        ValueError: a key that nothing uses, naming the nearest one that something does; a run that
            the config does not have; a knob whose value is out of range; a folder of another
            training.
        OSError: a folder that the run writes to cannot be written.
    """
    one_line_errors()
    flush_lines()
    ignore_foreign_warnings()
    workflow = running_workflow()
    check_running(workflow)
    _choose_precision(workflow.parser)
    restore(workflow, *typed_values(workflow))
    set_determinism(seed=workflow.parser.get_parsed_content("seed", default=seed))
    threads = workflow.parser.get_parsed_content("threads", default=threads)
    if threads is not None:
        torch.set_num_threads(threads)
    check_places(workflow)


def check_running(workflow: ConfigWorkflow) -> None:
    """Check the config of a workflow as it was typed, before MONAI merged it.

    Raises:
        ValueError: see :func:`prepare`.
    """
    files, overrides = typed_call()
    values = read_typed_texts(overrides) | typed_numbers(overrides, sys.orig_argv)
    for key, value in values.items():
        workflow.parser[key] = value
    config = workflow.parser.config
    if files:
        config = ConfigFiles.load_config_files(files)
        apply_overrides(config, {**overrides, **values})
    base = Path(workflow.config_root_path) / TRAIN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = ConfigFiles.load_config_file(base) if base.is_file() else {}
        check_config(workflow.run_id, config, content)


def _choose_precision(parser: ConfigParser) -> None:
    """Put what ``auto`` means on this device in its place, so that a run records it.

    A training that is resumed then goes on in the precision that it was begun with.
    """
    asked = parser.get("precision")
    if asked is not None:
        parser["precision"] = chosen_precision(asked, parser.get_parsed_content("device"))
