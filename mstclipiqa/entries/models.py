"""Models of a results folder, as methods beside those that were entered; and as entries of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_description, read_table
from mstclipiqa.base.layout import METRICS, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import ENTERED, SELECTIONS, TARGETS
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.entries.entry import RUN_COLUMNS, SCORED, make_card, round_scores, write_entry
from mstclipiqa.evaluation.per_run import check_predictions
from mstclipiqa.model.variants import VARIANTS

#: Of models that were trained here, what stands for a card.
OURS = {"training_data": "the training images of each split", "saw_test_images": "no: trained here"}


@dataclass(frozen=True)
class Model:
    """The predictions in a `file` of a results folder, of one benchmark and target."""

    results: Path
    benchmark: str
    target: str
    file: str

    @cached_property
    def metadata(self) -> Mapping:
        """What the predictions say of themselves."""
        return read_description(self.results / self.file)

    @property
    def entered(self) -> bool:
        """Whether it is the scores of an entry."""
        return self.metadata["recipe"] == ENTERED

    @property
    def title(self) -> str:
        """As a board calls it."""
        if self.entered:
            return self.metadata["entry"]["card"]["method"]
        name = self.metadata["variant"]
        return f"{VARIANTS[name].title if name in VARIANTS else name} ({self.metadata['recipe']})"

    @property
    def claims(self) -> Mapping[str, str]:
        """What is claimed of it: the entry's card, or what stands for one."""
        if self.entered:
            return self.metadata["entry"]["card"]
        labels = " and ".join(encoder["label"] for encoder in self.metadata["encoders"].values())
        return OURS | {"training_data": f"{OURS['training_data']}; features of {labels}"}

    def read_runs(self, samples: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
        """Its predictions (columns of RUNS) under the protocols of `splits`, by the main selection of each. Raises
        InputError as `check_predictions` does."""
        runs = read_table(self.results / self.file, RUNS.columns)[0]
        runs = runs[runs["protocol"].isin(set(splits["protocol"]))]
        runs = runs[runs["selection"] == runs["protocol"].map(lambda name: describe_protocol(name)["selection"])]
        asked = splits[splits["protocol"].isin(set(runs["protocol"]))]
        named = {key: self.metadata[key] for key in ("recipe", "target")}
        if len(runs):
            check_predictions(self.results / self.file, runs, named, samples, asked)
        return runs


def find_models(results: Path) -> list[Model]:
    """Every model of a results folder that was evaluated."""
    metrics = METRICS.read(METRICS.at(results))[0]
    rows = metrics[["benchmark", "target", "file"]].drop_duplicates()
    return [Model(results, *row) for row in rows.itertuples(index=False, name=None)]


def enter_models(out: Path, results: Path, targets: Sequence[str] = TARGETS) -> list[str]:
    """Write an entry for each model that was trained in a results folder for one of the `targets` into `out`, and say
    which, a line each. Raises InputError where there is none."""
    said = []
    for model in find_models(results):
        if model.entered or model.target not in targets:
            continue
        samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=model.benchmark))
        runs = model.read_runs(samples, SPLITS.read(SPLITS.at(results, benchmark=model.benchmark))[0])
        made = make_card(
            model.title, model.benchmark, model.target, samples,
            code=f"mstclipiqa, variant {model.metadata['variant']}, recipe {model.metadata['recipe']}",
            licence="Apache-2.0", training_data=f"{model.claims['training_data']}; {_epochs(runs)}",
            saw_test_images="says no",
        )  # fmt: skip
        folder = out / model.benchmark / model.target / made["name"]
        entry = write_entry(folder, made, round_scores(runs[[*RUN_COLUMNS, *SCORED]]))
        said.append(f"{entry.folder}: {model.title}, {model.target}")
    if not said:
        raise InputError(f"{results}: no model was trained there for {', '.join(targets)}; run the workflow first")
    return said


def _epochs(runs: pd.DataFrame) -> str:
    """Which epoch's predictions they are, in words."""
    chosen = {name: SELECTIONS[describe_protocol(name)["selection"]] for name in runs["protocol"].unique()}
    return ", ".join(f"{name}: {epoch}" for name, epoch in chosen.items())
