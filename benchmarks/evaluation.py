"""Scores, post-processing and pictures of an evaluation against the fastest library for each.

Ours and the peer take turns on the same input. The ratio of their times on the processor is taken
round by round: below 1 ours is faster. A peer that is not installed is named and left out; they
come with ``pip install connected-components-3d edt fill-voids surface-distance``::

    python benchmarks/evaluation.py [--rounds 5] [--small] [--labels slice.png]

The metrics of the ISBI challenge, which no library has, stand beside one distance transform of the
same image.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from markdown import print_header, print_row
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.ndimage import label as connected_components
from scipy.stats import bootstrap
from skimage.metrics import contingency_table as contingency_table_of_scikit_image
from skimage.segmentation import mark_boundaries, watershed
from turns import ratio, take_turns

from pipeline.data.phantom import cells
from pipeline.data.readers import read_pixels
from pipeline.evaluation.overlays import panels
from pipeline.inference.postprocessing import Postprocessing
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.metrics.contingency import contingency_table
from pipeline.metrics.distance import surface_distance
from pipeline.metrics.isbi import IsbiCurve
from pipeline.metrics.statistics import RESAMPLES, bootstrap_interval

SPACING = (0.8, 0.8, 2.5)
SMALL_SHAPE, LARGE_SHAPE = (128, 128, 64), (256, 256, 128)
STRUCTURES = 6
SIDE = 1024
PATIENTS = 113
Call = Callable[[], object]


class Piece(NamedTuple):
    """What is measured: ours, and the peer's call where it is installed."""

    name: str
    peer: str
    ours: Call
    theirs: Call | None


def volume(shape: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a map of probability with specks, and its truth: a few ellipsoids."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij", sparse=True)
    truth = np.zeros(shape, bool)
    for _ in range(STRUCTURES):
        centre, radius = rng.uniform(-0.6, 0.6, 3), rng.uniform(0.15, 0.4, 3)
        squares = [((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radius, strict=True)]
        truth |= squares[0] + squares[1] + squares[2] < 1
    noise = gaussian_filter(rng.normal(size=shape), 2)
    soft = gaussian_filter(truth.astype(np.float32), 2) + 0.15 * noise / noise.std()
    return np.clip(soft, 0, 1).astype(np.float32), truth


def peer(module: str, call: Call) -> Call | None:
    """Return the call of a peer, or None where it is not installed."""
    return call if find_spec(module) else None


def distances_by_edt(
    first: NDArray[np.bool_], second: NDArray[np.bool_], spacing: Sequence[float]
) -> object:
    """Return the 95th percentiles of the distances of two masks' surfaces to each other."""
    import edt

    surfaces = [mask & ~binary_erosion(mask) for mask in (first, second)]
    maps = [edt.edt(~surface, anisotropy=spacing) for surface in surfaces]
    return np.percentile(maps[1][surfaces[0]], 95), np.percentile(maps[0][surfaces[1]], 95)


def of_volumes(shape: Sequence[int]) -> Iterator[Piece]:
    """Yield what is computed of volumes."""
    probability, truth = volume(shape)
    mask, size = probability >= 0.5, " x ".join(map(str, shape))

    def distances_by_surface_distance() -> object:
        import surface_distance as peer_module

        distances = peer_module.compute_surface_distances(truth, mask, SPACING)
        return peer_module.compute_robust_hausdorff(distances, 95)

    def largest_by_cc3d() -> object:
        import cc3d

        return cc3d.largest_k(probability >= 0.5, k=1, connectivity=6)

    def without_small_by_cc3d() -> object:
        import cc3d

        return cc3d.dust(probability >= 0.5, threshold=50, connectivity=6)

    def filled_by_fill_voids() -> object:
        import fill_voids

        return fill_voids.fill(probability >= 0.5)

    def distances() -> object:
        return surface_distance(mask, truth, SPACING)

    yield Piece(
        f"surface distances, {size}", "edt", distances,
        peer("edt", lambda: distances_by_edt(mask, truth, SPACING)),
    )  # fmt: skip
    yield Piece(
        f"surface distances, {size}", "surface-distance", distances,
        peer("surface_distance", distances_by_surface_distance),
    )  # fmt: skip
    yield Piece(
        f"largest component, {size}", "cc3d",
        lambda: Postprocessing(largest_only=True)(probability, 0.5),
        peer("cc3d", largest_by_cc3d),
    )  # fmt: skip
    yield Piece(
        f"without small components, {size}", "cc3d",
        lambda: Postprocessing(min_pixels=50)(probability, 0.5),
        peer("cc3d", without_small_by_cc3d),
    )  # fmt: skip
    yield Piece(
        f"holes filled, {size}", "fill_voids",
        lambda: Postprocessing(fill_holes=True)(probability, 0.5),
        peer("fill_voids", filled_by_fill_voids),
    )  # fmt: skip


def of_cells() -> Iterator[Piece]:
    """Yield what is computed of an image of cells."""
    rng = np.random.default_rng(0)
    image, truth = cells(SIDE, rng)
    noise = gaussian_filter(rng.normal(size=truth.shape), 1.5)
    soft = gaussian_filter((truth > 0).astype(np.float32), 1.5) + 0.175 * noise
    probability = np.clip(soft, 0, 1).astype(np.float32)
    separate, threshold = WatershedInstances(), 0.8
    found = separate(probability, threshold)
    name = f"{SIDE} x {SIDE}, {found.max()} cells"

    def whole_watershed() -> object:
        seeds = connected_components(probability >= threshold)[0]
        return watershed(-probability, seeds, mask=probability >= separate.floor)

    batch = [torch.from_numpy(np.asarray(one, np.float32)) for one in (probability, truth > 0)]
    grey = torch.from_numpy(np.asarray(image, np.float32).reshape(SIDE, SIDE, -1)[..., 0])
    masks = torch.from_numpy(found > 0)[None]
    yield Piece(
        f"watershed, {name}", "scikit-image", lambda: separate(probability, threshold),
        whole_watershed,
    )  # fmt: skip
    yield Piece(
        f"surface distances, {name}", "edt",
        lambda: surface_distance(found > 0, truth > 0),
        peer("edt", lambda: distances_by_edt(found > 0, truth > 0, (1.0, 1.0))),
    )  # fmt: skip
    yield Piece(
        f"contingency table, {name}", "scikit-image",
        lambda: contingency_table(truth, found),
        lambda: contingency_table_of_scikit_image(truth, found),
    )  # fmt: skip
    yield Piece(
        f"pictures of a report, {name}", "scikit-image",
        lambda: panels(grey, batch[0][None], batch[1][None], masks),
        lambda: [mark_boundaries(grey.numpy(), one) for one in (found, truth)],
    )  # fmt: skip


def of_scores() -> Iterator[Piece]:
    """Yield the interval of a mean."""
    values = np.random.default_rng(0).normal(0.9, 0.05, PATIENTS)
    yield Piece(
        f"bootstrap, {RESAMPLES} over {PATIENTS}", "scipy.stats",
        lambda: bootstrap_interval(values),
        lambda: bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="percentile"),
    )  # fmt: skip


