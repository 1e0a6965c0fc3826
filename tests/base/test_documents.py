"""The files that people write: read strictly, refused in one line."""

from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest

from mstclipiqa.base.documents import read_yaml, validate
from mstclipiqa.base.errors import InputError

REPOSITORY = Path(__file__).parents[2]
SCHEMAS = REPOSITORY / "mstclipiqa" / "base" / "schemas"
SCHEMA = SCHEMAS / "config.schema.yaml"
RECIPE_SCHEMA = SCHEMAS / "recipe.schema.yaml"
NO_SUITES = {REPOSITORY / "config" / name for name in ("claims.yaml", "sources.yaml")}
CONFIGS = sorted(set((REPOSITORY / "config").glob("*.yaml")) - NO_SUITES)
RECIPES = sorted((REPOSITORY / "config" / "recipes").glob("*.yaml"))

MISSING = object()


def changed(document: dict, key: str, value: object) -> dict:
    """A copy of `document` with the value at `key`, dots between its levels, set or taken away."""
    document = deepcopy(document)
    *parents, last = key.split(".")
    node = document
    for parent in parents:
        node = node[parent]
    if value is MISSING:
        del node[last]
    else:
        node[last] = value
    return document


def refusal(document: dict, schema: Path, source: str) -> str:
    with pytest.raises(InputError) as error:
        validate(document, schema, source)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_values_are_what_the_file_says(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("a: 1\nb: [x, 木]\nc: {d: null}\n", encoding="utf-8")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1, "b": ["x", "木"], "c": {"d": None}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        (b"", ["NoneType"]),
        (b"# nothing but a comment\n", ["NoneType"]),
        (b"- a\n- b\n", ["list"]),
        (b"just a sentence", ["str"]),
        (b"a: [1, 2", ["not YAML", "line 1"]),
        (b"a:\tb: c\n", ["not YAML", "line 1"]),
        (b"a: !!python/name:os.system\n", ["not YAML"]),
        (b"\xff\xfe\x00", ["not YAML"]),
    ],
)
def test_what_is_no_mapping_is_one_line(content: bytes | None, words: list[str], tmp_path: Path):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


def test_folder_in_place_of_a_file_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=str(tmp_path)):
        read_yaml(tmp_path)


@pytest.mark.parametrize("path", [SCHEMA, RECIPE_SCHEMA], ids=lambda path: path.name)
def test_schema_is_itself_valid(path: Path):
    jsonschema.Draft202012Validator.check_schema(read_yaml(path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_is_valid_by_itself(path: Path):
    validate(read_yaml(path), SCHEMA, path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_is_valid_by_itself(path: Path):
    validate(read_yaml(path), RECIPE_SCHEMA, path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("recipies", ["released_code"], ["recipies"]),
        ("encoders.fine.weigths", "openai", ["encoders.fine", "weigths"]),
        ("encoders.Middle", {"model": "a", "weights": "b"}, ["encoders", "Middle"]),
        ("encoders.statistics", {"model": "a", "weights": "b"}, ["encoders", "statistics"]),
        ("draw.size", 1, ["draw", "size"]),
        ("extraction.thread", 2, ["extraction", "thread"]),
        ("seeds", MISSING, ["seeds", "required"]),
        ("encoders.coarse.model", MISSING, ["encoders.coarse", "model", "required"]),
        ("draw.scale", MISSING, ["draw", "scale", "required"]),
        ("seeds", 0, ["seeds", "array"]),
        ("seeds", [], ["seeds"]),
        ("seeds", [0, 0], ["seeds", "non-unique"]),
        ("seeds", [-1], ["seeds.0", "-1"]),
        ("seeds", [True], ["seeds.0", "True"]),
        ("seeds", ["zero"], ["seeds.0", "zero"]),
        ("benchmarks", "agiqa-3k", ["benchmarks", "array"]),
        ("benchmarks", [], ["benchmarks"]),
        ("when_missing", "go on", ["when_missing", "stop", "skip"]),
        ("extraction.batch_size", 0, ["extraction.batch_size", "0"]),
        ("extraction.threads", "two", ["extraction.threads", "two"]),
        ("draw", True, ["draw"]),
        ("draw.scale", 0, ["draw.scale", "0"]),
        ("draw.scale", 1.5, ["draw.scale", "1.5"]),
        ("draw.seed", 0.5, ["draw.seed", "0.5"]),
        ("suite", "My Suite", ["suite", "My Suite"]),
        ("suite", "../outside", ["suite", "../outside"]),
        ("suite", "tiny\n", ["suite", r"tiny\n"]),
        ("variants", ["mst-clipiqa\n"], ["variants.0", r"mst-clipiqa\n"]),
        ("encoders.coarse.model", "mst-small-32\n", ["encoders.coarse.model", r"mst-small-32\n"]),
        ("data_root", "data/{x}", ["data_root", "data/{x}"]),
        ("data_root", "data\nrm", ["data_root", r"data\nrm"]),
        ("data_root", None, ["data_root"]),
        ("data_root", "", ["data_root"]),
        ("encoders.coarse.weights", "openai; rm", ["encoders.coarse.weights", "openai; rm"]),
        ("encoders", None, ["encoders"]),
    ],
)
def test_mistake_in_a_configuration_names_the_key(key: str, value: object, words: list[str]):
    config = read_yaml(REPOSITORY / "config" / "config.yaml")
    message = refusal(changed(config, key, value), SCHEMA, "mine.yaml")
    assert message.startswith("mine.yaml: ") and message.endswith(f"see {SCHEMA}")
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("values.epoch", {"value": 20, "place": "x"}, ["values", "epoch"]),
        ("values.epochs", 20, ["values.epochs", "object"]),
        ("values.epochs", {"value": 20}, ["values.epochs", "place"]),
        ("values.epochs.value", 0, ["values.epochs.value", "0"]),
        ("values.epochs.plaec", "x", ["values.epochs"]),
        ("values.learning_rate.value", "5e-6", ["values.learning_rate.value", "5e-6", "number"]),
        ("values.template.value", "a photo", ["values.template.value", "a photo"]),
        ("values.optimiser.value", "sgd", ["values.optimiser.value", "sgd", "adam"]),
        ("values.projection_bias.value", "yes", ["values.projection_bias.value", "yes"]),
        ("source", MISSING, ["source", "required"]),
        ("notes", "x", ["notes"]),
    ],
)
def test_mistake_in_a_recipe_names_the_key(key: str, value: object, words: list[str]):
    recipe = read_yaml(REPOSITORY / "config" / "recipes" / "released_code.yaml")
    message = refusal(changed(recipe, key, value), RECIPE_SCHEMA, "recipe.yaml")
    assert [word for word in words if word not in message] == [], message
