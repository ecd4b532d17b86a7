"""The papers' experiments and tables as data, and what we measure beside them."""
