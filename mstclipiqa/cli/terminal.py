"""What the verbs say: lines for people, coloured on a terminal, or one JSON document for programs."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import click

from mstclipiqa.base.json_values import finite
from mstclipiqa.base.text import printable

#: The first words of lines that say how something stands, and their colours.
COLOURS = {
    "ok": "green", "green:": "green", "CHECK": "yellow", "absent": "yellow", "note": "yellow", "MISSING": "red",
    "FAIL": "red",
}  # fmt: skip


def echo(text: object, err: bool = False, colour: str | None = None) -> None:
    """Print lines of text, on the standard error if so asked. What a terminal would act on is shown, not obeyed.

    On a terminal a line is in its `colour`, or its first word in the one of COLOURS, unless NO_COLOR is set
    (no-color.org).
    """
    lines = [_coloured(printable(line), colour) for line in str(text).split("\n")]
    click.echo("\n".join(lines), err=err, color=False if os.environ.get("NO_COLOR") else None)


def _coloured(line: str, colour: str | None) -> str:
    if colour:
        return click.style(line, fg=colour)
    word = re.match(r" *(\S*)", line)
    if word is None or word[1] not in COLOURS:
        return line
    return click.style(word[0], fg=COLOURS[word[1]]) + line[word.end() :]


def echo_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document on the standard output, null for every number that is not finite, which JSON lacks."""
    click.echo(json.dumps(finite(document), indent=2, default=str))
