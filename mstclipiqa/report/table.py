"""A table of the report, and its forms: CSV for machines; Markdown and LaTeX for people."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice

import numpy as np
import pandas as pd

from mstclipiqa.base.text import inert, printable
from mstclipiqa.report.latex import latex_text

DASH = "—"

#: What Markdown would act on, and how it is written instead. Entities, as an address has no end for a backslash.
MARKDOWN = {
    "&": "&amp;", "\\": "&#92;", "<": "&lt;", "|": "\\|", "*": "\\*",
    "](": "]&#40;", "]:": "]&#58;", "://": "&#58;//", "www.": "www&#46;", "@": "&#64;",
}  # fmt: skip
#: A column with a cell of more than LONG characters is wrapped at LATEX_WIDTH of the line.
LONG, LATEX_WIDTH = 40, "0.25"


@dataclass(frozen=True)
class Cell:
    """A table cell: text, a remark in smaller print, and the files of the results folder it links to.

    On the page it may begin with a picture: `image` is its data URI, `alt` what it shows. The `best` of a column is
    bold there. `shades` are parts of the text, which the page shades by a weight of 0 or more, 1 in the middle.
    """

    text: str
    note: str = ""
    files: tuple[str, ...] = ()
    code: bool = False
    image: str = ""
    alt: str = ""
    best: bool = False
    shades: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        return f"{self.text} {self.note}".strip()


@dataclass(frozen=True)
class Table:
    """One table, twice: `full` for machines, `shown` (cells of str or Cell) for people.

    A column of `shown` is a name, or a pair (heading over several columns, name). The first `stub` columns
    name the row. `groups` gives each row the heading of the group it stands in, where there are groups, and
    `grouped_by` says what those headings name. In the columns `best` the highest number of a group is the best.
    """

    name: str
    caption: str
    full: pd.DataFrame
    shown: pd.DataFrame
    numeric: tuple = ()
    stub: int = 1
    groups: list[Cell] | None = None
    grouped_by: str = "Protocol and selection"
    notes: list[str] = field(default_factory=list)
    best: tuple = ()

    @property
    def heading(self) -> str:
        """The first clause of the caption, which the page folds the table under."""
        return re.split(r"[.:;] |[.:;]$|(?<=\?) ", self.caption, maxsplit=1)[0]

    def only(self, kept: Sequence[bool]) -> "Table":
        """The table with these rows alone; `full` keeps every row."""
        rows = [row for row, keep in zip(self.shown.to_dict("records"), kept, strict=True) if keep]
        groups = [group for group, keep in zip(self.groups, kept, strict=True) if keep] if self.groups else None
        return replace(self, shown=frame_of(rows, self.shown.columns), groups=groups)

    def first(self, count: int) -> "Table":
        """The table with its first rows alone, which its caption then says; `full` keeps every row."""
        rows = len(self.shown)
        if rows <= count:
            return self
        caption = f"{self.caption} The first {count:,} of {rows:,} rows; the file in tables/ has all."
        return replace(self.only([row < count for row in range(rows)]), caption=caption)

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The upper heading row: (heading, number of columns); empty where the heading has one row."""
        spans: list[tuple[str, int]] = []
        for column in self.shown.columns:
            top = column[0] if isinstance(column, tuple) else ""
            if spans and spans[-1][0] == top:
                spans[-1] = (top, spans[-1][1] + 1)
            else:
                spans.append((top, 1))
        return spans if any(top for top, _ in spans) else []

    @property
    def grouped_rows(self) -> list[tuple[Cell | None, list[list]]]:
        """The rows, gathered under their group headings (None where there are none)."""
        gathered: list[tuple[Cell | None, list[list]]] = []
        headings: Sequence[Cell | None] = self.groups or [None] * len(self.shown)
        for group, row in zip(headings, self.shown.values.tolist(), strict=True):
            if not gathered or gathered[-1][0] != group:
                gathered.append((group, []))
            gathered[-1][1].append(row)
        for column in (list(self.shown.columns).index(name) for name in self.best):
            for _, rows in gathered:
                _mark_best(rows, column)
        return gathered

    def csv(self) -> str:
        """The full table as CSV."""
        return self.full.map(_csv_text).to_csv(index=False, float_format="%.6g", lineterminator="\n")

    def markdown(self) -> str:
        """The shown table as Markdown, with caption and notes."""
        frame = self.shown.map(markdown_text)
        frame.columns = [" ".join(c).strip() if isinstance(c, tuple) else c for c in self.shown.columns]
        if self.groups is not None:
            frame.insert(0, self.grouped_by, [markdown_text(group.text) for group in self.groups])
        body = frame.to_markdown(index=False, disable_numparse=True)
        notes = "".join(f"\n* {markdown_text(note)}" for note in self.notes)
        return f"{markdown_text(self.caption)}\n\n{body}\n" + (f"{notes}\n" if notes else "")

    def latex(self) -> str:
        """The shown table as a LaTeX longtable with rules of booktabs; notes follow as a list."""
        columns = self.shown.columns
        frame = self.shown.map(latex_text)
        if self.spans:
            frame.columns = pd.MultiIndex.from_tuples([tuple(map(latex_text, column)) for column in columns])
        else:
            frame.columns = [latex_text(column[-1] if isinstance(column, tuple) else column) for column in columns]
        longest = {column: max(map(len, map(str, self.shown[column])), default=0) for column in columns}
        wide = f"p{{{LATEX_WIDTH}\\linewidth}}"
        kinds = ["r" if column in self.numeric else wide if longest[column] > LONG else "l" for column in columns]
        head = frame[:0].to_latex(  # which takes long for every row
            index=False, escape=False, longtable=True, column_format="".join(kinds), multicolumn_format="c",
            caption=latex_text(self.caption), label=f"tab:{self.name}",
        )  # fmt: skip
        head = head.partition("\\endlastfoot\n")[0]
        head = head.replace(r"\multicolumn{0}", rf"\multicolumn{{{len(columns)}}}")  # pandas, of a table without rows
        if self.spans:
            head = re.sub(r"(?<=\\toprule\n).*\n", lambda upper: f"{upper[0]}{self._rules}\n", head)
        lines = ["% Needs the packages booktabs and longtable.", head + "\\endlastfoot"]
        rows = (rf"{' & '.join(cells)} \\" for cells in frame.itertuples(index=False, name=None))
        for place, (group, of_group) in enumerate(self.grouped_rows):
            if group is not None:
                heading = rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{latex_text(group.text)}}}}} \\"
                lines += ["\\midrule", heading] if place else [heading]
            lines += islice(rows, len(of_group))
        lines.append(r"\end{longtable}")
        if self.notes:
            items = [rf"\item {latex_text(note)}" for note in self.notes]
            lines += [r"\begin{itemize}\footnotesize", *items, r"\end{itemize}"]
        return "\n".join([*lines, ""])

    @property
    def _rules(self) -> str:
        """A rule of booktabs below each heading over several columns."""
        ends = accumulate(width for _, width in self.spans)
        spans = zip(self.spans, ends, strict=True)
        return "".join(rf"\cmidrule(lr){{{end - width + 1}-{end}}}" for (top, width), end in spans if top)


