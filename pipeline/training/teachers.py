"""The teachers of a distillation: trained models, and which of them saw a case in training."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from pipeline.bundle.received import contained
from pipeline.data.datalist import images_among, read_datalist
from pipeline.inference.trained_model import ModelRecord, TrainedModel, read_record
from pipeline.layout import on_device
from pipeline.precision import Precision
from pipeline.states import STATE, has_state, read_state
from pipeline.tracking.store import MODEL

SEEN_ALIKE = ("spatial_dims", "in_channels", "labels", "image_preprocessing")
"""Keys in which teachers and student agree, besides those that the preprocessing refers to."""
REFERENCE = re.compile(r"@(\w+)")


@dataclass(frozen=True)
class Teacher:
    """A trained model that a student learns from.

    Attributes:
        path: of its weights.
        network: in evaluation, without gradient.
        record: of the weights: what they were trained on, and their hash.
    """

    path: Path
    network: torch.nn.Module
    record: ModelRecord

    def was_trained_on(self, hashes: Sequence[str | None]) -> bool:
        """Say whether an image, given by its hashes of values and of bytes, was trained on."""
        return not set(self.record.trained_on).isdisjoint(hashes)


def read_teachers(
    folder: str | None,
    student: Mapping[str, Any],
    dataset_dir: str,
    device: torch.device | str,
    precision: Precision,
) -> list[Teacher]:
    """Read the teachers of a student, each with the network that its training executed.

    Args:
        folder: of a cross-validation, of one trained model, or of a folder for each of several.
        student: config of the student's training.
        dataset_dir: the student's cohort.
        device: where the teachers compute.
        precision: what they compute in.

    Raises:
        FileNotFoundError: no model there, or none with the state of its training.
        ValueError: no folder; a teacher that sees images otherwise than the student, or that
            trained on images of the student's validation or test split.
    """
    if folder is None:
        raise ValueError(
            "teachers: found null, expected the folder of a cross-validation or of trained models; "
            "--set teachers=DIR"
        )
    paths = model_paths(contained(folder, "--teachers"))
    teachers = []
    for path in paths:
        refuse_leak(path, read_record(path), dataset_dir)
        config = executed_config_of(path)
        refuse_unlike(path, config, student)
        network = ConfigParser(config).get_parsed_content("network_def")
        model = TrainedModel(path, network, device)
        for weight in network.parameters():
            weight.requires_grad_(False)
        teachers.append(Teacher(path, on_device(network, device, precision).eval(), model.record))
    return teachers


def model_paths(folder: Path) -> list[Path]:
    """Return the weights of the trained models in a folder, or in the folders in it.

    The ensemble of a cross-validation is left out: its members are among the others.

    Raises:
        FileNotFoundError: there are none.
    """
    if (folder / MODEL).is_file():
        return [folder / MODEL]
    paths = sorted(folder.glob(f"*/{MODEL}"))
    own = [path for path in paths if not read_record(path).members_sha256]
    if not own:
        raise FileNotFoundError(
            f"{folder}: no trained model in it; give --set teachers= the folder of a "
            "cross-validation, or one with a folder for each model"
        )
    return own


def executed_config_of(model: Path) -> dict[str, Any]:
    """Return the config that the training of a model executed, from the state beside it.

    Raises:
        FileNotFoundError: there is no such state.
    """
    folders = [model.parent / read_record(model).run_name, model.parent]
    state = next((folder for folder in folders if has_state(folder)), None)
    if state is None:
        raise FileNotFoundError(
            f"{model}: no state of its training ({STATE}) beside it, which tells its network; give "
            "the folder in which it was trained"
        )
    config: dict[str, Any] = json.loads(read_state(state / STATE)["run"]["config"])
    return config


def refuse_unlike(path: Path, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> None:
    """Refuse a teacher of other labels, channels, pixel size or preprocessing.

    Raises:
        ValueError: the first difference.
    """
    for key in _compared(student):
        of_teacher, of_student = _text(teacher.get(key)), _text(student.get(key))
        if of_teacher != of_student:
            raise ValueError(
                f"{path}: a teacher with {key} {of_teacher}, the student has {of_student}; distil "
                "from teachers of the same labels and preprocessing"
            )


def _compared(student: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys by which an image becomes what a network sees, and by which it answers."""
    yield from SEEN_ALIKE
    steps = json.dumps(student.get("image_preprocessing"), default=str)
    yield from dict.fromkeys(key for key in REFERENCE.findall(steps) if key not in SEEN_ALIKE)


def _text(value: Any) -> str:
    return json.dumps(value, default=str).replace("#", "::")


def refuse_leak(path: Path, record: ModelRecord, dataset_dir: str) -> None:
    """Refuse a teacher through which the student would learn from images that judge it.

    The teacher may have been chosen by the student's validation images, as the student is.

    Raises:
        ValueError: an image of the student's validation or test split that the teacher was trained
            on, or one of test that it was chosen by; or the record does not say.
    """
    if not record.trained_on:
        raise ValueError(f"{path}: its record does not say what it was trained on; train it again")
    seen = {
        "validation": record.trained_on,
        "test": [*record.trained_on, *record.chosen_on],
    }
    for split, hashes in seen.items():
        for name in images_among(dataset_dir, split, hashes):
            raise ValueError(
                f"{path}: a teacher that saw {name}, which is of the student's {split} split; "
                "cross-validate the training split alone: unet-school crossval --hold-out"
            )


def unseen_by(teachers: Sequence[Teacher], dataset_dir: str) -> dict[Path, list[int]]:
    """Return which teachers did not train on each image of the training split, by its path."""
    datalist = read_datalist(dataset_dir)
    return {
        (datalist.path.parent / entry.image).resolve(): [
            place
            for place, teacher in enumerate(teachers)
            if not teacher.was_trained_on([datalist.values_of(entry), entry.hashes.get("image")])
        ]
        for entry in datalist.listed("training")
    }
