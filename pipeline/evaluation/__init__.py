"""How good a prediction is, and how much that can be believed."""
