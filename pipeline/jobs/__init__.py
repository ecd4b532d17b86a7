"""Jobs: trainings that a command does at the same time, on this machine or on a cluster."""
