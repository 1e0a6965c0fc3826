"""What a suite measured, as the claims are held against it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_description
from mstclipiqa.base.layout import (
    BASELINES,
    COMPARISONS,
    EFFICIENCY,
    GATES,
    GENERATORS,
    INTERVALS,
    READOUT,
    SAMPLES,
    SPLITS,
    ResultsFile,
)
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.names import ENTERED, TEST
from mstclipiqa.claims.rules import OTHER_ENCODERS
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.evaluation.noise import Noise, known_image_noise
from mstclipiqa.model.recipes import Recipe, load_recipe

#: What names a cell: all runs whose mean is one number, by the main selection of their protocol.
CELL = ["benchmark", "target", "recipe", "variant", "protocol"]

#: What mechanisms are judged by.
EVIDENCE = (BASELINES, EFFICIENCY, GATES, GENERATORS, READOUT)


@dataclass(frozen=True)
class Cell:
    """The `runs` of a cell by (split, seed), with the columns srcc and plcc; the `file` of their predictions; and by
    metric the noise of their mean that comes from the `images` tested alone."""

    runs: pd.DataFrame
    file: str
    images: dict[str, Noise]


@dataclass(frozen=True)
class Evidence:
    """What was measured beside the runs: the tables below a results folder by their path there, (rows, metadata)."""

    tables: Mapping[str, tuple[pd.DataFrame, dict]] = field(default_factory=dict)

    def find(self, entry: ResultsFile, **names: str) -> tuple[str, pd.DataFrame, dict] | None:
        """The path, rows and metadata of a table; None where the suite lacks it."""
        path = entry.path.format(**names)
        return (path, *self.tables[path]) if path in self.tables else None


@dataclass(frozen=True)
class Suite:
    """What a suite measured: its `cells` by CELL; by CELL, another variant and a metric, what the difference between
    the two may move by (`pairs`): from the images tested alone, and from all that varies; the identities of the
    `encoders` behind each file; and by (benchmark, protocol) the sums over splits of the `counts` of test images and of
    leaking ones; and the `evidence` of what was measured beside the runs."""

    cells: dict[tuple, Cell]
    pairs: dict[tuple, tuple[Noise, Noise]]
    encoders: dict[str, list[dict]]
    counts: dict[tuple[str, str], dict[str, int]]
    synthetic: frozenset[str]
    recipes: dict[str, Recipe]
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def protocols(self) -> list[str]:
        """The protocols that were run."""
        return sorted(self._have["protocol"])

    @cached_property
    def _have(self) -> dict[str, set[str]]:
        return {name: {key[k] for key in self.cells} for k, name in enumerate(CELL)}

    def lacks(self, needed: Iterable[tuple], recipe: str, protocol: str) -> str | None:
        """What of the cells (variant, benchmark, target) was not run, in words; None where nothing is missing."""
        have = self._have
        if recipe not in have["recipe"]:
            return f"recipe {recipe} is not in this suite"
        for variant, benchmark, target in needed:
            for name, value in (("benchmark", benchmark), ("variant", variant), ("protocol", protocol)):
                if value not in have[name]:
                    return f"{name} {value} is not in this suite"
            if (benchmark, target, recipe, variant, protocol) not in self.cells:
                return f"{variant} was not run on {benchmark}, {target}, by recipe {recipe}, {protocol}"
        return None

    def leakage(self, benchmarks: Iterable[str], protocol: str) -> float:
        """The share of test images whose prompt is in training."""
        counts = [self.counts[name, protocol] for name in benchmarks]
        leaking = sum(count["test_images_with_prompt_in_train"] for count in counts)
        return leaking / sum(count[TEST] for count in counts)


def other_encoders(identities: Iterable[dict], encoders: dict) -> str:
    """Which encoders are not those that claims about measured numbers are put to the test with, as a reason; empty
    where all are."""
    return name_others(identity["label"] for identity in identities if not _is_the_papers(identity, encoders))


def name_others(labels: Iterable[str]) -> str:
    """The reason that names encoders which are not the paper's; empty where there are none."""
    others = dict.fromkeys(labels)
    return OTHER_ENCODERS.format(" and ".join(others)) if others else ""


