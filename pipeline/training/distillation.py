"""Distillation: a network learns from the truth and from the probabilities of its teachers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer
from torch import Tensor

from pipeline.files import write_json
from pipeline.losses import soft_target_divergence
from pipeline.networks import logit_of_mean, most_refined
from pipeline.precision import FLOAT32, Precision
from pipeline.progress import count
from pipeline.tracking import Run
from pipeline.training.autocast import in_precision
from pipeline.training.plain_tensors import plain
from pipeline.training.teachers import read_teachers, unseen_by

TEACHERS = "teachers.json"
"""File of a training that names its teachers by the hashes of their weights."""
TAG_DIGITS = 12
"""Hexadecimal digits of a teacher's hash in the tag of its student."""
TeachersOf = Literal["unseen", "all"]
UNSEEN: TeachersOf = "unseen"
ALL: TeachersOf = "all"


class Distillation:
    """Add the teachers' probabilities to the loss of a training; for ``train#handlers``.

    The loss of a step becomes, with the share a and the temperature T (Hinton, Vinyals and Dean
    2015, https://arxiv.org/abs/1503.02531, section 2)::

        (1 - a) loss(network, truth) + a T^2 divergence(network, mean of the teachers)

    with :func:`pipeline.losses.soft_target_divergence`. The teachers see the patch that the network
    sees, after its augmentation. A network's most refined head learns from them; its other heads
    learn from the truth. A weight map weighs the truth alone. Validation has the loss of the truth.

    On a case that it trained on, a teacher repeats the truth. So a case is taught by the teachers
    that did not train on it, if there are any, and by all if there are none.

    Args:
        run: the training.
        teachers: folder of a cross-validation or of trained models, see
            :func:`pipeline.training.teachers.read_teachers`.
        precision: what the teachers compute in.
        share: a, of the teachers in the loss, in [0, 1].
        temperature: T, above 0.
        teachers_of: ``unseen``, as above; or ``all`` teachers for each case.

    Raises:
        FileNotFoundError: no teacher there.
        ValueError: a teacher of another kind, or one that saw what judges the student; a number out
            of its range.
    """

    def __init__(
        self,
        run: Run,
        teachers: str | None,
        precision: Precision = FLOAT32,
        share: float = 0.5,
        temperature: float = 1.0,
        teachers_of: TeachersOf = UNSEEN,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"teacher_share: found {share}, expected a number from 0 to 1, as 0.5")
        if not temperature > 0:
            raise ValueError(f"temperature: found {temperature}, expected a number above 0, as 1")
        if teachers_of not in (UNSEEN, ALL):
            raise ValueError(f"teachers_of: found {teachers_of!r}, expected {UNSEEN} or {ALL}")
        self.run, self.share, self.temperature = run, share, temperature
        config, cohort = run.workflow.parser.config, run.dataset_dir
        self.teachers = read_teachers(teachers, config, cohort, run.device, precision)
        hashes = [teacher.record.sha256[:TAG_DIGITS] for teacher in self.teachers]
        run.own_tags["distilled_from"] = ", ".join(hashes)  # the record of the model has it, too
        self.unseen = unseen_by(self.teachers, cohort) if teachers_of == UNSEEN else None
        self.inferer = in_precision(SimpleInferer(), precision, run.device)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self._begin)

    def _begin(self, engine: SupervisedTrainer) -> None:
        self._keep_names()
        of_truth = engine.loss_function

        def loss(prediction: Any, truth: Tensor, *weights: Tensor) -> Tensor:
            soft = self._divergence(engine.state.batch["image"], most_refined(prediction), truth)
            total: Tensor = (1 - self.share) * of_truth(prediction, truth, *weights) + soft
            return total

        engine.loss_function = loss

    @idist.one_rank_only()
    def _keep_names(self) -> None:
        """Keep which teachers these are, and refuse to resume with others."""
        hashes = [teacher.record.sha256 for teacher in self.teachers]
        path = self.run.folder / TEACHERS
        if path.is_file() and json.loads(path.read_text("utf-8")) != hashes:
            raise ValueError(
                f"{path}: the training was begun with other teachers than "
                f"{self.teachers[0].path.parent.parent} holds now; restore them, or begin anew"
            )
        write_json(path, hashes)
        print(self._line(), flush=True)

    def _line(self) -> str:
        line = f"distilling from {count(len(self.teachers), 'teacher')}, share {self.share:g}"
        if self.unseen is None:
            return f"{line}; each case is taught by all of them"
        out_of_fold = sum(bool(places) for places in self.unseen.values())
        return (
            f"{line}; {out_of_fold} of {count(len(self.unseen), 'training case')} taught by those "
            "that did not train on it, the others by all"
        )

    def _divergence(self, image: Tensor, logits: Tensor, truth: Tensor) -> Tensor:
        soft = self._soft_logits(image, logits)
        divergence = soft_target_divergence(logits, soft, truth, self.temperature)
        return self.share * self.temperature**2 * divergence

    @torch.no_grad()
    def _soft_logits(self, image: Tensor, logits: Tensor) -> Tensor:
        """Return the logits of the mean probability of each image's teachers."""
        chosen = self._teachers_of(image)
        device_image = plain(image).to(logits.device)
        answers: list[list[Tensor]] = [[] for _ in chosen]
        for place, teacher in enumerate(self.teachers):
            taught = [i for i, places in enumerate(chosen) if place in places]
            if not taught:
                continue
            output = most_refined(self.inferer(device_image[taught], teacher.network))
            if output.shape[1:] != logits.shape[1:]:
                raise ValueError(
                    f"{teacher.path}: a teacher with maps of {tuple(output.shape[1:])}, the "
                    f"student has {tuple(logits.shape[1:])}; distil from teachers with the same "
                    "heads and padding"
                )
            for i, answer in zip(taught, output, strict=True):
                answers[i].append(answer)
        return torch.stack([logit_of_mean(of_image, softmax=False) for of_image in answers])

    def _teachers_of(self, image: Tensor) -> Sequence[Sequence[int]]:
        """Return the places of the teachers of each image of a batch."""
        everyone = range(len(self.teachers))
        if self.unseen is None:
            return [everyone] * len(image)
        return [self.unseen_of(name) or everyone for name in _names(image)]

    def unseen_of(self, name: str) -> Sequence[int]:
        """Return the places of the teachers that did not train on an image.

        Raises:
            ValueError: an image that is not of the training split.
        """
        try:
            return (self.unseen or {})[Path(name).resolve()]
        except KeyError:
            raise ValueError(
                f"{name}: an image that the training split does not list, so that it is not known "
                f"which teachers trained on it; --set teachers_of={ALL}"
            ) from None


def _names(image: Tensor) -> list[str]:
    """Return the file of each image of a batch, which its metadata name."""
    names = image.meta.get("filename_or_obj") if isinstance(image, MetaTensor) else None
    if not isinstance(names, list) or len(names) != len(image):
        raise ValueError(
            "distillation: the images of a batch do not name their files, so that it is not known "
            f"which teachers trained on them; --set teachers_of={ALL}"
        )
    return [str(name) for name in names]
