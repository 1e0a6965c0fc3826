"""Values that `snakemake --config` gives, as a configuration file has them."""

from typing import Any

import yaml


def read_typed(given: Any) -> Any:
    """What a mapping, a list or a text says in YAML: of a list or a mapping Snakemake gives all that it holds as text,
    also where it is a number. Other values stay as they are."""
    if isinstance(given, dict):
        return {key: read_typed(value) for key, value in given.items()}
    if isinstance(given, list):
        return [read_typed(value) for value in given]
    if not isinstance(given, str):
        return given
    loader = yaml.SafeLoader("")
    return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, given, (True, False)), given))
