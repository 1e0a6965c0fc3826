"""A step's code fingerprint: the sources of the module it runs and of all project modules that one imports.

Sources are read, never imported: the Snakefile takes fingerprints at every start. What Python runs on the way to a
module counts too: the `__init__` of each package that it lies in. The root's does not, which holds the version and
computes nothing: a new version alone reruns no step. Imports for type checkers alone do not count either.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def fingerprint(*modules: str, data: Iterable[str] = ()) -> str:
    """Hex SHA-256 over the sources of `modules` and of their imports from this package, however deep.

    `data` names files of the package that count too, and folders with all in them but documents: `data=["."]` is all
    of it.
    Raises ValueError for an unknown module.
    """
    contents: dict[str, bytes] = {}
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in contents:
            source = source_file(module)
            if source is None:
                raise ValueError(f"no module {module}")
            contents[module] = source.read_bytes()
            pending += [*imported_modules(contents[module]), *packages_of(module)]
    for folder in data:
        place = PACKAGE / folder
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".md"):  # a document decides nothing
                contents[path.relative_to(PACKAGE).as_posix()] = path.read_bytes()
    state = hashlib.sha256()
    for name in sorted(contents):
        state.update(name.encode() + b"\0" + contents[name] + b"\0")
    return state.hexdigest()


def packages_of(module: str) -> list[str]:
    """The packages that a module lies in, without the root."""
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(2, len(parts))]


def source_file(module: str) -> Path | None:
    """Where the source of a module of this package lies; None where the package has no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    if not path.is_relative_to(PACKAGE):
        return None
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache  # one source counts in many fingerprints
def imported_modules(source: bytes) -> tuple[str, ...]:
    """The modules of this package that a source imports, at any place in it; the root is none of them."""
    found: list[str] = []
    for node in _imports(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import name` may name a module or something inside one
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return tuple(sorted({name for name in found if name != PACKAGE.name and source_file(name)}))


def _imports(node: ast.AST) -> Iterator[ast.AST]:
    """The statements below a node that import, but for those for type checkers alone. Expressions, which are most of a
    source, are passed over: none imports."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children = node.orelse
    for child in children:
        if not isinstance(child, ast.expr):
            yield from _imports(child)
