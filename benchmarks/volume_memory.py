"""Peak memory of the inference of a large volume on the CPU, by the number of labels.

Each number of labels has a process of its own, which loads a made CT, turns it, passes it window
by window through a convolution in place of a network, and writes its mask::

    python benchmarks/volume_memory.py [--size 512 512 400] [--labels 2 20] [--window 96]
        [--spacing 1.5] [--probabilities 8]

The largest resident size of the process is printed, and the seconds it took. The promise is 6 GB.
"""

import argparse
import contextlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Compose,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

from pipeline.data.volumes import VolumeReader
from pipeline.inference import (
    DihedralInferer,
    ToFileVoxels,
    ToLabelMap,
    TrainedModel,
    WritePredictions,
    infer,
)
from pipeline.inference.engine import FLOAT32, Engine, in_engine
from pipeline.inference.folder import find_cases
from pipeline.inference.trained_model import save_model


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    if len(options.labels) == 1:
        with tempfile.TemporaryDirectory() as folder:
            network = torch.nn.Conv3d(1, options.labels[0], 1).eval()
            seconds = segment(options, options.labels[0], Path(folder), network)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(f"| {options.labels[0]} | {peak:.2f} | {seconds:.0f} |", flush=True)
        return
    print("| labels | peak, GB | seconds |\n|---|---|---|", flush=True)
    for labels in options.labels:
        command = [sys.executable, *sys.argv, "--labels", str(labels)]
        subprocess.run(command, check=True)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command, this process's own or the given words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400))
    parser.add_argument("--labels", type=int, nargs="+", default=(2, 20))
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--spacing", type=float, help="mm of the network's grid (the file's, 0.8)")
    parser.add_argument("--probabilities", type=int, help="bits of the maps that are written")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(words)


def segment(
    options: argparse.Namespace,
    labels: int,
    folder: Path,
    network: torch.nn.Module,
    engine: Engine = FLOAT32,
) -> float:
    """Segment one volume by a network in an engine, and return the seconds."""
    (folder / "images").mkdir()
    write_volume(folder / "images" / "ct.nii.gz", options.size)
    save_model(folder / "model.pt", network.state_dict(), bundle="volume")
    model = TrainedModel(folder / "model.pt", network)
    transform = Compose(preprocessing(options.spacing))
    names = {f"label {number}": number for number in range(1, labels + 1)}
    wanted = {} if options.probabilities is None else {"probabilities": options.probabilities}
    writer = WritePredictions(str(folder / "out"), model, labels=names, **wanted)
    window = SlidingWindowInferer([options.window] * 3, 1, overlap=0.25, mode="gaussian")
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(find_cases(str(folder / "images"), 3), transform)),
        network=in_engine(network, engine, "cpu"),
        inferer=DihedralInferer(window, versions=1),
        postprocessing=Compose([ToFileVoxels(transform), ToLabelMap(model.operating_point, names)]),
        val_handlers=[writer],
    )
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        infer(evaluator, writer)
    return time.perf_counter() - start


def preprocessing(spacing: float | None) -> list:
    """Return transforms as a planned bundle of CT has them."""
    return [
        LoadImaged("image", reader=VolumeReader, ensure_channel_first=True),
        Orientationd("image", "RAS", labels=None),
        *([Spacingd("image", [spacing] * 3)] if spacing else []),
        ScaleIntensityRanged("image", -160, 240, 0, 1, clip=True),
        NormalizeIntensityd("image"),
    ]


def write_volume(path: Path, size: tuple[int, int, int]) -> None:
    """Write a smooth volume of Hounsfield units, whose axes run left, posterior, superior."""
    x, y, z = (np.sin(np.linspace(0, 9, side, dtype=np.float32)) for side in size)
    voxels = np.empty(size, np.int16)
    for i, plane in enumerate(x):
        voxels[i] = 200 * (plane + y[:, None] + z)
    nib.save(nib.Nifti1Image(voxels, np.diag([-0.8, -0.8, 0.8, 1])), path)


if __name__ == "__main__":
    main()
