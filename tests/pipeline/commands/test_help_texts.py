import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipeline import cli
from pipeline.commands.examples import EXAMPLES
from pipeline.commands.help_texts import Parser


def parsers_of(parser: Parser) -> Iterator[Parser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for other in action.choices.values():
                yield from parsers_of(other)


PARSERS = {parser.prog.partition(" ")[2]: parser for parser in parsers_of(cli._parser())}


def options_of(parser: Parser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings and action.dest != "help"]


def test_every_command_is_in_one_group():
    grouped = [name for names in cli.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(name for name in PARSERS if name and " " not in name)


@pytest.mark.parametrize("words", PARSERS)
def test_every_text_is_a_sentence_that_names_its_default(words):
    parser = PARSERS[words]
    assert parser.description[0].isupper()
    assert parser.description.endswith((".", "…"))
    printed = " ".join(parser.format_help().split())
    for action in options_of(parser):
        assert action.help, action.option_strings
        default = action.default
        if default is None or default is False or default in ([], ""):
            continue
        texts = [" ".join(map(str, default))] if isinstance(default, list | tuple) else []
        texts += ["all"] if getattr(action, "choices", None) == default else [str(default)]
        assert any(f"(default: {text})" in printed for text in texts), action.option_strings


@pytest.mark.parametrize("words", PARSERS)
def test_every_option_stands_in_an_example_that_is_taken(words, capsys):
    assert EXAMPLES.get(words), f"add an example of {words} to pipeline/commands/examples.py"
    typed = [shlex.split(example) for example in EXAMPLES[words]]
    for example in typed:
        assert " ".join(example).startswith(words)
        if example != ["--version"]:
            cli._parser().parse_args(example)
    printed = PARSERS[words].format_help()
    assert all(f"  unet-school {example}\n" in printed for example in EXAMPLES[words])
    shown = {word for example in typed for word in example}
    absent = [
        a.option_strings for a in options_of(PARSERS[words]) if not {*a.option_strings} & shown
    ]
    assert not absent


def test_a_description_is_as_wide_as_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = cli._parser().format_help().partition("options:")[0]
    assert max(map(len, text.splitlines())) <= 60


def test_help_imports_nothing_that_takes_long():
    code = (
        "import sys; from pipeline import cli; cli._parser().format_help(); "
        "print(sorted({'torch', 'monai', 'mlflow', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
