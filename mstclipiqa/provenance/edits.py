"""What a results folder is refused for at little cost: files that are not the manifest's, and predictions that were
trained by another recipe than the manifest says. Report, bundle and reference are not made of those."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_description, sha256
from mstclipiqa.base.layout import MANIFEST, RUNS
from mstclipiqa.provenance.folder import RESTORE, read_manifest

NOT_ITS_HASH = "its SHA-256 is not the one in the manifest"


def is_store(name: str) -> bool:
    """Whether an output holds features, of images or texts: large, and made again by extraction."""
    return name.endswith(".safetensors")


def refuse_edited(results: Path) -> dict:
    """The manifest of a results folder whose outputs are the manifest's; feature stores may be missing, as they are
    from a bundle. Raises InputError, which names the first that does not hold, and how many do not."""
    manifest = read_manifest(MANIFEST.at(results))
    found = list(find_edits(results, manifest, lambda name: is_store(name) and not (results / name).exists()))
    if found:
        raise InputError(f"{results}/{found[0]} ({len(found)} findings; `mstclipiqa verify {results}` names all)")
    return manifest


def find_edits(results: Path, manifest: dict, left_out: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
    """What does not hold of a results folder, a line each: outputs that are missing or have other hashes than the
    manifest's, and predictions whose recipe has other values than the manifest says."""
    for name, expected in manifest["outputs"].items():
        path = results / name
        if left_out(name):
            continue
        if not path.is_file():
            yield f"{name}: is missing; copy it too, or run the workflow again"
        elif sha256(path) != expected:
            yield f"{name}: {NOT_ITS_HASH}; {RESTORE}"
        elif (recipe := recipe_of(name)) and recipe in manifest["recipes"]:
            values, trained = manifest["recipes"][recipe]["values"], _described(path).get("recipe_values")
            if trained != values:
                yield f"{name}: {describe_recipe(trained, values, recipe)}; delete it and run the workflow again"


def recipe_of(name: str) -> str | None:
    """The recipe that predictions were trained by, as their place says; None for another output."""
    parts, pattern = name.split("/"), RUNS.path.split("/")
    alike = len(parts) == len(pattern) and parts[1] == pattern[1] and name.endswith(".parquet")
    return parts[pattern.index("{recipe}")] if alike else None


def describe_recipe(trained: object, values: dict, recipe: str) -> str:
    """How the values that predictions say they were trained with are not those of the manifest's recipe."""
    if not isinstance(trained, dict):
        return f"does not say by which values of {recipe} it was trained"
    differing = sorted(key for key in values.keys() | trained.keys() if trained.get(key) != values.get(key))
    key = differing[0]
    return f"was trained with {key} {trained.get(key)}, and recipe {recipe} of the manifest has {values.get(key)}"


def _described(path: Path) -> dict:
    """What a table says of itself; nothing where it is none."""
    try:
        found = read_description(path)
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}
