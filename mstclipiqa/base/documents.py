"""Reading and validating the files that people write."""

import math
from pathlib import Path

import jsonschema
import yaml

from mstclipiqa.base.errors import InputError

SCHEMAS = Path(__file__).parent / "schemas"
CONFIG_SCHEMA = SCHEMAS / "config.schema.yaml"
RECIPE_SCHEMA = SCHEMAS / "recipe.schema.yaml"


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML keeps the last in silence, and numbers that are not finite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in seen:
                raise yaml.YAMLError(f"the key {key.value} stands twice{key.start_mark}")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        number = super().construct_yaml_float(node)
        if not math.isfinite(number):
            raise yaml.YAMLError(f"{node.value} is no finite number{node.start_mark}")
        return number


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_yaml(path: Path | str) -> dict:
    """A YAML mapping. Raises InputError where the file is missing, is no YAML, says a thing twice, or holds something
    else."""
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys and values, found {type(document).__name__}")
    return document


def validate(document: object, schema: Path | str, source: Path | str) -> None:
    """Hold `document`, read from `source`, against a JSON schema.

    Raises InputError naming the key, what is wrong with it, and the schema to read.
    """
    validator = jsonschema.Draft202012Validator(read_yaml(schema))
    errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        error = jsonschema.exceptions.best_match(errors)
        key = ".".join(map(str, error.absolute_path)) or "top level"
        message = " ".join(error.message.split())
        raise InputError(f"{source}: {key}: {message}; see {schema}")
