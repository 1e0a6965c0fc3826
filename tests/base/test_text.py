"""Text of others is shown, not obeyed."""

import json

import pytest

from mstclipiqa.base.files import write_json, write_text
from mstclipiqa.base.text import inert, printable


@pytest.mark.parametrize("text", ["a red fox", "木 « é »", "a\u200db", "a\u00a0b", "🦊", "1|2", "\\n"])
def test_text_of_any_language_stays_what_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize("code", [0, 7, 8, 9, 10, 13, 27, 0x7F, 0x9B, 0x202E, 0x2066, 0x2028, 0xD800, 0xDCFF, 0xDFFF])
def test_what_a_terminal_obeys_or_utf_8_lacks_stands_as_its_escape(code):
    shown = printable(f"a{chr(code)}b")
    assert shown.isprintable() and shown.encode().decode() == shown
    assert shown.startswith("a\\") and shown.endswith("b") and eval(f'"{shown}"') == f"a{chr(code)}b"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd", "@SUM(A1)", "\t=1"])
def test_a_formula_is_text(text):
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+0.5", "-1e-3", "-inf", "nan", "a=1", "", "—", "− 3"])
def test_numbers_and_other_text_stay(text):
    assert inert(text) == text


def test_files_hold_names_of_other_bytes(tmp_path):
    write_text(tmp_path / "a.csv", "a\udcff.png\n")
    assert (tmp_path / "a.csv").read_text() == "a\\udcff.png\n"
    write_json(tmp_path / "a.json", {"name": "a\udcff.png"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"name": "a\udcff.png"}
