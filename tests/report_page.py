"""The page of a report, read."""

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """The tags of a page, its visible text, and a check that every tag is closed in order."""

    VOID = {"meta", "link", "br", "hr", "img", "input"}

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.tags, self.open, self.words = path, [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]
