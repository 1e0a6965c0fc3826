"""What is declared in more than one place says the same, and what is pinned is what runs."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.encoders.clip import check_encoder

REPOSITORY = Path(__file__).parents[1]
NO_SUITES = {REPOSITORY / "config" / name for name in ("claims.yaml", "sources.yaml")}
CONFIGS = sorted(set((REPOSITORY / "config").glob("*.yaml")) - NO_SUITES)
SCHEMA = read_yaml(REPOSITORY / "mstclipiqa" / "base" / "schemas" / "config.schema.yaml")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ENVIRONMENT = read_yaml(REPOSITORY / "environment.yml")

#: They decide the bytes of the features, and an open range pairs builds that do not fit.
PINNED = ("torch", "torchvision", "open_clip_torch")

#: Keys of the configuration that need no word of explanation.
#: What a configuration may leave out: encoders that only some recipes and variants need.
OPTIONAL = {
    (): {"split_seeds", "packs", "entries", "dissect", "translations", "streams", "main"},
    ("encoders",): {"retokenised", "twin", "twin-fine", "text"},
    ("extraction",): {"device"},
}
SELF_EVIDENT = {"title", "benchmarks", "variants", "encoders", "coarse", "fine", "extraction"}


def canonical(name: str) -> str:
    """A distribution's name, without version or extras, as the package index compares it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", name)[0]).lower()


def resolved(node: dict) -> dict:
    """A schema node, its reference followed."""
    return SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else node


def objects(node: dict, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict]]:
    """Every mapping that the configuration's schema describes, with the keys that lead to it."""
    node = resolved(node)
    branches = [branch for branch in map(resolved, node.get("oneOf", [node])) if "properties" in branch]
    found = [(path, branch) for branch in branches]
    for branch in branches:
        for key, child in branch["properties"].items():
            found += objects(child, (*path, key))
    return found


MAPPINGS = objects(SCHEMA)


def test_conda_installs_what_the_package_depends_on():
    pip = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert pip == PROJECT["dependencies"]


def test_conda_python_is_one_that_the_package_takes():
    python = next(entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python="))
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.removeprefix("python=").split("."))) >= tuple(map(int, oldest.split(".")))


@pytest.mark.parametrize("name", PINNED)
def test_what_decides_the_bytes_is_pinned_to_what_runs_here(name: str):
    pin = next(entry for entry in PROJECT["dependencies"] if canonical(entry) == canonical(name))
    assert pin == f"{name}=={version(name).partition('+')[0]}"


@pytest.mark.parametrize("name", ["numpy", "pillow"])
def test_what_decodes_and_computes_has_an_upper_bound(name: str):
    """A next major version may decode or draw otherwise; the one that runs here is within."""
    entry = Requirement(next(entry for entry in PROJECT["dependencies"] if canonical(entry) == name))
    assert entry.specifier.contains(version(name))
    assert not entry.specifier.contains(f"{int(version(name).partition('.')[0]) + 1}.0")


def test_lock_has_every_requirement_in_a_version_that_it_takes_with_hashes():
    text = re.sub(r"#.*\n", "", (REPOSITORY / "requirements.lock").read_text())
    entries = re.findall(r"([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", text)
    assert "".join(f"{name}=={locked}{hashes}\n" for name, locked, hashes in entries) == text, "nothing else is in it"
    versions = {name: locked for name, locked, _ in entries}
    asked = map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
    assert [
        str(entry) for entry in asked if not entry.specifier.contains(versions.get(canonical(entry.name), "0"))
    ] == []


def test_actions_are_pinned_by_commit():
    """A tag may be moved to another commit; the version stands beside it."""
    workflows = (REPOSITORY / ".github" / "workflows").glob("*.yml")
    used = re.findall(r"uses: (.*)", "".join(path.read_text() for path in workflows))
    assert used and [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line)] == []


def test_every_imported_package_is_declared():
    """Directly, as an extra, or as something that a declared package requires, such as seaborn's matplotlib."""
    declared = {canonical(entry) for entry in PROJECT["dependencies"]}
    brought = {canonical(entry) for name in declared for entry in requires(name) or [] if "extra ==" not in entry}
    extras = PROJECT["optional-dependencies"]
    declared |= {canonical(entry) for entry in (*extras["texts"], *extras["metrics"])}
    distributions = packages_distributions()
    missing = set()
    for path in (REPOSITORY / "mstclipiqa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            tops = {module.split(".")[0] for module in modules} - {"mstclipiqa", *sys.stdlib_module_names}
            missing |= {
                f"{path.name}: {top}"
                for top in tops
                if not {canonical(name) for name in distributions.get(top, [top])} & (declared | brought)
            }
    assert missing == set()


def test_configurations_are_found():
    assert {"config.yaml", "paper.yaml", "agiqa-3k.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
@pytest.mark.parametrize(("keys", "mapping"), MAPPINGS, ids=lambda value: ".".join(value) if value else "top")
def test_every_key_of_the_schema_is_required_and_given(keys: tuple[str, ...], mapping: dict, path: Path):
    """No defaults in the code: what is run stands in the configuration, and nothing else does."""
    optional = OPTIONAL.get(keys, set())
    assert mapping["additionalProperties"] is False
    assert set(mapping["required"]) == set(mapping["properties"]) - optional
    node = read_yaml(path)
    for key in keys:
        if key not in node and key in OPTIONAL.get(keys[: keys.index(key)], set()):
            return
        node = node[key]
    if keys == ("draw",) and node is None:
        return
    named = "|".join(mapping.get("patternProperties", ["$^"]))
    assert set(mapping["required"]) <= set(node)
    assert {key for key in node if not re.search(named, key)} <= set(mapping["properties"])


def test_every_key_is_explained():
    """By the schema, or by a comment in the default configuration."""
    lines = (REPOSITORY / "config" / "config.yaml").read_text().splitlines()
    commented = {line.split(":")[0].strip() for line in lines if re.match(r"\s*\w+:.*\s# ", line)}
    described = {key for _, mapping in MAPPINGS for key, node in mapping["properties"].items() if "description" in node}
    every = {key for _, mapping in MAPPINGS for key in mapping["properties"]}
    assert every - commented - described - SELF_EVIDENT == set()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_suite_is_named_after_its_file(path: Path):
    suite = read_yaml(path)["suite"]
    assert suite == ("default" if path.stem == "config" else path.stem)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_only_drawn_suites_are_called_synthetic(path: Path):
    config = read_yaml(path)
    assert ("synthetic" in config["title"]) == (config["draw"] is not None and not config.get("packs"))


def test_paper_suite_uses_openais_weights_with_quickgelu():
    encoders = read_yaml(REPOSITORY / "config" / "paper.yaml")["encoders"]
    assert encoders == {
        "coarse": {"model": "ViT-B-32-quickgelu", "weights": "openai"},
        "fine": {"model": "ViT-B-16-quickgelu", "weights": "openai"},
        "retokenised": {"model": "ViT-B-32-quickgelu@16", "weights": "openai"},
        "twin": {"model": "ViT-B-32", "weights": "laion2b_s34b_b79k"},
        "twin-fine": {"model": "ViT-B-16", "weights": "laion2b_s34b_b88k"},
    }
    check_encoder("ViT-B-32", "laion2b_s34b_b79k")  # LAION's were trained with GELU
    check_encoder("ViT-B-16", "laion2b_s34b_b88k")
