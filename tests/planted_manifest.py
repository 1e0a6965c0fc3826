"""A manifest that holds, of results that nobody computed: its checks need no more of them than this says."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import write_json
from mstclipiqa.data.benchmarks import BENCHMARKS, OF_PAPER
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance.folder import Folder, RecordedStudy
from mstclipiqa.provenance.manifest import PACKAGES, READINGS
from mstclipiqa.provenance.manifest_checks import HARDWARE

CONFIG = Path(__file__).parents[1] / "config"
FINGERPRINT = "c0ffee"


def manifest(recipes: Path) -> dict:
    """Of AGIQA-3K alone, with the recipes of a folder."""
    config = read_yaml(CONFIG / "agiqa-3k.yaml") | {"suite": "planted", "title": "Planted"}
    config |= {"recipes": ["slow"], "also": []}
    described = {
        "suite": "planted",
        "title": "Planted",
        "config": config,
        "code": {"version": "0.1.0", "fingerprint": FINGERPRINT, "commit": "abc"},
        "versions": dict.fromkeys(("python", *PACKAGES), "1.0"),
        "hardware": dict.fromkeys(HARDWARE, "any") | {"gpu": "none"},
        "benchmarks": {
            name: {"title": benchmark.title, "status": "absent", "reason": "not selected in this configuration"}
            for name, benchmark in BENCHMARKS.items()
            if name in OF_PAPER
        },
        "encoders": {
            role: {"name": role, **encoder, "precision": "float32", "label": encoder["model"], "dim": 4}
            for role, encoder in config["encoders"].items()
        },
        "recipes": {},
        "variants": {},
        "protocols": {name: describe_protocol(name) for name in config["protocols"]},
        "readings": list(READINGS),
        "inputs": {},
        "outputs": {},
    }
    described["benchmarks"]["agiqa-3k"] = {"title": "AGIQA-3K", "status": "present", "prompts_truncated": 0}
    for name in config["variants"]:
        described["variants"][name] = {"title": get_variant(name).title, "description": get_variant(name).description}
    recipe = load_recipe(recipes / "slow.yaml")
    parts = ("title", "source", "values", "stated", "silent")
    described["recipes"]["slow"] = {name: getattr(recipe, name) for name in parts}
    described = json.loads(json.dumps(described))
    study = RecordedStudy(described, ["agiqa-3k"])
    described["outputs"] = dict.fromkeys([*study.outputs, *study.controls], "0" * 64)
    return described


def write_recipes(config: Path) -> None:
    for name in ("released_code", "slow"):
        document = read_yaml(CONFIG / "recipes" / "released_code.yaml")
        if name == "slow":
            document = {"title": "Slow", "source": "a test", "values": {"epochs": {"value": 2, "place": "here"}}}
        path = config / "recipes" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document))


def planted(root: Path, change: Callable[[dict], object] = lambda manifest: None, config: bool = True) -> Folder:
    """The folder `root`/results, with nothing but a manifest, of which something may be changed."""
    write_recipes(root / "config")
    document = manifest(root / "config" / "recipes")
    change(document)
    write_json(root / "results" / "manifest.json", document)
    return Folder(root / "results", None, root / "config" if config else None, lambda name: False)
