"""A file of translated prompts: every prompt once, and no other."""

from pathlib import Path

import pytest

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.translations import read_translations

PROMPTS = ["a red fox, oil", "NA", "a red fox, oil", "a hill"]


def write(folder: Path, text: str) -> Path:
    path = folder / "zh.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_translations_stand_in_the_order_of_the_prompts(tmp_path: Path):
    path = write(tmp_path, 'translation,prompt\n山,a hill\n"红狐狸, 油画","a red fox, oil"\n无,NA\n')
    assert list(read_translations(path, PROMPTS).items()) == [
        ("a red fox, oil", "红狐狸, 油画"), ("NA", "无"), ("a hill", "山"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a hill,山\nNA,无", r"no translation of 'a red fox, oil' \(1 of 3 prompts lack one\); add it"),
        ("a hill,山\nNA,无\na hil,山", r"'a hil' is none of the benchmark's prompts \(1 such\)"),
        ("a hill,山\na hill,丘", "prompt 'a hill' stands twice; keep one row"),
        ("a hill,", "translation is empty in data row 1"),
    ],
)
def test_what_is_missing_doubled_or_strange_is_one_line(rows: str, said: str, tmp_path: Path):
    path = write(tmp_path, f"prompt,translation\n{rows}\n")
    with pytest.raises(InputError, match=said) as refused:
        read_translations(path, PROMPTS)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)
