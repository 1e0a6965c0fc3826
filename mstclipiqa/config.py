"""Reading and validating the files that people write."""

from pathlib import Path

import jsonschema
import yaml

from mstclipiqa.errors import InputError

SCHEMAS = Path(__file__).parent / "schemas"
CONFIG_SCHEMA = SCHEMAS / "config.schema.yaml"
RECIPE_SCHEMA = SCHEMAS / "recipe.schema.yaml"


def read_yaml(path: Path | str) -> dict:
    """A YAML mapping. Raises InputError where the file is missing, is no YAML, or holds something else."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
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
