"""The papers' experiments and tables as data, and our measurements next to them."""
