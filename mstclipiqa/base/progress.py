"""Progress of long work, as readable in a log as in a terminal."""

import sys
from collections.abc import Iterable

from tqdm import tqdm

from mstclipiqa.base.text import printable

#: A refreshed line of its own.
LINE = "{desc}: {n_fmt}/{total_fmt} {unit} ({percentage:.0f} %), {rate_fmt}, {remaining} left\n"


def progress(items: Iterable, total: int, description: str, unit: str) -> Iterable:
    """Iterate with a progress line every few seconds."""
    return tqdm(items, total=total, desc=printable(description), unit=unit, mininterval=5, bar_format=LINE)


def say(line: str) -> None:
    """A line on the standard error, above the progress."""
    tqdm.write(printable(line), file=sys.stderr)
