"""A step's code fingerprint: the sources of the module it runs and of all project modules that one imports."""

import ast
import hashlib
from importlib.util import find_spec
from pathlib import Path

PACKAGE = __package__


def fingerprint(*modules: str) -> str:
    """Hex SHA-256 over the sources of `modules` and their imports from this package, however deep."""
    sources: dict[str, bytes] = {}
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in sources:
            spec = find_spec(module)
            if spec is None or spec.origin is None:
                raise ValueError(f"no module {module}")
            sources[module] = Path(spec.origin).read_bytes()
            pending += imported_modules(module, sources[module])
    state = hashlib.sha256()
    for module in sorted(sources):
        state.update(module.encode() + b"\0" + sources[module] + b"\0")
    return state.hexdigest()


def imported_modules(module: str, source: bytes) -> list[str]:
    """The modules of this package that a source imports, at any place in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from package import name` may name a module or something inside one
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == PACKAGE and _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a plain module, so the name is something inside it
        return False
