"""config/README.md explains every key of a configuration, and names everything that lies in config/."""

import re
from pathlib import Path

from mstclipiqa.base.documents import CONFIG_SCHEMA, read_yaml

REPOSITORY = Path(__file__).parents[1]
CONFIG = REPOSITORY / "config"
PAGE = (CONFIG / "README.md").read_text(encoding="utf-8")
SCHEMA = read_yaml(CONFIG_SCHEMA)

#: The first cells of the table of keys, and the rest of their rows.
KEYS = dict(re.findall(r"^\| `([\w: *-]+)` \| (.*) \|$", PAGE.partition("## Every key")[2].partition("\n## ")[0], re.M))


def described(node: dict, path: tuple[str, ...] = ()) -> dict[str, bool]:
    """Every key that the schema knows, with those that lead to it, and whether it may be left out."""
    found: dict[str, bool] = {}
    for branch in node.get("oneOf", [node]):
        branch = branch.get("items", branch)
        for key, child in branch.get("properties", {}).items():
            if child.get("$ref") == "#/$defs/encoder":
                # the same for each encoder
                found |= {f"{path[0]}: *: {inner}": False for inner in SCHEMA["$defs"]["encoder"]["properties"]}
            found[": ".join([*path, key])] = key not in branch["required"]
            found |= described(child, (*path, key))
    return found


def test_every_key_is_explained_and_no_other():
    assert sorted(KEYS) == sorted(described(SCHEMA))


def test_optional_keys_are_marked():
    assert {key for key, row in KEYS.items() if row.startswith("*optional*")} == {
        key for key, optional in described(SCHEMA).items() if optional
    }


def test_the_schema_is_read_in_all_its_depth():
    assert {"suite", "draw: seed", "encoders: twin", "encoders: *: model", "also: targets"} <= set(described(SCHEMA))


def test_values_to_choose_from_are_named():
    for key, row in KEYS.items():
        node = SCHEMA
        for part in key.split(": "):
            node = next((b for b in node.get("oneOf", []) if "properties" in b), node)
            node = node.get("items", node)["properties"].get("coarse" if part == "*" else part, {})
            node = SCHEMA["$defs"]["encoder"] if node.get("$ref") == "#/$defs/encoder" else node
        choices = node.get("enum", node.get("items", {}).get("enum", []))
        assert [choice for choice in choices if f"`{choice}`" not in row] == [], key


def test_everything_in_the_folder_is_named():
    """And published splits, which lie there once one is added."""
    there = {path.name + "/" * path.is_dir() for path in CONFIG.iterdir()} - {"README.md"}
    named = set(re.findall(r"^\| `([\w.-]+(?:/|\.yaml|\.csv))` \|", PAGE, re.M))
    assert named == there | {"splits/"}
