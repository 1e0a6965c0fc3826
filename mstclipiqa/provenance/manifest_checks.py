"""What the manifest says: held against the configuration in it, the recipes' files, and the hashes of outputs."""

import json
from pathlib import Path

from mstclipiqa.base.files import sha256
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import (
    BENCHMARK_TABLES,
    MANIFEST,
    NOTES,
    SUITE_TABLES,
)
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance.differences import show
from mstclipiqa.provenance.folder import RESTORE, Folder


def check_manifest(folder: Folder) -> None:
    """Suite, benchmarks, recipes, variants, protocols, encoders and outputs are those of the configuration."""
    manifest, config, find = folder.manifest, folder.config, folder.verdict.find
    grids = [config, *config["also"]]
    expected = {
        "suite": config["suite"],
        "title": config["title"],
        "recipes": sorted({name for grid in grids for name in grid["recipes"]}),
        "variants": sorted({name for grid in grids for name in grid["variants"]}),
        "protocols": sorted(config["protocols"]),
    }
    for key, value in expected.items():
        held = sorted(manifest[key]) if isinstance(value, list) else manifest[key]
        if held != value:
            find(MANIFEST.path, f"{key} {show(held)}; the configuration in it says {show(value)}")
    if sorted(manifest["benchmarks"]) != sorted(BENCHMARKS):
        find(MANIFEST.path, f"benchmarks {show(sorted(manifest['benchmarks']))}; there are {show(sorted(BENCHMARKS))}")
    for name in set(folder.present) - set(config["benchmarks"]):
        find(MANIFEST.path, f"benchmark {name} is present, and not in the configuration")
    for name in expected["variants"]:
        get_variant(name)
    for name in config["protocols"]:
        if manifest["protocols"].get(name) != describe_protocol(name):
            find(MANIFEST.path, f"protocol {name} is described otherwise than this version does")
    for role, identity in manifest["encoders"].items():
        asked = config["encoders"].get(role, {"model": None, "weights": ""})
        said = {"model": identity.get("model"), "weights": identity.get("weights")}
        # weights in a file are known by its name
        if said not in (asked, asked | {"weights": Path(asked["weights"]).name}):
            find(MANIFEST.path, f"encoder {role} is {show(said)}; the configuration in it says {show(asked)}")
    outputs = set(manifest["outputs"])
    runs = {job.path for job in folder.jobs}
    tables = {entry.path for entry in SUITE_TABLES}
    tables |= {entry.path.format(benchmark=name) for name in folder.present for entry in BENCHMARK_TABLES}
    for name in sorted((runs | tables) - outputs):
        find(MANIFEST.path, f"names no output {name}, which the configuration in it asks for")
    for name in sorted(outputs - runs):
        if name.split("/")[1:2] == ["runs"]:
            find(MANIFEST.path, f"names the output {name}, which the configuration in it does not ask for")
    _check_recipes(folder)
    if manifest["code"]["fingerprint"] != fingerprint(data=["."]):
        code = manifest["code"]
        folder.verdict.notes.append(
            f"whether the code is the same: the results are by version {code['version']}, commit {code['commit']}, "
            "and this is another; numbers that differ may be its doing"
        )


def _check_recipes(folder: Folder) -> None:
    """Recipes are those of the files, where they are at hand."""
    unknown = []
    for name, recipe in folder.manifest["recipes"].items():
        path = folder.config_folder / "recipes" / f"{name}.yaml" if folder.config_folder else None
        if path is None or not path.is_file():
            unknown.append(name)
            continue
        values = json.loads(json.dumps(load_recipe(path).values))
        differing = [key for key in values if recipe["values"].get(key) != values[key]]
        if differing:
            key = differing[0]
            what = f"recipe {name} has {key} {recipe['values'].get(key)}, {path} has {values[key]}"
            folder.verdict.find(
                MANIFEST.path, what, "run the workflow again, or verify beside the recipes it was run with"
            )
        else:
            folder.verdict.counts["recipes"] += 1
    if unknown:
        folder.verdict.notes.append(f"recipes {', '.join(unknown)}: their files are not at hand")


def check_outputs(folder: Folder) -> None:
    """Every output is there with the manifest's hash."""
    left_out = []
    for name, expected in folder.manifest["outputs"].items():
        path = folder.root / name
        if not path.is_file():
            if folder.left_out(name):
                left_out.append(name)
            else:
                folder.verdict.find(name, "is missing", "copy it too, or run the workflow again")
        elif sha256(path) != expected:
            folder.verdict.find(name, "its SHA-256 is not the one in the manifest", RESTORE)
        else:
            folder.verdict.counts["outputs by hash"] += 1
    if left_out:
        folder.verdict.notes.append(f"{len(left_out)} feature stores: not in it")
    others = [
        path
        for path in folder.root.rglob("*")
        if path.is_file()
        and path.relative_to(folder.root).as_posix() not in {MANIFEST.path, *folder.manifest["outputs"]}
        and path.relative_to(folder.root).parts[0] not in NOTES
    ]
    if others:
        shown = min(path.relative_to(folder.root).as_posix() for path in others)
        folder.verdict.notes.append(f"{len(others)} files that the manifest does not name, e.g. {shown}")