def _mark_best(rows: list[list], column: int) -> None:
    """Mark the highest of several numbers in a column of some rows; none where all are equal."""
    numbers: dict[int, float] = {}
    for place, row in enumerate(rows):
        with suppress(ValueError):
            numbers[place] = float(str(getattr(row[column], "text", row[column])))
    for place, value in numbers.items():
        if value == max(numbers.values()) > min(numbers.values()):
            cell = rows[place][column]
            rows[place][column] = replace(cell if isinstance(cell, Cell) else Cell(cell), best=True)


def _csv_text(value: object) -> object:
    """Text that stays text in a spreadsheet; numbers are as they are."""
    return inert(printable(str(value))) if isinstance(value, str | Cell) else value


def markdown_text(value: object) -> str:
    """Text that stays text in a Markdown table: one line, no cell borders, no tags, emphasis, links or pictures."""
    text = printable(" ".join(str(value).split()))
    for characters, replacement in MARKDOWN.items():
        text = text.replace(characters, replacement)
    return text


def frame_of(rows: Iterable[dict], columns: Iterable) -> pd.DataFrame:
    """A frame of cells from dicts, with exactly these columns; a dash stands for what a row lacks."""
    columns = list(columns)
    return pd.DataFrame(
        {index: [row.get(column, DASH) for row in rows] for index, column in enumerate(columns)}, dtype=object
    ).set_axis(pd.Index(columns, tupleize_cols=False), axis=1)


def plain(value: object) -> str:
    """A configuration value as text: words as they are, mappings as keys and values, other values as JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: DASH}[value]
    if isinstance(value, dict):
        return "; ".join(f"{key} {plain(entry)}" for key, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def span(values: pd.Series | np.ndarray, pattern: str = "{:,}") -> str:
    low, high = pattern.format(values.min()), pattern.format(values.max())
    return low if low == high else f"{low}–{high}"
