"""Text of others in the report's tables: it compiles, it links to nothing, it splits no cell, and it is no formula."""

import io
import re
import shutil
import subprocess
from html import unescape

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from mstclipiqa.report import write_report
from mstclipiqa.report.latex import latex_text
from mstclipiqa.report.table import Cell, Table, frame_of

#: Letters that LaTeX needs packages for, and others that it does not.
WITHOUT_MACRO = "Жя«»‹›„𝒜ℝþŋđ木🦊ꙮ"
WITH_MACRO = "é±−—–’“”≥≤×·α€…≈°ŁßøÅñçΩ→½"
LIVE = [
    "[click](https://evil.example)", "![see](https://evil.example/a.png)", "https://evil.example", "www.evil.example",
    "[a]: https://evil.example", "[click][a]", "<https://evil.example>", "<b>bold</b>", "me@evil.example",
    "*b*", "**b**", "[a](javascript:alert(1))", "![a](data:text/html,x)", "\\[a](b)", "[a\\](b)",
    "mailto:me@evil.example",
]  # fmt: skip


def table_of(text: str) -> Table:
    rows = [{"A": Cell(text, text), "B": text}, {"A": "x", "B": "y"}]
    return Table(
        "t", text, frame_of(rows, ["A", "B"]), frame_of(rows, ["A", "B"]), notes=[text], groups=[Cell(text)] * 2
    )


@pytest.mark.parametrize("letter", WITHOUT_MACRO)
def test_a_letter_that_latex_lacks_stands_as_its_number(letter):
    assert latex_text(f"a{letter}b") == (
        rf"a\ensuremath{{\langle}}\texttt{{U+{ord(letter):04X}}}\ensuremath{{\rangle}}b"
    )


@pytest.mark.parametrize("letter", WITH_MACRO)
def test_a_letter_that_latex_has_is_that_letter(letter):
    assert "U+" not in latex_text(letter) and latex_text(letter).isascii()


def test_a_letter_in_two_parts_is_the_letter():
    assert latex_text("e\u0301") == latex_text("é")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_tables_of_any_letters_compile(tmp_path):
    """With the two packages that the table names, and the oldest font encoding."""
    every = "".join(
        map(chr, [*range(0x20, 0x7F), *range(0xA1, 0x500), *range(0x1E00, 0x2C00), *range(0x1D400, 0x1D7FF)])
    )
    parts = [every[start : start + 100] for start in range(0, len(every), 100)]
    text = table_of(WITHOUT_MACRO + WITH_MACRO + r"% & # _ { } ~ ^ $ \input{x}").latex()
    document = ["\\documentclass{article}", "\\usepackage{booktabs}", "\\usepackage{longtable}", "\\begin{document}"]
    document += [text, *(f"{latex_text(part)}\n" for part in parts), "\\end{document}"]
    (tmp_path / "t.tex").write_text("\n".join(document))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]


@pytest.mark.parametrize("text", LIVE)
def test_markdown_shows_text_and_links_to_nothing(text):
    """As GitHub's dialect reads it, addresses that are not marked included."""
    markdown = MarkdownIt("gfm-like", {"linkify": False}).enable("table").render(table_of(text).markdown())
    assert not any(tag in markdown for tag in ("<a ", "<img", "<b>", "<em>", "<strong>")), markdown
    assert not any(live in table_of(text).markdown() for live in ("://", "www.", "@", "]("))


@pytest.mark.parametrize("text", ["a|b", r"a\|b", r"a\\|b", "a\\", "|", r"\|\|"])
def test_no_text_splits_a_cell(text):
    html = MarkdownIt("commonmark").enable("table").render(table_of(text).markdown())
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
    assert [unescape(cell) for cell in cells] == [text, f"{text} {text}", text, text, "x", "y"]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", '=HYPERLINK("x")'])
def test_no_cell_of_a_csv_file_starts_a_formula(text):
    read = pd.read_csv(io.StringIO(table_of(text).csv()), dtype=str, keep_default_na=False)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in read.to_numpy().ravel())


def test_numbers_of_a_csv_file_are_as_they_were():
    full = pd.DataFrame(
        {
            "a": [-1.5, 2e-7, float("nan")],
            "b": [-1, 0, 1],
            "c": ["-1", "+0.5", "a-b"],
            "d": [True, None, "x"],
            "e": [None] * 3,
        }
    )
    assert Table("t", "", full, full).csv() == full.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def test_a_table_without_rows_has_a_heading():
    """Of columns in two rows, none of which has an upper heading."""
    text = Table("t", "", pd.DataFrame(), frame_of([], [("", "Method")])).latex()
    assert r"Method \\" in text and "'" not in text


def test_the_summary_links_to_nothing_either(make_results, tmp_path):
    root = make_results(word="[click](https://evil.example)")
    manifest = root / "manifest.json"
    manifest.write_text(manifest.read_text().replace("MST-CLIPIQA: a tiny suite", "![see](https://evil.example/a.png)"))
    write_report(root, tmp_path / "report")
    text = (tmp_path / "report" / "summary.md").read_text()
    assert "evil.example" in text and "](" not in text and "://" not in text


def test_control_characters_are_shown():
    table = table_of("a\x1b[2Jb\u202e")
    for text in (table.csv(), table.markdown(), table.latex()):
        assert "\x1b" not in text and "\u202e" not in text
