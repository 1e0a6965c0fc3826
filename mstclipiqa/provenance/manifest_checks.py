"""What the manifest says: held against the configuration in it, the recipes' files, the texts of this version, the
predictions, and the hashes of outputs."""

import json
from pathlib import Path

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import CURVES, GATES, MANIFEST, NOTES, READOUT, TRANSFER
from mstclipiqa.data.benchmarks import BENCHMARKS, told_of
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.encoders.architectures import portable_name
from mstclipiqa.entries.entry import Entry
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance.differences import show
from mstclipiqa.provenance.edits import find_edits
from mstclipiqa.provenance.folder import Folder
from mstclipiqa.provenance.manifest import PACKAGES, READINGS
from mstclipiqa.study.jobs import list_grids
from mstclipiqa.study.study import Study

HARDWARE = ("machine", "system", "processor", "instructions", "cores", "memory_gb", "gpu")


def check_manifest(folder: Folder) -> None:
    """Suite, benchmarks, recipes, variants, protocols, encoders and outputs are those of the configuration; titles,
    descriptions and readings are those of this version."""
    manifest, config, find = folder.manifest, folder.config, folder.verdict.find
    grids = list_grids(config)
    variants = sorted({name for grid in grids for name in grid["variants"]})
    expected = {
        "suite": config["suite"],
        "title": config["title"],
        "recipes": sorted({name for grid in grids for name in grid["recipes"]}),
        "variants": sorted({*variants, *(entry.name for entry in folder.entries)}),
        "protocols": sorted(config["protocols"]),
    }
    for key, value in expected.items():
        held = sorted(manifest[key]) if isinstance(value, list) else manifest[key]
        if held != value:
            find(MANIFEST.path, f"{key} {show(held)}; the configuration in it says {show(value)}")
    if not folder.same_code:
        code = manifest["code"]
        folder.verdict.notes.append(
            f"whether the code is the same: the results are by version {code['version']}, commit {code['commit']}, "
            "and this is another; numbers that differ may be its doing"
        )
    for name in config["protocols"]:
        if manifest["protocols"].get(name) != describe_protocol(name):
            find(MANIFEST.path, f"protocol {name} is described otherwise than this version does")
    _check_benchmarks(folder)
    _check_texts(folder, variants)
    _check_entries(folder)
    _check_encoders(folder)
    if folder.study:
        _check_outputs_named(folder, folder.study)
    _check_recipes(folder)
    _check_configuration(folder)


def _check_benchmarks(folder: Folder) -> None:
    """Every benchmark is present, or absent for a reason that the configuration gives."""
    held, config, find = folder.manifest["benchmarks"], folder.config, folder.verdict.find
    if sorted(held) != (expected := sorted(told_of(config["benchmarks"]))):
        find(MANIFEST.path, f"benchmarks {show(sorted(held))}; there are {show(expected)}")
    if not folder.present:
        find(MANIFEST.path, "no benchmark is present")
    for name in set(folder.present) - set(config["benchmarks"]):
        find(MANIFEST.path, f"benchmark {name} is present, and not in the configuration")
    for name in sorted(held.keys() & BENCHMARKS.keys()):
        entry, title = held[name], BENCHMARKS[name].title
        if entry["title"] != title:
            find(MANIFEST.path, f"the title of benchmark {name} is {show(entry['title'])}, not {title}")
        source = config.get("packs", {}).get(name)
        reason = f"no pack {source}" if source else f"no folder {Path(config['data_root']) / name}"
        reason = reason if name in config["benchmarks"] else "not selected in this configuration"
        if entry["status"] == "absent" and entry.get("reason") != reason:
            find(MANIFEST.path, f"{name} is absent for {show(entry.get('reason'))}; the configuration says {reason}")


def _check_texts(folder: Folder, variants: list[str]) -> None:
    """What the page says in words: the variants' titles and descriptions, and the readings."""
    for name in variants:
        variant, held = get_variant(name), folder.manifest["variants"].get(name)
        if held != {"title": variant.title, "description": variant.description}:
            folder.said_otherwise(f"variant {name} is called and described")
    if folder.manifest.get("readings") != list(READINGS):
        folder.said_otherwise("the readings are given")
    versions, hardware = folder.manifest["versions"], folder.manifest.get("hardware")
    if sorted(versions) != sorted(("python", *PACKAGES)):
        folder.said_otherwise("versions are listed")
    if not isinstance(hardware, dict) or sorted(hardware) != sorted(HARDWARE):
        folder.said_otherwise("hardware is described")


def _check_entries(folder: Folder) -> None:
    """The entries are those of the configuration, by their folders, each in its place and called as its card does."""
    held, find = folder.manifest.get("entries", {}), folder.verdict.find
    asked = {str(Path(name)) for name in folder.config.get("entries", [])}
    named = {entry["folder"] for entry in held.values()}
    # Of a benchmark that takes no part, no entry does.
    whole = set(folder.config["benchmarks"]) <= set(folder.present)
    if not named <= asked or (whole and named != asked):
        find(MANIFEST.path, f"entries {show(sorted(named))}; the configuration in it says {show(sorted(asked))}")
    for path, entry in held.items():
        card = Entry(entry["card"], Path(entry["folder"]))
        said = {"title": card.card["method"], "description": card.description}
        if path != card.path or folder.manifest["variants"].get(card.name) != said:
            find(MANIFEST.path, f"entry {path} is called and described otherwise than its card says")


