"""An entry: a folder with a method's scores of one benchmark and target, and a card that says where they come from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from mstclipiqa.base.documents import SCHEMAS, read_yaml, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest, sha256, write_text
from mstclipiqa.base.layout import RUNS
from mstclipiqa.base.names import ENTERED
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.label_files import as_sheet, first_row, read_sheet, to_numbers
from mstclipiqa.data.protocols import get_protocol
from mstclipiqa.evaluation.averages import AVERAGES
from mstclipiqa.model.variants import VARIANTS

ENTRY_SCHEMA = SCHEMAS / "entry.schema.yaml"

#: The two files of an entry.
CARD, SCORES = "card.yaml", "scores.csv"

#: The columns of scores. Those of a method that was trained on splits name the run too; its seed is 0, where none is
#: given.
SCORED, RUN_COLUMNS = ("image", "prediction"), ("protocol", "split", "seed")

#: The largest score: sums of squares of larger ones, which correlations take, may be beyond all numbers.
LARGEST = 1e100

#: From how many digits on scores of this project's own are tried, and how many hold any number.
FEWEST_DIGITS, ALL_DIGITS = 5, 17

#: What a card says of a method where its authors say nothing.
NOT_STATED = "not stated"

#: What the author of an entry is asked for, by its key in the card, and what stands there without an answer.
CLAIMS = {
    "paper": NOT_STATED, "code": NOT_STATED, "licence": NOT_STATED, "training_data": NOT_STATED,
    "saw_test_images": NOT_STATED, "lower_is_better": False,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A checked card, and where it was read."""

    card: Mapping
    folder: Path

    @property
    def name(self) -> str:
        """What stands in the place of a variant's name."""
        return self.card["name"]

    @property
    def benchmark(self) -> str:
        return self.card["benchmark"]

    @property
    def target(self) -> str:
        return self.card["target"]

    @property
    def path(self) -> str:
        """Its predictions, relative to a results folder."""
        return RUNS.path.format(benchmark=self.benchmark, target=self.target, recipe=ENTERED, variant=self.name)

    @property
    def description(self) -> str:
        """The method in a line, as tables describe it."""
        return f"entered scores; training data: {self.card['training_data']}"

    @property
    def files(self) -> list[Path]:
        """What the entry consists of."""
        return [self.folder / CARD, self.folder / SCORES]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """As `read_scores`."""
        return read_scores(self.folder / SCORES)

    @property
    def identity(self) -> dict:
        """What results say of the entry that they rest on: the card, and the SHA-256 of the scores."""
        return {"card": dict(self.card), "scores_sha256": sha256(self.folder / SCORES)}


def read_entry(folder: Path) -> Entry:
    """The entry in a folder; its scores are read when they are asked for. Raises InputError for a card that is missing,
    and as `check_card` does."""
    card = read_yaml(folder / CARD)
    check_card(card, folder / CARD)
    return Entry(card, folder)


def check_card(card: Mapping, path: Path) -> None:
    """Raises InputError where a card, of the file `path`, is not of the schema, calls the method as a variant of this
    project, or has an unknown benchmark or target."""
    validate(dict(card), ENTRY_SCHEMA, path)
    if card["name"] in VARIANTS or card["name"] in AVERAGES:
        raise InputError(f"{path}: name: {card['name']!r} is a variant of this project; choose another name")
    if card["benchmark"] not in BENCHMARKS:
        raise InputError(f"{path}: benchmark: {card['benchmark']!r} is unknown; known: {', '.join(BENCHMARKS)}")
    if card["target"] not in BENCHMARKS[card["benchmark"]].targets:
        rated = ", ".join(BENCHMARKS[card["benchmark"]].targets)
        raise InputError(f"{path}: target: {card['benchmark']} does not rate {card['target']}; it rates {rated}")


def find_entries(folder: Path) -> list[Entry]:
    """The entries in a folder, however deep: each folder with a card. Raises InputError where there is none, where two
    are of the same method, benchmark and target, and as `read_entry` does."""
    found = [read_entry(card.parent) for card in sorted(folder.rglob(CARD))]
    if not found:
        raise InputError(f"{folder}: no entry; an entry is a folder with {CARD} and {SCORES} (`mstclipiqa enter`)")
    check_names(found)
    return found


def check_names(entries: list[Entry]) -> None:
    """Raises InputError where two entries are of the same method, benchmark and target, or a method has two names or
    two methods have one."""
    seen: dict[str, Entry] = {}
    methods: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    for entry in entries:
        if other := seen.get(entry.path):
            raise InputError(
                f"{entry.folder}: {entry.name} is entered for {entry.benchmark}, {entry.target} in {other.folder} too; "
                "remove one, or give it another name"
            )
        seen[entry.path] = entry
        first = methods.setdefault(entry.name, entry)
        if first.card["method"] != entry.card["method"]:
            raise InputError(
                f"{entry.folder}: {entry.name} is called {entry.card['method']!r}, and {first.card['method']!r} in "
                f"{first.folder}; give one method one name"
            )
        named = names.setdefault(entry.card["method"], entry)
        if named.name != entry.name:
            raise InputError(
                f"{entry.folder}: the method {entry.card['method']!r} has the name {entry.name}, and {named.name} in "
                f"{named.folder}; give one method one name"
            )


