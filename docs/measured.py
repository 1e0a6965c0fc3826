"""Writes the README's measured numbers from docs/measured.yaml: `python docs/measured.py`."""

from pathlib import Path

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_text

SOURCE = Path(__file__).with_name("measured.yaml")
README = SOURCE.parents[1] / "README.md"
BEGIN, END = "<!-- docs/measured.py writes this from docs/measured.yaml -->\n", "<!-- to here -->\n"


def render(document: dict) -> str:
    """The figures of measured.yaml as a Markdown table, and the machines they were measured on."""
    lines = ["| of | measured | by | on |", "|---|---|---|---|"]
    for row in document["measured"]:
        figures = (f"{each['what']}: {each['value']:,} {each.get('unit', '')}".strip() for each in row["figures"])
        lines.append(f"| {row['of']} | {'; '.join(figures)} | `{row['command']}` | {row['machine']}, {row['date']} |")
    return "\n".join([*lines, "", *(f"{name}: {what}." for name, what in document["machines"].items()), ""])


def rewrite(readme: str, block: str) -> str:
    """The README with `block` between its marks. Raises InputError where they are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"README.md: no lines {BEGIN.strip()} and {END.strip()}; put them around the measured numbers")
    return before + begin + block + end + after


if __name__ == "__main__":
    write_text(README, rewrite(README.read_text(encoding="utf-8"), render(read_yaml(SOURCE))))
