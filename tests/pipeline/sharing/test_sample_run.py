"""The sample of a received bundle: whatever its process does, the receiver gets one line."""

import gzip
import json
import sys

import nibabel as nib
import numpy as np
import pytest
import tifffile
import yaml

from pipeline.sharing import sample_results, sample_run
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.isolation import PLAIN
from pipeline.sharing.limits import Limits
from pipeline.sharing.sample_comparison import MAX_TEXT, compare, read_comparison
from pipeline.sharing.sample_results import SampleAgreement, check_sample_size, compare_sample
from pipeline.sharing.sample_run import run_sample

LIMITS = Limits(memory=512 * 1024**2, seconds=60)
SAME = SampleAgreement(difference=0, dice=1)


@pytest.fixture
def bundle(tmp_path):
    """A bundle with a sample, whose inference is a program that a test gives."""
    bundle = tmp_path / "bundle"
    for folder in ("configs", "sample"):
        (bundle / folder).mkdir(parents=True)
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump({"labels": {"cell": 1}}))
    mask = np.eye(4, dtype=np.uint8)
    for name, array in {"image": mask, "mask": mask, "probability": mask * np.float32(0.9)}.items():
        tifffile.imwrite(bundle / "sample" / f"{name}.tif", array)
    return bundle


@pytest.fixture
def infer(bundle, monkeypatch):
    """Return a function that runs the sample, with a program in place of the inference."""

    def infer(program, **limits):
        def command(bundle, images, out):
            return [sys.executable, "-I", "-S", "-c", program, str(bundle / "sample"), str(out)]

        monkeypatch.setattr(sample_run, "_inference", command)
        return run_sample(bundle, PLAIN, LIMITS._replace(**limits))

    return infer


COPY = (
    "import pathlib, shutil, sys\n"
    "sample, out = map(pathlib.Path, sys.argv[1:])\n"
    "for name in ('mask', 'probability'):\n"
    "    (out / name).mkdir(parents=True)\n"
    "    shutil.copy(sample / f'{name}.tif', out / name / 'image.tif')\n"
)


@pytest.mark.slow
def test_the_same_result_comes_back(infer):
    assert infer(COPY) == SAME


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("raise SystemExit(3)", "ended with 3 and without a message"),
        ("print('image.tif: too dark'); raise SystemExit(3)", "image.tif: too dark"),
        ("while True: pass", "longer than 0.6 seconds"),
        ("x = bytearray(10**9)", "MemoryError"),
    ],
)
def test_a_process_that_fails_is_one_line(infer, program, reason):
    with pytest.raises(RefusedError) as error:
        infer(program, seconds=0.6)
    assert str(error.value) == f"image.tif: {reason}: the bundle does not run on this machine"


def test_without_an_image_nothing_runs(bundle):
    (bundle / "sample" / "image.tif").rename(bundle / "sample" / "image.dcm")
    with pytest.raises(RefusedError, match="sample: no image"):
        run_sample(bundle, PLAIN, LIMITS)


def test_a_volume_that_unpacks_to_gigabytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_results, "MAX_SAMPLE_BYTES", 10**6)
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((100, 100, 90), np.uint8), np.eye(4)), path)
    check_sample_size(path)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(2 * 10**5)))
    with pytest.raises(ValueError, match=r"image.nii.gz: 0.0 GB of pixels or more"):
        check_sample_size(path)


def test_an_image_with_a_large_header_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_results, "MAX_SAMPLE_BYTES", 10**4)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 101), np.uint8), compression="zlib")
    with pytest.raises(ValueError, match="of pixels or more; expected less"):
        check_sample_size(tmp_path / "a.tif")


def test_a_probability_that_is_no_number_is_refused(bundle, tmp_path):
    nan = np.full((4, 4), np.nan, np.float32)
    for name, array in {"mask": np.eye(4, dtype=np.uint8), "probability": nan}.items():
        (tmp_path / "out" / name).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "out" / name / "image.tif", array)
    with pytest.raises(RefusedError, match="probability: a difference of nan"):
        compare_sample(bundle / "sample", tmp_path / "out")


def test_a_refusal_of_the_comparison_is_passed_on(bundle, tmp_path):
    printed = compare(bundle / "sample", tmp_path / "nowhere").model_dump_json()
    with pytest.raises(RefusedError, match=r"sample, probability: .*no such file"):
        read_comparison(printed)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "[]",
        "Segmentation fault",
        json.dumps({"agreement": {"difference": -1, "dice": 1}}),
        json.dumps({"agreement": {"difference": 0, "dice": 2}}),
        '{"agreement": {"difference": NaN, "dice": 1}}',
        json.dumps({"agreement": {"difference": 0, "dice": 1, "verdict": "ACCEPTED"}}),
        json.dumps({"refusal": {"place": "x" * (MAX_TEXT + 1), "value": "", "reason": ""}}),
        "{}",
    ],
)
def test_anything_else_is_no_agreement(printed):
    with pytest.raises(RefusedError, match="no comparison"):
        read_comparison(printed)