def _is_the_papers(identity: dict, encoders: dict) -> bool:
    """Whether an encoder is of the paper's models with the paper's weights: by tag, or by the file's SHA-256."""
    model = identity["model"].partition("@")[0].removesuffix("-quickgelu")
    if model not in encoders["files"] or identity["activation"] != encoders["activation"]:
        return False
    if "file_sha256" in identity:  # whatever the file is called
        return identity["file_sha256"] == encoders["files"][model]
    return identity["pretrained"] and identity["weights"] == encoders["tag"]


def read_suite(results: Path, recipes: Path | str, files: Collection[str] | None = None) -> Suite:
    """Read what the claims are held against from `results/<suite>/`, its evidence from those of `files` as
    `read_evidence` does, and every recipe of a folder.

    Raises InputError where a file is missing or is not what it should be.
    """
    metrics, intervals, comparisons = (
        _main_selections(entry.read(entry.at(results))[0]) for entry in (METRICS_TABLE, INTERVALS, COMPARISONS)
    )
    runs = {key: group for key, group in metrics.groupby(CELL)}
    cells = {}
    for row in intervals.to_dict("records"):
        key = tuple(row[name] for name in CELL)
        if key not in runs:
            raise InputError(f"{INTERVALS.at(results)}: {'/'.join(key)} is not in metrics.parquet; run again")
        images = {
            metric: known_image_noise(row[f"{metric}_images_error"] ** 2, row["prompts"]) for metric in ("srcc", "plcc")
        }
        of_cell = runs[key].set_index(["split", "seed"])[["srcc", "plcc"]]
        cells[key] = Cell(of_cell, runs[key]["file"].iloc[0], images)
    pairs = {
        (*(row[name] for name in CELL), row["against"], row["metric"]): (
            known_image_noise(row["images_error"] ** 2, row["prompts"], of_difference=True),
            Noise(((row["noise"], row["standard_error"] ** 2, row["freedom"]),)),
        )
        for row in comparisons.to_dict("records")
    }
    benchmarks = sorted({key[0] for key in cells})
    cards = {file: read_description(results / file) for file in sorted({cell.file for cell in cells.values()})}
    synthetic = {name for name in benchmarks if read_description(SAMPLES.at(results, benchmark=name))["synthetic"]}
    synthetic |= {card["benchmark"] for card in cards.values() if card["synthetic"]}
    evidence = read_evidence(results, files)
    synthetic |= {card["benchmark"] for _, card in evidence.tables.values() if card.get("synthetic")}
    counts = {
        (name, protocol): {
            key: sum(split[key] for split in splits if split["counts_as"] == split["split"])
            for key in (TEST, "test_images_with_prompt_in_train")
        }
        for name in benchmarks
        for protocol, splits in read_description(SPLITS.at(results, benchmark=name))["protocols"].items()
    }
    paths = sorted(Path(recipes).glob("*.yaml"))
    return Suite(
        cells=cells,
        pairs=pairs,
        encoders={file: list(card["encoders"].values()) for file, card in cards.items()},
        counts=counts,
        synthetic=frozenset(synthetic),
        recipes={path.stem: load_recipe(path) for path in paths},
        evidence=evidence,
    )


def read_evidence(results: Path, files: Collection[str] | None = None) -> Evidence:
    """What a results folder has of the tables that mechanisms are judged by: those of `files`, by their paths in it, or
    all of them. An earlier configuration may have left others. Raises InputError where one is none."""
    found = [(e, path) for e in EVIDENCE for path in sorted(results.glob(e.path.format(benchmark="*", recipe="*")))]
    tables = {path.relative_to(results).as_posix(): (entry, path) for entry, path in found}
    return Evidence({name: e.read(path) for name, (e, path) in tables.items() if files is None or name in files})


def _main_selections(table: pd.DataFrame) -> pd.DataFrame:
    """The rows by the main selection of each protocol; claims are about models that were trained here."""
    table = table[table["recipe"] != ENTERED]
    main = {name: describe_protocol(name)["selection"] for name in table["protocol"].unique()}
    return table[table["selection"] == table["protocol"].map(main)]
