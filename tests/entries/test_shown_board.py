"""The tables of docs/board.md are of the entries that are there."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from mstclipiqa.entries.entry import find_entries

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "board.md").read_text(encoding="utf-8")


def test_the_board_shows_the_entries_as_they_are(monkeypatch: pytest.MonkeyPatch):
    """By a digest: to build the board takes a minute."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    board = runpy.run_path(str(DOCS / "board.py"))
    shown = board["digest_of"](REPOSITORY / "entries")
    assert f"Entries {shown}." in PAGE, "run: python docs/board.py"


def test_every_entry_has_a_row_on_each_board():
    boards = PAGE.split("\n## ")[1:]
    assert [board.partition("\n")[0] for board in boards] == [
        f"agiqa-3k-quality-{name}" for name in ("grouped10", "lab-seed1", "leave-generator-out")
    ]
    methods = sorted(entry.card["method"] for entry in find_entries(REPOSITORY / "entries"))
    for board in boards:
        assert sorted(re.findall(r"^\| \d+ \| ([^|]+?) \|", board, re.M)) == methods
