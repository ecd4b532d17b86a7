"""The per-image table: every case with its numbers, and the mean over cases."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from pipeline.evaluation.instances import CellsOf, instance_scores
from pipeline.evaluation.overlap import METRICS, count


class Case(NamedTuple):
    """One evaluated image.

    Attributes:
        name: of the image file, without its folder.
        image: ``(*spatial)``, the first channel as the network saw it.
        probability: of each label, ``(K, *spatial)`` in [0, 1].
        truth: ``(K, *spatial)``, non-zero is foreground.
        cells: ``(H, W)``, a number for each true cell, where they are told apart.
    """

    name: str
    image: torch.Tensor
    probability: torch.Tensor
    truth: torch.Tensor
    cells: torch.Tensor | None = None

    def true_cells(self) -> torch.Tensor:
        """Return the cells.

        Raises:
            ValueError: they are not told apart.
        """
        if self.cells is None:
            raise ValueError(
                f"{self.name}: no instance labels to compare cells with; find_cells: null "
                "compares pixels alone"
            )
        return self.cells

    def scores(
        self, threshold: float, find_cells: CellsOf | None = None, labels: Sequence[str] = ()
    ) -> dict[str, float]:
        """Return the metrics of the mask at a threshold, and of its cells where they are asked for.

        Args:
            threshold: at and above which a pixel is foreground.
            find_cells: finds the predicted cells; the case must have its true ones.
            labels: their names; of several, each has its metrics beside the means over them.
        """
        counts = [
            count(probability >= threshold, truth)
            for probability, truth in zip(self.probability, self.truth, strict=True)
        ]
        each = {name: list(map(metric, counts)) for name, metric in METRICS.items()}
        scores = {name: sum(values) / len(values) for name, values in each.items()}
        if len(counts) > 1:
            scores |= {
                f"{name}_{label}": value
                for name, values in each.items()
                for label, value in zip(labels, values, strict=True)
            }
        if find_cells is not None:
            predicted = find_cells(self.probability[0].numpy(), threshold)
            scores |= instance_scores(self.true_cells().numpy(), predicted)
        return scores


def table(
    cases: Sequence[Case],
    threshold: float,
    find_cells: CellsOf | None = None,
    labels: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return one row per case: its name and its scores."""
    return [{"image": case.name, **case.scores(threshold, find_cells, labels)} for case in cases]


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation (n - 1), lowest and highest of each metric over cases.

    Example:
        >>> rows = [{m: v for m in METRICS} for v in (0.5, 1.0)]
        >>> summary(rows)["iou"]
        {'mean': 0.75, 'sd': 0.3536, 'min': 0.5, 'max': 1.0, 'n': 2}
    """
    out = {}
    for name in [column for column in rows[0] if column != "image"]:
        values = np.array([row[name] for row in rows])
        deviation = values.std(ddof=1) if len(values) > 1 else 0.0
        out[name] = {
            "mean": round(float(values.mean()), 6),
            "sd": round(float(deviation), 4),
            "min": round(float(values.min()), 4),
            "max": round(float(values.max()), 4),
            "n": len(values),
        }
    return out


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as comma-separated text with a heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
