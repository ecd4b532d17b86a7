"""The section ``Example:`` of our docstrings, under the name by which Griffe runs through it."""

from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Shows an example as code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rename the section."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
