import logging
import warnings

from pipeline.quiet import ignore_foreign_warnings

LOGGER = logging.getLogger("monai.data.nvimgcodec_pydicom_plugin")
DECODER = "nvImageCodec is not available; skipping pydicom decoder plugin registration."


def is_let_through(message: str) -> bool:
    """By the filters alone: a bundle's logging.conf, read by another test, cuts loggers off."""
    record = LOGGER.makeRecord(LOGGER.name, logging.WARNING, __file__, 1, message, (), None)
    return bool(LOGGER.filter(record))


def test_a_decoder_that_is_not_used_is_not_mentioned():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ignore_foreign_warnings()
        warnings.warn("NvImgCodecPydicomReader: nvImageCodec decoder plugin …", stacklevel=1)
        warnings.warn(
            "monai.transforms.spatial.dictionary Orientationd.__init__:labels: Current default …",
            FutureWarning,
            stacklevel=1,
        )
        warnings.warn("the image is dark", stacklevel=1)
    assert [str(warning.message) for warning in warned] == ["the image is dark"]
    assert not is_let_through(DECODER)
    assert is_let_through("the image is damaged")