def of_slice(path: Path | None) -> Iterator[Piece]:
    """Yield the metrics of the ISBI challenge; without a label, of made cells."""
    made = cells(512, np.random.default_rng(0))[1]
    truth = (read_pixels(path, label=True).array if path else made) > 0
    noise = gaussian_filter(np.random.default_rng(0).normal(size=truth.shape), 1.5)
    probability = np.clip(gaussian_filter(truth.astype(float), 1.5) + 1.05 * noise, 0, 1)
    yield Piece(
        f"ISBI metrics, {path.name if path else 'cells'}, 11 thresholds", "one distance transform",
        lambda: IsbiCurve().add(probability, truth), lambda: distance_transform_edt(truth),
    )  # fmt: skip


def seconds(call: Call) -> float:
    """Return the time that a call takes of the processor."""
    began = time.process_time()
    call()
    return time.process_time() - began


def show(piece: Piece, rounds: int) -> None:
    """Measure a piece and its peer in turns, after one call of each to warm up."""
    calls = {"ours": piece.ours} | ({"theirs": piece.theirs} if piece.theirs else {})
    for call in calls.values():
        call()
    times = take_turns({who: partial(seconds, call) for who, call in calls.items()}, rounds)
    against = ratio(times["ours"], times["theirs"]) if piece.theirs else "not measured"
    print_row(piece.name, 1000 * statistics.median(times["ours"]), piece.peer, against)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="without the large volume")
    parser.add_argument("--labels", type=Path, help="a label of the ISBI challenge")
    options = parser.parse_args()
    print_header("piece", "ours, ms", "peer", "ratio")
    pieces = [of_volumes(SMALL_SHAPE), of_cells(), of_scores(), of_slice(options.labels)]
    pieces += [] if options.small else [of_volumes(LARGE_SHAPE)]
    for kind in pieces:
        for piece in kind:
            show(piece, options.rounds)


if __name__ == "__main__":
    main()
