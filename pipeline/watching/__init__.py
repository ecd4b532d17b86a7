"""A model in use over time: what its inferences measured, week by week, against its validation."""
