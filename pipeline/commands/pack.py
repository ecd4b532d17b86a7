"""``unet-school pack``: pack a trained bundle into one file for another hospital."""

import argparse
import json
import logging
import os
import textwrap
from pathlib import Path

from pipeline.commands.runs import add_tracking


def add_pack(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="folder of the bundle, as bundles/membranes")
    parser.add_argument("--run", required=True, help="training or evaluation, by name or id")
    parser.add_argument("--out", type=Path, required=True, help="packed bundle, FILE.zip")
    add_tracking(parser)
    parser.add_argument("--dataset-dir", type=Path, help="folder of the cohort, if it has moved")
    parser.add_argument(
        "--sample",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="image that may leave the hospital, or the images of one case (a synthetic one)",
    )
    parser.add_argument("--exports", type=Path, help="file exports.json of unet-school export")
    parser.add_argument(
        "--no-registry", action="store_true", help="do not register a version in MLflow"
    )
    parser.set_defaults(command=_pack)


def _pack(options: argparse.Namespace) -> None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # the files are small
    logging.getLogger("monai").setLevel(logging.ERROR)  # warns of packages not needed here
    from mlflow.exceptions import MlflowException

    from pipeline.data.fingerprint import cohort_cases, inspect_cases
    from pipeline.files import sha256
    from pipeline.next_command import print_next
    from pipeline.product import product_commit
    from pipeline.progress import Work, count
    from pipeline.provenance import versions
    from pipeline.sharing.pack import bundle_files, find_trained, pack
    from pipeline.sharing.registry import register
    from pipeline.tracking.store import open_store

    client = open_store(options.tracking)
    trained = find_trained(client, options.run, options.dataset_dir)
    cases = [case for case in cohort_cases(trained.dataset_dir) if case.split == "training"]
    exports = json.loads(options.exports.read_text("utf-8")) if options.exports else {}
    print(
        f"packing {options.bundle} with {trained.model.path}: describing its "
        f"{count(len(cases), 'training case')}, running a sample, auditing",
        flush=True,
    )
    with Work("inspecting", len(cases), "case") as work:
        statistics = inspect_cases(cases, work.advance)
    files = bundle_files(options.bundle, trained, statistics, exports)
    run = str(trained.summary.model.mlflow_run_id)
    made = {"commit": product_commit(), "versions": versions(), "mlflow_run": run}
    name = options.bundle.resolve().name
    custom = pack(files, name, made, options.out, options.sample)
    print(f"packed      {options.out}, {options.out.stat().st_size / 1e6:.1f} MB")
    digest = sha256(options.out)
    print(f"sha256      {digest}")
    if custom:
        print(
            "custom      it has own expressions or own parts of the wiring; a receiver accepts it "
            f"only by a policy that names its config: {custom}"
        )
    print("licence     the training data's licence also holds for the weights:")
    print(textwrap.indent(files["docs/data_license.txt"].decode().strip(), " " * 12))
    if not options.no_registry:
        try:
            version = register(client, name, run, options.out.resolve(), digest)
        except MlflowException as error:
            raise ValueError(
                f"{options.out}: packed, but not registered in MLflow ({error}); give --no-registry"
            ) from None
        print(f"registered  {name}, version {version}, alias packed")
    print_next(*_sign(options.out))


def _sign(packed: Path) -> list[str | Path]:
    """The command that signs, or, without a key where one is expected, makes it."""
    key = Path("keys") / "private.pem"
    if key.is_file():
        return ["sign", packed, "--key", key]
    return ["key", "new", "--out", key.parent]
