"""A dissection that was cut, changed or made of other runs is found out."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_manifest import planted
from results_tables import table_of

from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import DECODING, INTERVENTIONS, MOVEMENT, SKIPPING, ResultsFile
from mstclipiqa.base.names import MODELS
from mstclipiqa.provenance import dissection_checks as checks
from mstclipiqa.provenance.dissection_checks import check_dissections

TESTED, SPLITS = 6, (0, 1)
SAID = {"benchmark": "agiqa-3k", "synthetic": False, "target": "quality", "recipe": "slow", "protocol": "grouped2"}
SAID |= {"seed": 5, "splits": 2}


class Taken:
    """A folder with one dissection: `tables` are written by `check`, with what `said` says of each."""

    def __init__(self, root: Path):
        self.folder = planted(root, self.configure)
        samples = pd.DataFrame({"image": range(9), "generator": ["a"] * 3 + ["b"] * 2 + ["c"] + ["a"] * 3})
        self.folder.samples["agiqa-3k"] = samples, {"synthetic": False}
        roles = ["test"] * TESTED + ["train", "train", "val"]
        self.folder.splits["agiqa-3k"] = pd.concat(
            [
                pd.DataFrame({"protocol": "grouped2", "split": split, "image": range(9), "role": roles})
                for split in SPLITS
            ]
        )
        rows = [
            {"benchmark": "agiqa-3k", "target": "quality", "recipe": "slow", "variant": variant, "split": split,
             "protocol": "grouped2", "seed": 5, "selection": "validation", "srcc": 0.5}
            for variant in MODELS for split in SPLITS
        ]  # fmt: skip
        self.folder.metrics = pd.DataFrame(rows)
        made = product(MODELS, ("a", "b", "all"), range(2), SPLITS)
        self.tables = {
            INTERVENTIONS.path: self.rows(
                INTERVENTIONS, ("variant", "intervention", "split"), product(MODELS, checks.GATES, SPLITS), n=TESTED,
                srcc=0.5, plcc=0.4,
            ),
            MOVEMENT.path: self.rows(
                MOVEMENT, ("variant", "generator", "dimension", "split"), made, mean=0.5, sd=0.1
            ),
            DECODING.path: self.rows(
                DECODING, ("features", "stream", "split"), product(checks.FEATURES, ("coarse", "fine"), SPLITS), r2=0.9
            ),
            SKIPPING.path: self.skipped(),
        }  # fmt: skip
        self.said = {path: dict(SAID) for path in self.tables}

    @staticmethod
    def configure(manifest: dict) -> None:
        manifest["config"] |= {"protocols": ["lab-seed1", "grouped2"], "seeds": [5, 6], "dissect": ["slow"]}
        files = (INTERVENTIONS, MOVEMENT, DECODING, SKIPPING)
        names = [entry.path.format(benchmark="agiqa-3k", recipe="slow") for entry in files]
        manifest["outputs"] = dict.fromkeys(names, "0" * 64)

    @staticmethod
    def rows(entry: ResultsFile, names: tuple[str, ...], keys: product, **numbers: float) -> pd.DataFrame:
        rows = [dict(zip(names, key, strict=True)) | {"recipe": "slow"} | numbers for key in keys]
        return table_of(entry, rows)

    @classmethod
    def skipped(cls) -> pd.DataFrame:
        """Validation loses 0.002 with every twentieth: the share 0.1 is the last within the loss that is allowed."""
        keys = product(checks.RULES, checks.SCORERS, checks.SHARES, SPLITS)
        table = cls.rows(SKIPPING, ("rule", "scorer", "aimed", "split"), keys, skipped=0.5, srcc=0.5)
        return table.assign(srcc_val=0.5 - 0.04 * table["aimed"], chosen=np.isclose(table["aimed"], 0.1))

    def check(self) -> list[str]:
        for path, table in self.tables.items():
            write_table(self.folder.root / path.format(benchmark="agiqa-3k", recipe="slow"), table, self.said[path])
        check_dissections(self.folder)
        return self.folder.verdict.findings


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    return Taken(tmp_path)


def test_a_dissection_that_holds_is_counted(taken: Taken):
    assert taken.check() == []
    assert taken.folder.verdict.counts["rows of dissections"] == sum(map(len, taken.tables.values()))


def cell(column: str, value: object, row: int = 0) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{column: [*table[column][:row], value, *table[column][row + 1 :]]})


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        (INTERVENTIONS.path, lambda table: table.iloc[1:], "lacks 1 of 20 rows"),
        (INTERVENTIONS.path, cell("n", 5), "n of mst-clipiqa, as trained, 0 is 5, and 6 computed again"),
        (
            INTERVENTIONS.path,
            cell("srcc", 0.7),
            "SRCC of mst-clipiqa, split 0, is 0.7; the same run of the suite has 0.5",
        ),
        (INTERVENTIONS.path, cell("srcc", 1.7), "no number from -1 to 1"),
        (MOVEMENT.path, lambda table: table.iloc[:-1], "lacks 1 of 24 rows"),
        (MOVEMENT.path, cell("dimension", 10**12), "lacks 13 of 37 rows"),
        (MOVEMENT.path, cell("sd", -0.1), "a gate's mean or SD is no number from 0 to 1"),
        (DECODING.path, cell("r2", 1.1), "a share of variance is above 1"),
        (
            SKIPPING.path,
            cell("chosen", True),
            "gate, the model, split 0: another share is chosen than validation gives",
        ),
        (SKIPPING.path, cell("srcc", 0.6), "SRCC of mst-clipiqa, split 0, is 0.6"),
    ],
)
def test_what_is_changed_is_found(taken: Taken, path, change, said):
    taken.tables[path] = change(taken.tables[path])
    (finding,) = taken.check()
    assert said in finding


@pytest.mark.parametrize(("key", "value"), [("seed", 6), ("protocol", "lab-seed1"), ("splits", 3), ("recipe", "fast")])
def test_what_it_says_of_itself_is_held(taken: Taken, key: str, value: object):
    taken.said[DECODING.path][key] = value
    (finding,) = taken.check()
    assert f"its {key} is {value}" in finding
