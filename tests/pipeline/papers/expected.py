"""Records that are to be made again. Each set must shrink; none may grow."""

LACKING_TRAINING = {
    *(f"ten_experiments_isbi/experiment_{i}" for i in range(1, 6)),
    *(f"ten_experiments_lungs/experiment_{i}" for i in range(6, 11)),
}
"""Made before their evaluation scored the training images, and their training its probabilities."""

EXPECTED_DIRTY = {
    "a_look_into_unet_chest_xray/unet",
    "membranes/default",
    "ten_experiments_isbi/experiment_1",
    "ten_experiments_isbi/experiment_2",
    "ten_experiments_isbi/experiment_3",
    "ten_experiments_isbi/experiment_4",
    "ten_experiments_isbi/experiment_5",
    "unet_isbi_mane_mittal/unet",
    "unet_school_isbi/unet",
    "unet_school_isbi/unet3plus",
    "unet_school_isbi/unet3plus_rmsprop",
    "unet_school_isbi/unet3plus_sgd",
    "unet_school_isbi/unetpp",
    "unet_school_isbi/unetpp_deep_supervision",
}
"""Made, or evaluated, with code that was not committed."""
