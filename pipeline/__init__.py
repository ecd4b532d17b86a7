"""From files on disk to a trained, evaluated and shared segmentation bundle.

Each folder is one stage: ``data``, ``networks``, ``losses``, ``training``, ``inference``,
``evaluation``. A bundle's YAML names their classes; ``unet-school`` is the command line for
what is not a bundle run.
"""
