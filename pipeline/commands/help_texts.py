"""The form of every help text: sentences, defaults that are named, and examples."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.commands.examples import EXAMPLES

DEFAULT = re.compile(r" \((?!default: )([^()]+)\)$")
"""Where an option's text names its default: ``number of folds (5)``."""


def sentence(text: str) -> str:
    """Return a text as a sentence.

    Example:
        >>> sentence("sign a packed bundle")
        'Sign a packed bundle.'
        >>> sentence("cells: a cohort (cells)")
        'Cells: a cohort (cells).'
    """
    return text[:1].upper() + text[1:] + "." * (not text.endswith((".", "…")))


def option_text(text: str) -> str:
    """Return the help of an option as a sentence that names its default.

    Example:
        >>> option_text("number of folds (5)")
        'Number of folds (default: 5).'
    """
    return sentence(DEFAULT.sub(r" (default: \1)", text))


def examples_of(program: str) -> str:
    """Return the examples of a command, by how it is typed.

    Example:
        >>> print(examples_of("unet-school key revoke"))
        examples:
          unet-school key revoke "Hospital A" --reason "the key was stolen"
    """
    name, _, words = program.partition(" ")
    lines = [f"  {name} {example}" for example in EXAMPLES.get(words, ())]
    return "\n".join(["examples:", *lines]) if lines else ""


def grouped(groups: Mapping[str, Sequence[str]], commands: Mapping[str, Any]) -> str:
    """Return the list of commands by what a user does.

    Args:
        groups: names of the commands under each heading.
        commands: parser of each command, by its name.
    """
    width = max(map(len, commands)) + 2
    lines = []
    for heading, names in groups.items():
        lines.append(f"{heading}:")
        lines += [f"  {name:{width}}{commands[name].purpose}" for name in names]
        lines.append("")
    return "\n".join([*lines, "unet-school COMMAND --help has the options of a command."])


class _Formatter(argparse.HelpFormatter):
    """Writes the help of options as sentences that name their defaults."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if not action.help:
            return action.help
        may_be_left_out = action.option_strings or action.nargs == "?"
        return option_text(action.help) if may_be_left_out else sentence(action.help)


class _Commands(argparse._SubParsersAction):
    """Keeps the purpose of each command, which is what its own help begins with."""

    def add_parser(self, name: str, **settings: Any) -> "Parser":
        parser: Parser = super().add_parser(name, **settings)
        parser.purpose = parser.description = sentence(settings["help"])
        return parser


class Parser(argparse.ArgumentParser):
    """A parser of a command whose help ends with its examples.

    Attributes:
        purpose: what the command does, in a sentence.
        listing: further help, before the examples.
    """

    purpose = ""
    listing = ""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.formatter_class = _Formatter
        self.register("action", "parsers", _Commands)

    def format_help(self) -> str:
        """Return the help with the listing and the examples after it."""
        further = filter(None, [self.listing, examples_of(self.prog)])
        return super().format_help() + "".join(f"\n{text}\n" for text in further)
