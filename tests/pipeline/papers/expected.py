"""Records that are to be made again. Each set must shrink; none may grow."""

LACKING_TRAINING = {
    *(f"ten_experiments_isbi/experiment_{i}" for i in range(1, 6)),
    *(f"ten_experiments_lungs/experiment_{i}" for i in range(6, 11)),
}
"""Made before their evaluation scored the training images, and their training its probabilities."""
