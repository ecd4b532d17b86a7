"""Scores of predictions: arrays or tensors in, numbers out."""
