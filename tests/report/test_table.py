import re

import pandas as pd
import pytest
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexWalker
from results_folder import add_claims, build

from mstclipiqa.report.page import make_tables
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.table import Cell, Table, frame_of

HOSTILE = r"100% of {a_b} & c^d ~ #1 $x$ \input{/etc/passwd} \\ [2ex] <b>|é±≥"


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, Table]:
    """Every table of a suite with a drawn benchmark, a real one, and texts that mean something to TeX."""
    root = tmp_path_factory.mktemp("tables") / "results" / "tiny"
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    build(root, present=present, synthetic=("aigciqa2023",), probe=True, word=HOSTILE)
    return make_tables(read_results(add_claims(root)))


def environments(text: str) -> list:
    """The environments of a text, by a strict parser: it raises where braces or environments do not match."""
    nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    return [node for node in nodes if hasattr(node, "environmentname")]


def cells(line: str) -> list[str]:
    assert line.endswith(r" \\")
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))]


def width(cell: str) -> int:
    found = re.match(r"\\multicolumn\{(\d+)\}", cell)
    return int(found[1]) if found else 1


def plain(latex: str) -> str:
    """What LaTeX sets, by a parser that has a circumflex of its own."""
    return LatexNodes2Text(math_mode="text").latex_to_text(latex).strip().replace("ˆ", "^")


def test_every_latex_table_is_well_formed_and_full(tables):
    assert len(tables) > 30
    for table in tables.values():
        text = table.latex()
        assert [node.environmentname for node in environments(text)][0] == "longtable", table.name
        columns = len(table.shown.columns)
        lines = [line for line in text.splitlines() if line.endswith(r" \\") and not line.startswith(r"\caption")]
        assert {sum(map(width, cells(line))) for line in lines} == {columns}, table.name
        kinds = re.search(r"\\begin\{longtable\}\{(.*)\}$", text, re.M)[1]
        assert len(re.sub(r"p\{[^}]*\}", "p", kinds)) == columns
        body = text[text.index(r"\endlastfoot") : text.index(r"\end{longtable}")]
        headings = [line for line in body.splitlines() if line.startswith(r"\multicolumn")]
        assert len(headings) == sum(group is not None for group, _ in table.grouped_rows)
        assert all(text.count(rule) == 1 for rule in (r"\bottomrule", r"\endfirsthead"))


def test_text_in_latex_reads_as_it_was_written():
    table = Table("t", HOSTILE, pd.DataFrame(), frame_of([{"A_1": Cell(HOSTILE, "± 1"), "B": "[0, 1]"}], ["A_1", "B"]))
    text = table.latex()
    row = next(line for line in text.splitlines() if line.startswith("100"))
    assert [plain(cell) for cell in cells(row)] == [f"{HOSTILE} ± 1", "[0, 1]"]
    assert not re.search(r"\\input|\\\\ *\[|[^\x00-\x7f]", text)
    assert "U+4E2D" in Table("t", "中", table.full, table.shown).latex()
    head = next(line for line in text.splitlines() if line.startswith("A"))
    assert head == r"A\_1 & B \\"


def test_a_row_never_begins_as_an_argument_of_the_line_before():
    table = Table("t", "", pd.DataFrame(), frame_of([{"A": "[0.1, 0.2]"}, {"A": "*"}], ["A"]))
    assert [line for line in table.latex().splitlines() if line.startswith(("[", "*"))] == []


def test_upper_headings_and_groups_in_latex():
    columns = [("", "Method"), ("One", "S"), ("One", "P"), ("Two", "S")]
    rows = [dict(zip(columns, values, strict=True)) for values in ("abcd", "efgh", "ijkl")]
    groups = [Cell("first", "a remark"), Cell("first", "a remark"), Cell("second")]
    table = Table(
        "t", "Caption.", pd.DataFrame(), frame_of(rows, columns), tuple(columns[1:]), groups=groups, notes=["1 < 2"]
    )
    assert table.latex() == "\n".join(
        [
            "% Needs the packages booktabs and longtable.",
            r"\begin{longtable}{lrrr}",
            r"\caption{Caption.} \label{tab:t} \\",
            *(head := [
                r"\toprule",
                r" & \multicolumn{2}{c}{One} & Two \\",
                r"\cmidrule(lr){2-3}\cmidrule(lr){4-4}",
                r"Method & S & P & S \\",
                r"\midrule",
            ]),
            r"\endfirsthead",
            r"\caption[]{Caption.} \\",
            *head,
            r"\endhead",
            r"\midrule",
            r"\multicolumn{4}{r}{Continued on next page} \\",
            r"\midrule",
            r"\endfoot",
            r"\bottomrule",
            r"\endlastfoot",
            r"\multicolumn{4}{l}{\textit{first}} \\",
            r"a & b & c & d \\",
            r"e & f & g & h \\",
            r"\midrule",
            r"\multicolumn{4}{l}{\textit{second}} \\",
            r"i & j & k & l \\",
            r"\end{longtable}",
            r"\begin{itemize}\footnotesize",
            r"\item 1 \ensuremath{<} 2",
            r"\end{itemize}",
            "",
        ]
    )  # fmt: skip


def test_what_is_not_known_is_a_dash():
    frame = frame_of([{"A": "1"}, {"B": "2", "other": "left out"}], ["A", "B"])
    assert frame.values.tolist() == [["1", "—"], ["—", "2"]]


def test_the_best_of_a_group_is_marked_and_a_tie_of_all_is_not():
    shown = frame_of([{"SRCC": text} for text in ("0.9", "0.8", "—", "0.7", "0.7")], ["SRCC"])
    groups = [Cell("a"), Cell("a"), Cell("a"), Cell("b"), Cell("b")]
    table = Table("t", "Numbers: of two groups.", shown, shown, groups=groups, best=("SRCC",))
    marked = [[getattr(cell, "best", False) for (cell,) in rows] for _, rows in table.grouped_rows]
    assert marked == [[True, False, False], [False, False]]
    assert table.heading == "Numbers"
    assert [group.text for group in table.only([False, True, False, True, True]).groups] == ["a", "b", "b"]


def test_of_a_long_table_the_page_has_the_first_rows_and_says_so():
    rows = frame_of([{"a": str(number)} for number in range(5)], ["a"])
    table = Table("long", "Numbers.", rows, rows, groups=[Cell("of some")] * 5)
    assert table.first(5) is table
    cut = table.first(3)
    assert cut.shown["a"].tolist() == ["0", "1", "2"] and len(cut.groups) == 3 and len(cut.full) == 5
    assert (
        cut.caption == "Numbers. The first 3 of 5 rows; the file in tables/ has all." and cut.heading == table.heading
    )