def read_scores(path: Path) -> pd.DataFrame:
    """The scores of a CSV file: image, prediction and, of a method trained on splits, protocol, split and seed.

    Raises InputError for other columns, and as `check_scores` does.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a CSV file with the columns {' and '.join(SCORED)}")
    columns = first_row(path)
    if strange := [column for column in columns if column not in (*SCORED, *RUN_COLUMNS)]:
        raise InputError(
            f"{path}: unknown column {strange[0][:80]!r}; scores have {', '.join(SCORED)} and, of a trained method, "
            f"{', '.join(RUN_COLUMNS)}"
        )
    return check_scores(path, read_sheet(path, [*(column for column in RUN_COLUMNS if column in columns), *SCORED]))


def check_scores(path: Path | str, table: pd.DataFrame) -> pd.DataFrame:
    """The scores of a table, as `read_scores` gives them; `path` is what a message begins with.

    Raises InputError for missing columns, empty cells, unknown protocols, predictions that are no numbers up to
    LARGEST, and splits or seeds that are no numbers from 0.
    """
    given = [column for column in RUN_COLUMNS if column in table]
    if given and not {"protocol", "split"} <= set(given):
        raise InputError(
            f"{path}: has the column {given[0]} alone; a trained method names protocol and split of each row"
        )
    frame = as_sheet(path, table, [*given, *SCORED])
    frame["prediction"] = to_numbers(path, "prediction", frame["prediction"])
    if len(large := frame["prediction"][frame["prediction"].abs() > LARGEST]):
        raise InputError(
            f"{path}: prediction is {large.iloc[0]:g} in data row {large.index[0] + 1} ({len(large)} such rows); its "
            f"square is beyond all numbers, give scores up to {LARGEST:g}"
        )
    if given and "seed" not in given:
        frame.insert(2, "seed", "0")
    for column in ("split", "seed") if given else ():
        numbers = to_numbers(path, column, frame[column])
        if len(wrong := frame[column][(numbers % 1 != 0) | (numbers < 0)]):
            raise InputError(
                f"{path}: {column} {wrong.iloc[0][:80]!r} in data row {wrong.index[0] + 1} is no number from 0"
            )
        frame[column] = numbers.astype("int64")
    for protocol in frame["protocol"].unique() if given else ():
        try:
            get_protocol(protocol)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    if frame.empty:
        raise InputError(f"{path}: no row; give a score for each image")
    return frame


def round_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores in the fewest digits, from FEWEST_DIGITS on, in which none that differ within a run are equal, so that
    files are small and every rank is kept."""
    given = scores["prediction"]
    runs = [scores[column] for column in RUN_COLUMNS if column in scores] or [pd.Series(0, scores.index)]
    different = given.groupby(runs).nunique()
    for digits in range(FEWEST_DIGITS, ALL_DIGITS):
        rounded = given.map(f"{{:.{digits}g}}".format).astype(float)
        if rounded.groupby(runs).nunique().equals(different):
            return scores.assign(prediction=rounded)
    return scores


def write_entry(folder: Path, card: Mapping, scores: pd.DataFrame) -> Entry:
    """Write an entry, the card last; seeds that are all 0 are left out. Equal scores in another order are equal
    bytes."""
    check_card(card, folder / CARD)
    if "seed" in scores and (scores["seed"] == 0).all():
        scores = scores.drop(columns="seed")
    ordered = scores.sort_values([column for column in (*RUN_COLUMNS, "image") if column in scores])
    write_text(folder / SCORES, ordered.to_csv(index=False, lineterminator="\n"))
    write_text(folder / CARD, yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=120))
    return read_entry(folder)


def name_of(method: str) -> str:
    """A method's name for files, from how tables call it. Raises InputError where nothing is left of it."""
    name = re.sub(r"[^a-z0-9]+", "-", method.lower().replace("*", " star")).strip("-")[:64].strip("-")
    if not name:
        raise InputError(f"--method {method!r}: has no letter or digit to name files with; give --name")
    return name


def labels_digest(samples: pd.DataFrame, target: str) -> str:
    """SHA-256 of a benchmark's images and their MOS of one target, in the order of the names."""
    ordered = samples.sort_values("image")
    return digest([ordered["image"].tolist(), [repr(mos) for mos in ordered[target].astype(float).tolist()]])


def images_digest(samples: pd.DataFrame) -> str:
    """SHA-256 of a benchmark's images and the hashes of their bytes, in the order of the names."""
    ordered = samples.sort_values("image")
    return digest([ordered["image"].tolist(), ordered["sha256"].tolist()])


def make_card(
    method: str, benchmark: str, target: str, samples: pd.DataFrame, name: str = "", **claims: object
) -> dict:
    """The card of scores that were checked against `samples`; `claims` are those of CLAIMS that the author makes."""
    return {
        "name": name or name_of(method),
        "method": method,
        "benchmark": benchmark,
        "target": target,
        "labels": labels_digest(samples, target),
        "images": images_digest(samples),
        **{key: claims.get(key, default) for key, default in CLAIMS.items()},
    }
