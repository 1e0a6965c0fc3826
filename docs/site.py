"""What the site has beside docs/ (mkdocs.yml): documents of other folders, a page per room, the notebook.

A link to what is on the site leads there. One to another file of the repository leads to `repo_url`; without one, only
its text stays.
"""

import json
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[1]

#: Documents outside docs/, and where they are on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "config/README.md": "config.md",
    "mstclipiqa/encoders/weights/README.md": "weights.md",
    "entries/README.md": "entries.md",
}
NOTEBOOK, NOTEBOOK_PAGE = "docs/verify-a-claim.ipynb", "notebook.md"

#: A link of Markdown, and its text.
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    pages = {place: (REPOSITORY / source).read_text(encoding="utf-8") for source, place in ELSEWHERE.items()}
    pages[NOTEBOOK_PAGE] = notebook_as_markdown(json.loads((REPOSITORY / NOTEBOOK).read_text(encoding="utf-8")))
    for room in sorted(path.parent.name for path in (REPOSITORY / "mstclipiqa").glob("*/__init__.py")):
        pages[f"api/{room}.md"] = f"---\ntitle: {room}\n---\n\n::: mstclipiqa.{room}\n"
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead every relative link to its place on the site or in the repository."""
    place = page.file.src_uri
    source = next((path for path, own in ELSEWHERE.items() if own == place), f"docs/{place}")

    def lead(found: re.Match[str]) -> str:
        mark, text, link = found.groups()
        if re.match(r"[a-z]+:|#", link):
            return found[0]
        path, _, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        inside = {**ELSEWHERE, NOTEBOOK: NOTEBOOK_PAGE}.get(
            path, path.removeprefix("docs/") if path.startswith("docs/") else ""
        )
        if inside and files.get_file_from_path(inside):
            target = os.path.relpath(inside, posixpath.dirname(place) or ".")
            return f"{mark}[{text}]({target}{'#' * bool(anchor)}{anchor})"
        return f"[{text}]({config.repo_url}/blob/main/{path})" if config.repo_url else text

    return LINK.sub(lead, markdown)


def notebook_as_markdown(notebook: dict) -> str:
    """A notebook's cells: text as it is, code as blocks."""
    cells = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        cells.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(cells) + "\n"
