"""A results folder under verification: its manifest, its tables as they are read, and what was found."""

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from mstclipiqa.base.documents import CONFIG_SCHEMA, RECIPE_SCHEMA, SCHEMAS, validate
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import MANIFEST
from mstclipiqa.base.workers import spread
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.entries.entry import ENTRY_SCHEMA, Entry
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.provenance.differences import TOLERANCE, describe_difference
from mstclipiqa.study.jobs import Job, list_grids, list_jobs
from mstclipiqa.study.refusals import refuse_streams
from mstclipiqa.study.study import Study

Item = TypeVar("Item")
Result = TypeVar("Result")

SCHEMA = SCHEMAS / "manifest.schema.yaml"

#: What verdicts and page take from the folder config/: the claims, the printed numbers, what others published.
PAPER_FILES = ("claims.yaml", "paper_tables.csv", "prior_results.csv")

AGAIN = "delete it and run the workflow again"
RESTORE = "restore it, or delete it and run the workflow again"


@dataclass
class Verdict:
    """What does not hold (one line each: file, what, what to do), what was checked, what was not and why, and who
    signed it, where a signature was asked for."""

    findings: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    signed_by: str = ""

    @property
    def summary(self) -> str:
        """What was checked, with counts."""
        return ", ".join(f"{count:,} {what}" for what, count in self.counts.items())

    def find(self, file: object, what: str, todo: str = AGAIN) -> None:
        self.findings.append(" ".join(f"{file}: {what}; {todo}".split()))

    def add(self, other: "Verdict") -> None:
        """What another check of the same folder found, counted and noted."""
        self.findings += other.findings
        self.counts += other.counts
        self.notes += other.notes


def read_manifest(path: Path) -> dict:
    """A manifest whose shape verification can rely on. Raises InputError."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; name a folder results/<suite>, or a bundle") from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({' '.join(str(error).split())}); {AGAIN}") from None
    validate(manifest, SCHEMA, path)
    validate(manifest["config"], CONFIG_SCHEMA, f"{path}, config")
    try:
        refuse_streams(manifest["config"])
    except InputError as error:
        raise InputError(f"{path}, config: {error}") from None
    for entry in manifest.get("entries", {}).values():
        validate(entry["card"], ENTRY_SCHEMA, f"{path}, entries")
    for name in [*manifest["inputs"], *manifest["outputs"]]:
        if not stays_inside(name):
            raise InputError(f"{path}: {name!r} names a file outside the folder; {AGAIN}")
    return manifest


def stays_inside(name: str) -> bool:
    """Whether a relative path with forward slashes stays in its folder, on any system."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/")) and not {"\\", ":"} & set(name)


class RecordedStudy(Study):
    """The study that a manifest describes: its benchmarks and recipes are those of the manifest, whatever lies on this
    machine. Raises InputError for recipes of another version's shape."""

    def __init__(self, manifest: dict, present: list[str]):
        self.config = manifest["config"]
        self.suite = self.config["suite"]
        self.drawn = self.config["draw"] is not None
        self.data_root = Path(self.config["data_root"])
        try:
            self.recipes = {
                name: Recipe(name, entry.get("title", ""), entry.get("source", ""), {}, **entry["values"])
                for name, entry in manifest["recipes"].items()
            }
        except TypeError as error:
            raise InputError(f"{MANIFEST.path}: recipes of another version's shape ({error}); {AGAIN}") from None
        for name, recipe in self.recipes.items():
            stated = {} if recipe.adaptation is None else {"adaptation": {"value": recipe.adaptation, "place": ""}}
            validate({"title": "", "source": "", "values": stated}, RECIPE_SCHEMA, f"{MANIFEST.path}, recipe {name}")
        self.variants = list(manifest["variants"])
        self._sizes = {role: manifest["encoders"].get(role, {}).get("dim") for role in self.config["encoders"]}
        self.benchmarks = present
        self.jobs = list_jobs(self.config, present)
        self.entries = entries_of(manifest, present)

    @property
    def sizes(self) -> Mapping[str, int | None]:
        """As the features say it: a folder that describes a model may lie on another machine."""
        return self._sizes


def entries_of(manifest: dict, present: list[str]) -> list[Entry]:
    """The entries that a manifest describes, of benchmarks that are present."""
    entries = [Entry(entry["card"], Path(entry["folder"])) for entry in manifest.get("entries", {}).values()]
    return [entry for entry in entries if entry.benchmark in present]


