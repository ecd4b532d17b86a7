import logging
import warnings

from pipeline.quiet import ignore_foreign_warnings

DECODER = "nvImageCodec is not available; skipping pydicom decoder plugin registration."


def test_a_decoder_that_is_not_used_is_not_mentioned(caplog, monkeypatch):
    # a bundle's logging.conf, which another test has read, cuts the loggers off
    logger = logging.getLogger("monai.data.nvimgcodec_pydicom_plugin")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ignore_foreign_warnings()
        logger.warning(DECODER)
        logger.warning("the image is damaged")
        warnings.warn("NvImgCodecPydicomReader: nvImageCodec decoder plugin …", stacklevel=1)
        warnings.warn("the image is dark", stacklevel=1)
    assert [record.getMessage() for record in caplog.records] == ["the image is damaged"]
    assert [str(warning.message) for warning in warned] == ["the image is dark"]
