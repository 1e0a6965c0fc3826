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


def rewrite(page: str, block: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with `block` between its marks. Raises InputError where they are not there."""
    before, opened, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise InputError(f"no lines {begin.strip()} and {end.strip()}; put them around what the script writes")
    return before + opened + block + closed + after


if __name__ == "__main__":
    write_text(README, rewrite(README.read_text(encoding="utf-8"), render(read_yaml(SOURCE))))
