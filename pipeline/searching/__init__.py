"""Search: the settings of a bundle by which validation is best, found in many trainings."""
