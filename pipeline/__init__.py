"""From files on disk to a trained, evaluated and shared segmentation bundle.

Each folder is one stage: ``data``, ``networks``, ``losses``, ``training``, ``inference``,
``evaluation``. A bundle's YAML names their classes; ``unet-school`` is the command line for
what is not a bundle run.
"""

from pipeline.telemetry import refuse_telemetry

refuse_telemetry()  # here, since MONAI and MLflow import each other before any command of ours runs
