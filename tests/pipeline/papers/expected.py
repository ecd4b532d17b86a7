"""Records that are to be made again. Each set must shrink; none may grow."""

EXPECTED_STALE = {
    "pancreas_ct/default",
}
"""Made with another config of their training or evaluation."""

EXPECTED_DIRTY = {
    "unet_school_isbi/unet3plus_rmsprop",
    "unet_school_isbi/unet3plus_sgd",
    "unet_school_isbi/unetpp_deep_supervision",
}
"""Made, or evaluated, with code that was not committed."""
