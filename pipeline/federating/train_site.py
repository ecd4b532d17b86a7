"""The script of a job of FLARE at every site; what the server sent lies beside it.

FLARE sends along what a script imports. This one imports by name, so that a site judges and trains
with the unet-school that it has installed itself.
"""

from importlib import import_module

if __name__ == "__main__":
    import_module("pipeline.federating.site").main(__file__)
