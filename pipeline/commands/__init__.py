"""The rooms of ``unet-school``: what is typed, and what it calls."""
