"""The summary of a cohort that its commands print."""

from pathlib import Path

import torch

from pipeline.data import read_datalist
from pipeline.data.datalist import SPLITS, Entry
from pipeline.data.readers import count_pages, read_page
from pipeline.data.suffixes import PNG_LIKE, TIFF, suffix_of
from pipeline.evaluation.baselines import (
    Pair,
    best_intensity_threshold,
    constant_answer,
    mean_mask,
    pos_weight,
)


def splits_line(folder: Path) -> str:
    """Return the datalist's path and the size of each split."""
    datalist = read_datalist(folder)
    return f"{datalist.path}: " + ", ".join(
        f"{len(datalist.listed(split))} {split}" for split in SPLITS
    )


def describe(folder: Path) -> None:
    """Print the splits and, for two-dimensional images of two classes, scores without a network."""
    print(splits_line(folder))
    datalist = read_datalist(folder)
    splits = {split: datalist.entries(split) for split in SPLITS}
    entries = [entry for split in splits.values() for entry in split]
    files = [Path(file) for entry in entries for file in (entry.image, entry.label)]
    if all(suffix_of(path) in (*PNG_LIKE, *TIFF) and count_pages(path) == 1 for path in files):
        _print_baselines({split: _read_pairs(entries) for split, entries in splits.items()})


def _print_baselines(splits: dict[str, list[Pair]]) -> None:
    pairs = [pair for split in splits.values() for pair in split]
    if any(image.shape != mask.shape for image, mask in pairs):
        return  # data check names these files
    masks = {split: [mask for _, mask in pairs] for split, pairs in splits.items()}
    if len({tuple(mask.shape) for _, mask in pairs}) == 1:
        ious = (mean_mask(masks["training"], masks[split]) for split in SPLITS)
        print("mean of the training masks, IoU: " + " / ".join(f"{iou:.3f}" for iou in ious))
    print(f"background for each foreground pixel of training: {pos_weight(masks['training']):.3f}")
    if all(image.dtype == torch.uint8 for image, _ in pairs):
        floats = ((image.float(), mask) for image, mask in pairs)
        threshold, accuracy = best_intensity_threshold(floats)
        constant = constant_answer(pairs)["accuracy"]
        print(
            f"without a network, over all images: accuracy {constant:.3f} for 'all foreground', "
            f"{accuracy:.3f} for the best intensity threshold ({threshold:.0f})"
        )


def _read_pairs(entries: list[Entry]) -> list[Pair]:
    return [(_read(entry.image), _read(entry.label)) for entry in entries]


def _read(path: str) -> torch.Tensor:
    pixels = torch.tensor(read_page(Path(path)).array)
    if pixels.ndim == 3:  # a threshold sees the brightness of a coloured image
        return pixels.float().mean(-1).round().to(pixels.dtype)
    return pixels
