"""Training recipes: what each source states, with the released code's values where it is silent."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from mstclipiqa.base.documents import RECIPE_SCHEMA, read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest
from mstclipiqa.base.names import LEVELS

#: The only complete source; the others are silent on some values.
COMPLETE = "released_code"


@dataclass(frozen=True)
class Recipe:
    """One way to train, complete. `stated` maps each value's key to its place in the source; the other keys
    are silent there and hold the released code's value."""

    name: str
    title: str
    source: str
    stated: dict[str, str]
    fine_stream: str
    optimiser: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: str
    warm_up_epochs: int
    final_learning_rate: float
    ranking_weight: float
    ranking_margin: float
    gate_sparsity: float
    gate_hidden: int
    projection_bias: bool
    template: str
    learnable_levels: bool
    temperature: float
    learnable_temperature: bool
    attention_heads: int
    attention_norm: bool
    regression_hidden: int | None
    regression_skip: bool
    regression_dropout: float
    augmentation: dict | None
    views: int
    trained_scale: str
    adaptation: dict | None = None

    @property
    def values(self) -> dict:
        """What the training depends on: every value, and nothing about where it stands. Frozen encoders leave none."""
        frozen = {"adaptation"} if self.adaptation is None else set()
        return {key: value for key, value in asdict(self).items() if key in VALUES and key not in frozen}

    @property
    def digest(self) -> str:
        """A short digest of the values, by which a job knows that its recipe is the one that it was planned with."""
        return digest(self.values)[:16]

    @property
    def views_digest(self) -> str:
        """The same of what augmented views depend on alone."""
        return digest([self.views, self.augmentation])[:16]

    @property
    def needs_images(self) -> bool:
        """Whether features of the images as they are do not suffice."""
        return bool(self.views or self.adaptation)

    @property
    def silent(self) -> list[str]:
        """The keys whose value was filled in from the released code."""
        return [key for key in self.values if key not in self.stated]


def level_texts(template: str) -> list[str]:
    """The five quality levels in a template, in the order of LEVELS. Raises InputError for one without its {}."""
    if not re.fullmatch(r"[^{}]*\{\}[^{}]*", template):
        raise InputError(f"template {template!r}: give one {{}} for the level, as in 'a photo with {{}} quality'")
    return [template.format(level) for level in LEVELS]


def describe_adaptation(adaptation: dict | None) -> str:
    """What a recipe trains of the image encoders, in words."""
    if adaptation is None:
        return "frozen encoders"
    blocks, rank, rate = (adaptation[key] for key in ("blocks", "rank", "learning_rate"))
    where = "all" if blocks is None else "last block" if blocks == 1 else f"last {blocks} blocks"
    return f"{where} trained at {rate:g}" if rank is None else f"{where} with LoRA of rank {rank} at {rate:g}"


VALUES = tuple(field.name for field in fields(Recipe) if field.name not in ("name", "title", "source", "stated"))


def load_recipe(path: Path | str) -> Recipe:
    """Read `<folder>/<name>.yaml`, completed from `<folder>/released_code.yaml`.

    Raises InputError for an unreadable file, an unknown key, a value that training cannot use, augmented views beside
    an adaptation, and where no source states a value.
    """
    path = Path(path)
    released = path.with_name(f"{COMPLETE}.yaml")
    document, complete = _read_recipe(path), _read_recipe(released)
    missing = sorted(set(VALUES) - set(complete["values"]))
    if missing:
        raise InputError(f"{released}: no value for {', '.join(missing)}; this recipe states every value")
    stated = {key: entry["place"] for key, entry in document["values"].items()}
    values = {key: entry["value"] for key, entry in {**complete["values"], **document["values"]}.items()}
    if values["adaptation"] and values["views"]:
        raise InputError(f"{path}: trains the encoders, and on cached features of augmented views; set views to 0")
    return Recipe(path.stem, document["title"], document["source"], stated, **values)


class Change(NamedTuple):
    """Two recipes that differ in the value `key` alone; the first is no change of another."""

    key: str
    base: str
    changed: str


def single_changes(recipes: Mapping[str, Mapping[str, object]]) -> list[Change]:
    """Which recipes change one value of another, of the `values` of each by its name; a base comes first in them."""
    made: list[Change] = []
    for base, changed in permutations(recipes, 2):
        keys = dict.fromkeys([*recipes[base], *recipes[changed]])
        apart = [key for key in keys if recipes[base].get(key) != recipes[changed].get(key)]
        known = {change.changed for change in made}
        if len(apart) == 1 and base not in known and changed not in known | {change.base for change in made}:
            made.append(Change(apart[0], base, changed))
    return made


def load_planned(place: str, views: bool = False) -> Recipe:
    """The recipe in a file, named as FILE or as FILE#DIGEST; the digest is of its views alone if so asked.

    Raises InputError as `load_recipe` does, and where the values are not those of the digest: the file was edited
    between the planning of a workflow and its job.
    """
    path, _, planned = place.partition("#")
    recipe = load_recipe(path)
    if planned and planned != (recipe.views_digest if views else recipe.digest):
        raise InputError(f"{path}: other values than this run was planned with; run the workflow again")
    return recipe


def _read_recipe(path: Path) -> dict:
    document = read_yaml(path)
    validate(document, RECIPE_SCHEMA, path)
    return document
