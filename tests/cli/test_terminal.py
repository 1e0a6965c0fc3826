"""What the command prints, whatever others have written into names and files."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import mstclipiqa.cli
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.progress import progress, say
from mstclipiqa.cli import scores
from mstclipiqa.cli.main import main

EVIL = "a\x1b[2J\udcff\u202eb"
SHOWN = "a\\x1b[2J\\udcff\\u202eb"


def test_all_that_verbs_say_goes_through_one_function():
    modules = [path for path in Path(mstclipiqa.cli.__file__).parent.glob("*.py") if path.name != "terminal.py"]
    assert [path.name for path in modules if "click.echo" in path.read_text() or "print(" in path.read_text()] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError(f"{EVIL}: wrong\nmore"), f"Error: {SHOWN}: wrong\\nmore\n"),
        (PermissionError(13, "Permission denied", EVIL), f"Error: {SHOWN}: Permission denied; make room or give "),
    ],
)
def test_an_error_is_one_line_that_a_terminal_only_shows(error, said, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(scores.score, "callback", fail)
    done = CliRunner().invoke(main, ["score", "x"])
    assert done.exit_code == 1 and done.output.startswith(said) and done.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["score", "x", "--head", EVIL], ["plan", "--config", EVIL], [EVIL], ["score", EVIL]]
)
def test_arguments_are_shown_too(arguments):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code and "\x1b" not in done.output and "\u202e" not in done.output


def test_progress_is_shown_too(capsys):
    say(EVIL)
    list(progress([1], 1, EVIL, "steps"))
    said = capsys.readouterr().err
    assert SHOWN in said and "\x1b" not in said
