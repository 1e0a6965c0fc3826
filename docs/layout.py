"""Writes the table of result files in docs/architecture.md from mstclipiqa/base/layout.py: `python docs/layout.py`."""

from pathlib import Path

from measured import END, rewrite

from mstclipiqa.base.files import write_text
from mstclipiqa.base.layout import LAYOUT, ResultsFile

PAGE = Path(__file__).with_name("architecture.md")
BEGIN = "<!-- docs/layout.py writes this from mstclipiqa/base/layout.py -->\n"


def contents(entry: ResultsFile) -> str:
    """The columns of a table, those that name a row in bold; or the tensors of a store."""
    columns = [f"**{name}**" if name in entry.key else name for name in entry.columns]
    return ", ".join([*columns, *(f"{name} (optional)" for name in entry.optional), *entry.tensors])


def render(layout: dict[str, ResultsFile]) -> str:
    """The files of a results folder as a Markdown table."""
    rows = [
        f"| `{name}` | `{entry.path}` | `{entry.writer}` | {entry.holds} | {contents(entry)} |"
        for name, entry in layout.items()
    ]
    return "\n".join(["| entry | file | written by | holds | columns or tensors |", "|---|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    write_text(PAGE, rewrite(PAGE.read_text(encoding="utf-8"), render(LAYOUT), BEGIN, END))
