"""Writes docs/board.md, the board of the folder entries/ in short: `python docs/board.py`. Takes about a minute."""

import tempfile
from pathlib import Path

import pandas as pd
from measured import END, rewrite

from mstclipiqa.api.notebook import load_benchmark
from mstclipiqa.base.files import digest, sha256, write_text
from mstclipiqa.entries.board import write_board
from mstclipiqa.entries.entry import find_entries

PAGE = Path(__file__).with_name("board.md")
ENTRIES = PAGE.parents[1] / "entries"
BEGIN = "<!-- docs/board.py writes this from entries/ -->\n"


def digest_of(folder: Path) -> str:
    """A short digest of all entries in a folder."""
    return digest([sha256(file) for entry in find_entries(folder) for file in entry.files])[:16]


def shorten(ranks: pd.DataFrame) -> list[str]:
    """The lines of a Markdown table of a board's ranks."""
    lines = ["| rank | method | SRCC | 95 % interval | PLCC | runs | tied with |", "|---|---|---|---|---|---|---|"]
    for row in ranks.itertuples():
        tied = "; ".join(row.tied.split("; ")[:3]) + (" ..." if row.tied.count("; ") > 2 else "")
        lines.append(
            f"| {row.rank} | {row.method} | {row.srcc:.4f} | {row.srcc_low:.3f} to {row.srcc_high:.3f} "
            f"| {row.plcc:.4f} | {row.runs} | {tied} |"
        )
    return lines


def render() -> str:
    """The ranks of every board, and the digest of the entries that they are of."""
    found, lines = find_entries(ENTRIES), [f"Entries {digest_of(ENTRIES)}."]

    def load(benchmark: str) -> tuple[pd.DataFrame, dict]:
        loaded = load_benchmark(benchmark)
        return loaded.samples, loaded.card

    with tempfile.TemporaryDirectory() as folder:
        write_board(Path(folder), found, [], load)
        for name in [Path(file).stem for file in sorted(Path(folder).glob("*.html")) if file.stem != "index"]:
            ranks = pd.read_csv(Path(folder) / "tables" / f"{name}-ranks.csv", keep_default_na=False, na_values=[""])
            lines += ["", f"## {name}", "", *shorten(ranks.fillna({"tied": ""}))]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    write_text(PAGE, rewrite(PAGE.read_text(encoding="utf-8"), render(), BEGIN, END))