class Folder:
    """A results folder under verification. `workers` processes do what is spread; then `left_out` is a function of a
    module."""

    def __init__(
        self,
        root: Path,
        data_root: Path | None,
        config: Path | None,
        left_out: Callable[[str], bool],
        workers: int = 1,
    ):
        self.root = root
        self.workers = workers
        self.data_root = data_root
        self.config_folder = config
        self.left_out = left_out
        self.verdict = Verdict()
        self.manifest = read_manifest(root / MANIFEST.path)
        self.config = self.manifest["config"]
        self.samples: dict[str, tuple[pd.DataFrame, dict]] = {}
        self.splits: dict[str, pd.DataFrame] = {}
        self.stores: set[str] = set()  # those that hold
        self.readable: list[Job | Entry] = []
        self.metrics = pd.DataFrame()

    @property
    def paper_files(self) -> list[Path]:
        """The PAPER_FILES, in their order; none where one is missing."""
        files = [self.config_folder / name for name in PAPER_FILES] if self.config_folder else []
        return files if all(file.is_file() for file in files) else []

    @property
    def present(self) -> list[str]:
        """The benchmarks that the manifest says took part, in the configuration's order, as the study has them."""
        entries, names = self.manifest["benchmarks"], dict.fromkeys([*self.config["benchmarks"], *BENCHMARKS])
        return [name for name in names if name in BENCHMARKS and entries.get(name, {}).get("status") == "present"]

    @cached_property
    def jobs(self) -> list[Job]:
        """The training jobs that the configuration asks for."""
        return list_jobs(self.config, self.present)

    @cached_property
    def entries(self) -> list[Entry]:
        """The entries that the manifest describes."""
        return entries_of(self.manifest, self.present)

    @cached_property
    def study(self) -> Study | None:
        """The study that the manifest describes; None where it has no benchmark, or not the configuration's recipes,
        which is a finding, and where they are of another version's shape, which is said."""
        asked = {name for grid in list_grids(self.config) for name in grid["recipes"]}
        whole = self.present and asked <= self.manifest["recipes"].keys()
        try:
            return RecordedStudy(self.manifest, self.present) if whole else None
        except InputError as error:
            if self.same_code:
                self.verdict.findings.append(str(error))
            else:
                self.verdict.notes.append(f"outputs and controls: {error}")
            return None

    @cached_property
    def same_code(self) -> bool:
        """Whether the results are by the code that verifies them, so that its texts are to be theirs."""
        return self.manifest["code"]["fingerprint"] == fingerprint(data=["."])

    def said_otherwise(self, what: str) -> None:
        """That the manifest says a thing otherwise than this version does: a finding where the code is the same."""
        if self.same_code:
            self.verdict.find(MANIFEST.path, f"{what} otherwise than this version does")
        else:
            self.verdict.notes.append(f"{what} otherwise than this version, which is another")

    def is_packed(self, benchmark: str) -> bool:
        """Whether the features of a benchmark come from a pack."""
        return benchmark in self.config.get("packs", {})

    def identity(self, role: str, text: bool = False, benchmark: str = "") -> dict | None:
        """The identity of an encoder as files hold it, those of a benchmark's pack where it has one; of its text tower,
        which is never rounded, with `text`."""
        packed = benchmark != "" and self.is_packed(benchmark)
        known = self.manifest["benchmarks"][benchmark].get("encoders", {}) if packed else self.manifest["encoders"]
        identity = known.get(role)
        if not identity:
            return None
        identity = {key: value for key, value in identity.items() if key != "name"}
        precision = identity.get("precision")
        if text and precision not in (None, "float32"):
            label = str(identity.get("label")).replace(f", {precision}", "", 1)
            identity |= {"precision": "float32", "label": label}
        return identity

    def read(self, file: str, kinds: Mapping[str, str]) -> tuple[pd.DataFrame, dict] | None:
        """A table whose columns hold what `kinds` says; None, with a finding, where it is none. One that is missing
        is found by its hash."""
        path = self.root / file
        if not path.is_file():
            return None
        try:
            frame, metadata = read_table(path, kinds)
        except InputError as error:
            self.verdict.findings.append(self.shorten(error))
            return None
        for column, kind in kinds.items():
            held = pd.api.types.infer_dtype(frame[column])
            if held != kind or (kind == "string" and frame[column].isna().any()):
                self.verdict.find(file, f"column {column} holds {held}, not {kind} values", RESTORE)
                return None
        if not isinstance(metadata, dict):
            self.verdict.find(file, "no description in its metadata", RESTORE)
            return None
        return frame, metadata

    def compare(
        self,
        file: str,
        stored: pd.DataFrame,
        again: pd.DataFrame,
        keys: list[str],
        todo: str = AGAIN,
        tolerance: float = TOLERANCE,
    ) -> bool:
        """Whether a stored table is the one that was computed again; a finding where it is not."""
        difference = describe_difference(stored, again, keys, tolerance)
        if difference:
            self.verdict.find(file, difference, todo)
        return not difference

    def spread(self, check: Callable[["Folder", Item], Result], items: Sequence[Item]) -> list[Result]:
        """What `check`, a function of a module, gives of this folder and every item, by the workers, and in the items'
        order, in which their findings become this folder's. It may change nothing of the folder but the verdict."""
        results = []
        for result, verdict in spread(partial(_check_apart, check, self), items, self.workers, "verify"):
            self.verdict.add(verdict)
            results.append(result)
        return results

    def shorten(self, message: object) -> str:
        """An error's line with files named from the results folder."""
        return " ".join(str(message).replace(f"{self.root}/", "").split())


def _check_apart(check: Callable[[Folder, Item], Result], folder: Folder, item: Item) -> tuple[Result, Verdict]:
    """What a check gives of a folder and an item, and what it finds beside what was found before."""
    folder = copy.copy(folder)
    folder.verdict = Verdict()
    return check(folder, item), folder.verdict
