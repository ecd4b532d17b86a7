"""Warnings of other packages that say nothing to a bundle's user, filtered by their text."""

import logging
import warnings

FOREIGN_WARNINGS = (
    r"parsing config_file .*",  # a config is code: docs/sharing.md says what is done about it
    r"monai\.transforms\S* Orientationd\S*:labels: .*",  # the place of a volume says its axes
    r".*NvImageCodec.*",  # a decoder for NVIDIA cards that no reader of ours uses
    r".*nvimgcodec.*",
    r"NVFlare reserves '--export'.*",  # our own option, which is read before FLARE is imported
)
FOREIGN_LOGS = (
    "Not all config files are in",  # overlays stand where they belong
    "Default logging file in",
    "nvImageCodec is not available",
)
LOGGERS = (
    "monai.bundle.workflows", "monai.bundle.scripts", "monai.data.nvimgcodec_pydicom_plugin",
)  # fmt: skip
"""What logs them."""


def ignore_foreign_warnings() -> None:
    """Filter the warnings of MONAI that stand above every run, and nothing else."""
    for message in FOREIGN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if _is_foreign not in logger.filters:
            logger.addFilter(_is_foreign)


def _is_foreign(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(FOREIGN_LOGS)
