"""``unet-school ui``: MLflow's page on the runs, with the columns that tell them apart."""

import argparse
from pathlib import Path

from pipeline.commands.runs import add_tracking

PORT = 5000


def add_ui(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Show the runs of a tracking store in MLflow's page, on this machine alone. The address "
        "is printed when the page is ready."
    )
    parser.add_argument(
        "bundle", type=Path, nargs="?", help="folder of the bundle to show (that of the newest run)"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"port, or the next one that is free ({PORT})"
    )
    add_tracking(parser)
    parser.set_defaults(command=_ui)


def _ui(options: argparse.Namespace) -> int:
    from pipeline.tracking.connection import DATABASE, store_errors
    from pipeline.tracking.store import open_store
    from pipeline.tracking.ui import (
        HOST,
        free_port,
        keep_view,
        page_address,
        serve,
        server_of_environment,
        shown_experiment,
    )

    client = open_store(options.tracking)
    name = None if options.bundle is None else options.bundle.resolve().name
    with store_errors(options.tracking / DATABASE):
        experiment = shown_experiment(client, name)
        keep_view(client, experiment)
    server = server_of_environment()
    if server is not None:
        print(f"open        {page_address(server, experiment.experiment_id)}")
        return 0
    port = free_port(options.port)
    if port != options.port:
        print(f"port {options.port} is taken; {port} is free")
    print(f"starting MLflow on {options.tracking}", flush=True)
    address = page_address(f"http://{HOST}:{port}", experiment.experiment_id)
    return serve(options.tracking, port, address)