def _check_encoders(folder: Folder) -> None:
    """The encoders are those of the configuration, in its precision, and each that is needed is there."""
    config, find = folder.config, folder.verdict.find
    packed = [entry.get("encoders", {}) for entry in folder.manifest["benchmarks"].values()]
    described = [(role, {"name": role, **identity}) for encoders in packed for role, identity in encoders.items()]
    for role, identity in [*folder.manifest["encoders"].items(), *described]:
        asked = config["encoders"].get(role, {"model": None, "weights": ""})
        said = {"model": identity.get("model"), "weights": identity.get("weights")}
        # weights in a file are known by its name, and so is a model in a folder
        named = asked | {"model": asked["model"] and portable_name(asked["model"])}
        if said not in (named, named | {"weights": Path(asked["weights"]).name}):
            find(MANIFEST.path, f"encoder {role} is {show(said)}; the configuration in it says {show(asked)}")
        if identity.get("name") != role:
            find(MANIFEST.path, f"encoder {role} calls itself {show(identity.get('name'))}")
        precision = config["extraction"]["precision"]
        if identity.get("precision") != precision:
            find(
                MANIFEST.path, f"encoder {role} ran in {identity.get('precision')}; the configuration says {precision}"
            )
    needed = {config["text_encoder"]}
    if folder.study:
        needed |= {role for name in folder.present for role in folder.study.encoders(name)}
    for role in sorted(needed - folder.manifest["encoders"].keys()):
        find(MANIFEST.path, f"describes no encoder {role}, which the configuration in it needs")


def _check_outputs_named(folder: Folder, study: Study) -> None:
    """The outputs are those that a study of this configuration has: runs, tables, stores, controls and verdicts."""
    outputs, find = set(folder.manifest["outputs"]), folder.verdict.find
    asked = {*study.outputs, *study.controls}
    for name in sorted(asked - outputs):
        find(MANIFEST.path, f"names no output {name}, which the configuration in it asks for")
    for name in sorted(outputs - asked):
        find(MANIFEST.path, f"names the output {name}, which the configuration in it does not ask for")
    shown = [entry.path.format(recipe=recipe) for recipe in study.recipes for entry in (READOUT, GATES)]
    for name in sorted({*shown, CURVES.path, TRANSFER.path} - asked - outputs):
        if (folder.root / name).exists():
            find(name, "no output of this configuration, and a report would show it", "move it away")


def _check_recipes(folder: Folder) -> None:
    """Recipes are those of the files, where they are at hand; a source is silent on what it does not state."""
    unknown = []
    for name, recipe in folder.manifest["recipes"].items():
        stated = recipe.get("stated")
        silent = recipe["values"].keys() - stated.keys() if isinstance(stated, dict) else None
        if silent is None or sorted(map(str, recipe.get("silent") or [])) != sorted(silent):
            folder.verdict.find(MANIFEST.path, f"recipe {name}: what its source is silent on is not what is not stated")
        path = folder.config_folder / "recipes" / f"{name}.yaml" if folder.config_folder else None
        if path is None or not path.is_file():
            unknown.append(name)
            continue
        file = load_recipe(path)
        values = json.loads(json.dumps(file.values))
        held = {**recipe["values"], **{key: recipe.get(key) for key in ("title", "source", "stated")}}
        expected = {**values, "title": file.title, "source": file.source, "stated": file.stated}
        differing = [key for key in held.keys() | expected.keys() if held.get(key) != expected.get(key)]
        if differing:
            key = min(differing, key=[*expected, *held].index)
            what = f"recipe {name} has {key} {show(held.get(key))}, {path} has {show(expected.get(key))}"
            folder.verdict.find(
                MANIFEST.path, what, "run the workflow again, or verify beside the recipes it was run with"
            )
        else:
            folder.verdict.counts["recipes"] += 1
    if unknown:
        folder.verdict.notes.append(f"recipes {', '.join(unknown)}: their files are not at hand")


def _check_configuration(folder: Folder) -> None:
    """Say where the suite's configuration file is at hand and says otherwise: a run may be told other values."""
    for path in sorted(folder.config_folder.glob("*.yaml")) if folder.config_folder else ():
        try:
            document = read_yaml(path)
        except InputError:
            continue
        if document.get("suite") == folder.config["suite"]:
            differing = [key for key, value in folder.config.items() if document.get(key) != value]
            if differing:
                keys = ", ".join(differing)
                folder.verdict.notes.append(f"which configuration was run: {path} has other values of {keys}")


def check_outputs(folder: Folder) -> None:
    """Every output is there with the manifest's hash, and predictions were trained by the manifest's recipe."""
    outputs = folder.manifest["outputs"]
    absent = {name for name in outputs if folder.left_out(name) and not (folder.root / name).is_file()}
    edits = list(find_edits(folder.root, folder.manifest, absent.__contains__))
    folder.verdict.findings += edits
    folder.verdict.counts["outputs by hash"] += len(outputs) - len(absent) - len(edits)
    if absent:
        folder.verdict.notes.append(f"{len(absent)} feature stores: not in it")
    others = [
        path
        for path in folder.root.rglob("*")
        if path.is_file()
        and path.relative_to(folder.root).as_posix() not in {MANIFEST.path, *outputs}
        and path.relative_to(folder.root).parts[0] not in NOTES
    ]
    if others:
        shown = min(path.relative_to(folder.root).as_posix() for path in others)
        folder.verdict.notes.append(f"{len(others)} files that the manifest does not name, e.g. {shown}")
