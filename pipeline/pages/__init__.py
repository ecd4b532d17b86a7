"""Pages that a person looks at: one file each, which needs no network and can run nothing else."""

from pipeline.pages.numbers import plain_number
from pipeline.pages.pictures import as_webp, in_bytes, with_masks
from pipeline.pages.template import write_page
from pipeline.pages.volume import LayeredVolume, layered_volume

__all__ = [
    "LayeredVolume",
    "as_webp",
    "in_bytes",
    "layered_volume",
    "plain_number",
    "with_masks",
    "write_page",
]
