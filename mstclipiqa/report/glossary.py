"""The words of docs/glossary.md that the page explains where they stand."""

import re
from pathlib import Path

#: A link to docs/glossary.md, so that the wheel holds it too.
GLOSSARY = Path(__file__).with_name("glossary.md")


def read_glossary(path: Path = GLOSSARY) -> dict[str, str]:
    """The meanings by word, as plain text; a row of several words gives each of them."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = [[re.sub(r"\\(?=\*)|`", "", cell) for cell in row] for row in rows if row[0] != "word"]
    return {word.strip(): meaning for words, meaning in plain for word in words.split(",")}


class Terms:
    """The words that a page has used: `terms(word)` is its meaning, and `used` has those asked for."""

    def __init__(self) -> None:
        self.meanings = read_glossary()
        self.used: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The meaning of a word. Raises KeyError where the glossary lacks it."""
        return self.used.setdefault(word, self.meanings[word])
