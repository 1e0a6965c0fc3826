"""Reading and validating the files that people write."""

import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.text import printable

SCHEMAS = Path(__file__).parent / "schemas"
CONFIG_SCHEMA = SCHEMAS / "config.schema.yaml"
RECIPE_SCHEMA = SCHEMAS / "recipe.schema.yaml"

#: What a document may have. The largest of the project has 11 kB; what an alias stands for counts each time it stands.
MOST_BYTES, MOST_VALUES = 2**20, 100_000


class _Loader(yaml.CSafeLoader):  # libyaml's, which takes an eighth of the time
    """Refuses a key that stands twice, of which YAML keeps the last in silence; numbers that are not finite; and
    aliases that stand for more than MOST_VALUES values, or for what they are in."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if _weigh(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values, as its aliases are counted")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in seen:
                raise yaml.YAMLError(f"the key {printable(str(key.value))} stands twice{key.start_mark}")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        number = super().construct_yaml_float(node)
        if not math.isfinite(number):
            raise yaml.YAMLError(f"{node.value} is no finite number{node.start_mark}")
        return number


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _weigh(node: yaml.Node | None, known: dict[int, float]) -> float:
    """The values in a node, without end where it holds itself. `known` are those of nodes by their id."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: met again in here, it holds itself
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_weigh(part, known) for part in parts)
    return known[id(node)]


def read_yaml(path: Path | str) -> dict:
    """A YAML mapping. Raises InputError where the file is missing, too large, no YAML, says a thing twice, or holds
    something else."""
    try:
        size = Path(path).stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path}: {size:,} bytes; no document here has more than {MOST_BYTES:,}")
        document = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read; give yourself the right to") from None
    except InputError:
        raise
    except Exception as error:  # of a date or a number that is none, PyYAML raises whatever it comes upon
        raise InputError(f"{path}: not YAML ({printable(' '.join(str(error).split())[:300])})") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys and values, found {type(document).__name__}")
    return document


def _check_pattern(
    validator: Any, pattern: str, instance: object, schema: object
) -> Iterator[jsonschema.ValidationError]:
    """The `$` of a JSON schema is the end of the text. Python's stands before a last line end too."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _check_pattern})


@functools.cache
def _validator(schema: Path | str) -> Any:
    return _Validator(read_yaml(schema))


def validate(document: object, schema: Path | str, source: Path | str) -> None:
    """Hold `document`, read from `source`, against a JSON schema.

    Raises InputError naming the key, what is wrong with it, and the schema to read.
    """
    errors = sorted(_validator(schema).iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        error = jsonschema.exceptions.best_match(errors)
        key = ".".join(map(str, error.absolute_path)) or "top level"
        message = " ".join(error.message.split())[:300]
        raise InputError(f"{source}: {key}: {message}; see {schema}")
