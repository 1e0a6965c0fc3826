"""docs/architecture.md names what is there: places, rooms, tables, protocols, recipes, kinds of claims, files."""

import ast
import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import LAYOUT
from mstclipiqa.claims.paper import EXPAND
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.protocols import PROTOCOLS
from mstclipiqa.model.variants import FUSIONS, VARIANTS

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
FIRST_CELLS = [row[0] for row in ROWS]

#: `path`, or `path:Name`, of this repository.
PLACES = sorted(set(re.findall(r"`((?:mstclipiqa|config|workflow|docs|\.github)/[\w./-]+?\.\w+(?::[\w.]+)?)`", PAGE)))

#: What the paper defines, by how its row begins.
DEFINITIONS = (
    "two frozen CLIP encoders", "the appendix's fine stream", "GFF's gate", "Eq. 5, the fused feature",
    "MST-CLIPIQA's template head", "MST-CLIPIQA\\*'s attention to the prompt", "MST-CLIPIQA\\*'s regression",
    "the loss", "the ranking loss", "the optional gate-sparsity term", "Adam", "augmentation", "the reported epoch",
    "the three targets, the five quality levels",
)  # fmt: skip


def defined(path: Path, name: str) -> bool:
    """Whether a module defines a name, or a class of it `Class.method`."""
    body = ast.parse(path.read_bytes()).body
    for part in name.split("."):
        found = [node for node in body if part in names_of(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def names_of(node: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_exists(place: str):
    path, _, name = place.partition(":")
    assert (REPOSITORY / path).is_file()
    assert not name or defined(REPOSITORY / path, name)


def test_a_lost_name_is_seen():
    heads = REPOSITORY / "mstclipiqa" / "model" / "heads.py"
    assert defined(heads, "PromptHead.attend")
    assert not defined(heads, "PromptHead.detach") and not defined(heads, "attend")


def test_rooms_stand_on_the_floors_of_the_import_rule():
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    floors = [
        [name.strip().removeprefix("mstclipiqa.") for name in re.split(r"[|:]", layer)]
        for layer in reversed(layers)
        if "__main__" not in layer
    ]
    expected = [(str(floor), f"`{name}`") for floor, names in enumerate(floors, 1) for name in names]
    below = {1: "no room", 2: "floor 1"}
    shown = [row for row in ROWS if row[0].isdigit()]
    assert sorted(tuple(row[:2]) for row in shown) == sorted(expected)
    for row in shown:
        floor = int(row[0])
        assert row[3].startswith(below.get(floor, f"floors 1 to {floor - 1}")), row
    rooms = {path.parent.name for path in (REPOSITORY / "mstclipiqa").glob("*/__init__.py")}
    assert rooms == {name for names in floors for name in names}


def test_every_equation_and_table_of_the_paper_has_a_row():
    printed = (REPOSITORY / "config" / "paper_tables.csv").read_text(encoding="utf-8").splitlines()[1:]
    tables = [f"Table {table}:" for table in {row.partition(",")[0] for row in printed}]
    for beginning in (*DEFINITIONS, *tables):
        assert [cell for cell in FIRST_CELLS if cell.startswith(beginning)], beginning


def test_every_reader_fusion_protocol_recipe_and_kind_of_claim_has_a_row():
    for benchmark in BENCHMARKS.values():
        module = benchmark.read.__module__.replace(".", "/")
        assert [f"{benchmark.title}", f"`{module}.py:read`"] in ROWS
    for path in FUSIONS.glob("[!_]*.py"):
        assert path.relative_to(REPOSITORY).as_posix() in PAGE
    for name in set(VARIANTS) - {path.stem.replace("_", "-") for path in FUSIONS.glob("*.py")}:
        assert f"`{name}`" in PAGE
    for protocol in PROTOCOLS:
        name = protocol.pattern.replace("{n}", "N").replace("{name}", "NAME")
        row = next(row for row in ROWS if row[0].startswith(f"`{name}`"))
        module = protocol.splits.__module__.replace(".", "/")
        assert row[1] == f"`{module}.py:{protocol.splits.__name__}`"
    for recipe in (REPOSITORY / "config" / "recipes").glob("*.yaml"):
        assert any(row[0].startswith(f"recipe `{recipe.stem}`") for row in ROWS), recipe
    for kind in EXPAND:
        assert any(cell.startswith(f"`{kind}`") for cell in FIRST_CELLS), kind


# The table of result files, which docs/layout.py writes


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    for name in ("layout", "measured"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("layout")


def test_the_page_shows_the_layout(script):
    assert script.rewrite(PAGE, script.render(LAYOUT), script.BEGIN, script.END) == PAGE, "run: python docs/layout.py"


def test_another_layout_is_another_page(script):
    fewer = {name: entry for name, entry in LAYOUT.items() if name != "METRICS"}
    assert "`metrics.parquet`" not in script.render(fewer)
    rows = script.render(LAYOUT).splitlines()
    assert next(row for row in rows if "`SPLITS`" in row).endswith("| **protocol**, **split**, **image**, role |")


def test_lost_marks_are_one_line(script):
    with pytest.raises(InputError, match="put them around"):
        script.rewrite("# No marks", "block", script.BEGIN, script.END)
