"""The results of one suite: what tables and figures are made of."""

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from mstclipiqa.base.layout import NOTES, RUNS, SAMPLES, ResultsFile
from mstclipiqa.base.names import ENTERED, MODELS
from mstclipiqa.base.words import in_words
from mstclipiqa.evaluation.averages import AVERAGES
from mstclipiqa.evaluation.metrics import METRICS as METRICS_OF
from mstclipiqa.model.recipes import Change, single_changes
from mstclipiqa.report.paper import CONTROLS, Paper

#: What stands in the place of a recipe's title beside entered scores.
ENTERED_TITLE = "Entered scores"

METRIC_TITLES = {"srcc": "SRCC", "plcc": "PLCC", "plcc_fitted": "fitted PLCC", "krcc": "KRCC", "rmse": "RMSE"}

#: The keys of one number, of a run and selection, in the order that rows are sorted by.
RUN_ORDER = ["target", "protocol", "selection", "recipe", "variant", "benchmark", "split", "seed"]

#: The keys of one mean over splits and seeds, in that order.
GROUP_ORDER = [key for key in RUN_ORDER if key not in ("split", "seed")]


@dataclass(frozen=True)
class Probe:
    """The probe of one recipe: its linear readouts, its gates' changes, and what it rests on."""

    readout: pd.DataFrame
    gates: pd.DataFrame
    metadata: dict


@dataclass(frozen=True, eq=False)
class Results:
    """The results of one suite; equal to itself alone, so that what is computed of it can be kept.

    `cards` and `splits` are keyed by present benchmark, `runs` (the metadata of each runs file) by the file's path
    relative to `root`. `metrics` has a row per run and selection, sorted by RUN_ORDER; names stand in the order of the
    configuration. `timings` has a row per timed extraction: benchmark, encoder, items, unit, seconds. `baselines` has a
    row per benchmark, source, target and split. `probes` are keyed by recipe. `statistics` are the tables intervals,
    comparisons and generators, sorted as `metrics`. Of baselines, probes and statistics there may be none.
    `images` is where the pictures lie, in place of the configuration's data folder. `apart` are the benchmarks that
    this part of the results leaves out.
    """

    root: Path
    manifest: dict
    cards: dict[str, dict]
    splits: dict[str, dict]
    metrics: pd.DataFrame
    runs: dict[str, dict]
    timings: pd.DataFrame
    baselines: pd.DataFrame
    probes: dict[str, Probe]
    statistics: dict[str, pd.DataFrame]
    paper: Paper
    images: Path | None = None
    apart: Collection[str] = ()

    @property
    def benchmarks(self) -> list[str]:
        """Every benchmark of the manifest, present or absent, in order; but for those that stand apart."""
        return [name for name in ordered(self.manifest, "benchmarks") if name not in self.apart]

    def parted(self) -> tuple["Results", "Results | None"]:
        """The results on real benchmarks, and those on drawn stand-ins; all of them, and None, where a suite has no
        two kinds."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple["Results", "Results | None"]:
        drawn = self.synthetic
        if len(drawn) in (0, len(self.cards)):
            return self, None
        return self._without(drawn), self._without([name for name in self.benchmarks if name not in drawn])

    def _without(self, apart: Collection[str]) -> "Results":
        """The results on the other benchmarks. What no benchmark is named of, as a probe of scenes, stays."""

        def rest(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[~frame["benchmark"].isin(apart)].reset_index(drop=True)

        return replace(
            self,
            cards={name: card for name, card in self.cards.items() if name not in apart},
            splits={name: splits for name, splits in self.splits.items() if name not in apart},
            metrics=rest(self.metrics),
            runs={file: metadata for file, metadata in self.runs.items() if metadata["benchmark"] not in apart},
            timings=rest(self.timings),
            baselines=rest(self.baselines),
            statistics={name: rest(table) for name, table in self.statistics.items()},
            apart=apart,
        )

    @cached_property
    def changes(self) -> list[Change]:
        """The recipes that differ from another in one value, in the order of the configuration: our experiments."""
        recipes = self.manifest["recipes"]
        return single_changes({name: recipes[name]["values"] for name in ordered(self.manifest, "recipes")})

    def of_sources(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table by recipes that are no such experiment."""
        return table[~table["recipe"].isin([change.changed for change in self.changes])]

    @property
    def main_variants(self) -> list[str]:
        """The variants of the configuration's main grid, those that were added, and entered methods."""
        grid = [name for name in self.manifest["config"]["variants"] if name in self.manifest["variants"]]
        return list(dict.fromkeys([*grid, *self.added, *self.entered]))

    @property
    def added(self) -> list[str]:
        """The variants that were run and are neither in the paper's tables nor our controls, as an added fusion; none
        where the paper's tables are not known."""
        tables = self.paper.variants.values()
        known = {*MODELS, *CONTROLS, *self.entered, *(name for variants in tables for name in variants)}
        return [name for name in self.among("variant", self.metrics) if name not in known] if tables else []

    @property
    def packed(self) -> list[str]:
        """The benchmarks whose features come from a pack, without images."""
        return list(self.manifest["config"].get("packs", {}))

    @property
    def entered(self) -> list[str]:
        """The methods whose scores were entered, by their names."""
        return list(dict.fromkeys(entry["card"]["name"] for entry in self.entries.values()))

    @property
    def entries(self) -> dict[str, dict]:
        """What the manifest says of entered scores, by their file; only of benchmarks that do not stand apart."""
        entries = self.manifest.get("entries", {}).items()
        return {file: entry for file, entry in entries if entry["card"]["benchmark"] not in self.apart}

    @property
    def models(self) -> list[str]:
        """The paper's models that were run and the variants that were added, or the main grid's variants where there
        are none, and entered methods: what a table shows that has no room for every variant."""
        run = set(self.metrics["variant"])
        shown = [*(name for name in MODELS if name in run), *self.added]
        return [*shown, *self.entered] if shown else self.main_variants

    @property
    def models_named(self) -> str:
        """The same in words."""
        if set(MODELS) <= set(self.models):
            others = [name for name in self.models if name not in MODELS]
            return in_words(["the paper's two models", *(self.title("variants", name) for name in others)])
        return in_words([self.title("variants", name) for name in self.models])

    def title(self, kind: str, name: str) -> str:
        """The title of a benchmark, recipe or variant, or of an average of variants."""
        if name in AVERAGES:
            return AVERAGES[name].title
        if (kind, name) == ("recipes", ENTERED):
            return ENTERED_TITLE
        return self.manifest[kind][name]["title"]

    def among(self, column: str, metrics: pd.DataFrame) -> list[str]:
        """The benchmarks, recipes or variants (by `column`, e.g. "recipe") that `metrics` has, in order; entered scores
        stand after the recipes."""
        names = ordered(self.manifest, f"{column}s") + [ENTERED] * (column == "recipe")
        return [name for name in names if name in set(metrics[column])]

    def absent(self, benchmark: str) -> str | None:
        """Why a benchmark is absent; None where it is present."""
        entry = self.manifest["benchmarks"][benchmark]
        return None if entry["status"] == "present" else entry["reason"]

    @property
    def run_count(self) -> int:
        """How many runs were evaluated, of entered methods too."""
        return len(self.metrics.drop_duplicates([key for key in RUN_ORDER if key != "selection"]))

    def is_main(self, frame: pd.DataFrame) -> pd.Series:
        """Which rows are of the main selection of their protocol."""
        main = {name: entry["selection"] for name, entry in self.manifest["protocols"].items()}
        return frame["selection"] == frame["protocol"].map(main)

    def on_real(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of benchmarks that are not drawn."""
        return frame[~frame["benchmark"].isin(self.synthetic)]

    def of_main_variants(self, target: str) -> pd.DataFrame:
        """The metrics of a target, of the variants of the main grid; with every ablation the page could not be read."""
        return self.metrics[(self.metrics["target"] == target) & self.metrics["variant"].isin(self.main_variants)]

    def examples(self, target: str) -> pd.DataFrame:
        """One run per benchmark and variant of `models`; no row without runs.

        It is the first seed and split of the first protocol, by that protocol's main selection, under the first recipe:
        as in the paper's Figure 2, one training each, not an average.
        """
        metrics = self.metrics[(self.metrics["target"] == target) & self.metrics["variant"].isin(self.models)]
        metrics = metrics[self.is_main(metrics)]
        first = metrics[["protocol", "recipe"]].eq(metrics[["protocol", "recipe"]].head(1).squeeze()).all(axis=1)
        return metrics[first].drop_duplicates(["benchmark", "variant"])

    def find(self, entry: ResultsFile, **names: str) -> Path | None:
        """As `find_named`, in this suite's folder."""
        return find_named(self.root, self.manifest, entry, **names)

    def of_suite(self, entry: ResultsFile) -> tuple[pd.DataFrame, dict] | None:
        """A table of the whole suite with its metadata; None where the suite lacks it, or has it of recipes that it no
        longer runs, or of benchmarks that stand apart."""
        path = self.find(entry)
        if path is None:
            return None
        table, metadata = entry.read(path)
        known = set(table["recipe"]) <= {"", *self.manifest["recipes"]}
        trained = set(table["train_benchmark"]) if "train_benchmark" in table else {metadata.get("benchmark")}
        return (table, metadata) if known and not trained & set(self.apart) else None

    def shown_statistics(self, name: str) -> pd.DataFrame:
        """The rows of a table of statistics that the page shows, if any: the models, main selections."""
        table = self.statistics.get(name, pd.DataFrame(columns=GROUP_ORDER))
        return table[self.is_main(table) & table["variant"].isin(self.models)]

    def each_run(self, metrics: pd.DataFrame) -> Iterator[tuple[Hashable, pd.DataFrame]]:
        """The index of each row of `metrics` with its predictions, as `predictions` gives them; every file is read
        once."""
        keys = ["protocol", "split", "seed", "selection"]
        for file, rows in metrics.groupby("file", sort=False):
            frame = RUNS.read(self.root / str(file))[0]
            by_run = dict(iter(frame.groupby(keys)))
            for index, key in zip(rows.index, rows[keys].itertuples(index=False, name=None), strict=True):
                yield index, by_run[key]

    def predictions(self, run: pd.Series) -> pd.DataFrame:
        """The predictions of one row of `metrics`: a row per test image, with prediction and mos."""
        frame = RUNS.read(self.root / run["file"])[0]
        keys = ["protocol", "split", "seed", "selection"]
        return frame[frame[keys].eq(run[keys]).all(axis=1)]

    @cached_property
    def metrics_without_doubles(self) -> pd.DataFrame:
        """The metrics of real benchmarks without the test images whose bytes are another image's too; no row for a run
        that tests none, or too few others."""
        doubled = {}
        for name in (name for name in self.cards if name not in self.synthetic):
            samples = SAMPLES.read(SAMPLES.at(self.root, benchmark=name))[0]
            doubled[name] = set(samples["image"][samples["sha256"].duplicated(keep=False)])
        runs = self.metrics[self.metrics["benchmark"].isin([name for name in doubled if doubled[name]])]
        rows = []
        for index, predictions in self.each_run(runs):
            kept = predictions[~predictions["image"].isin(doubled[runs.loc[index, "benchmark"]])]
            varied = kept[["prediction", "mos"]].nunique().min() > 1  # else no correlation is defined
            if 2 < len(kept) < len(predictions) and varied:
                values = {name: metric(kept["prediction"], kept["mos"]) for name, metric in METRICS_OF.items()}
                rows.append({**runs.loc[index], "n": len(kept), **values})
        return pd.DataFrame(rows, columns=list(self.metrics))

    @property
    def synthetic(self) -> list[str]:
        """The benchmarks whose images are drawn, as their card or any run on them says."""
        told = {metadata["benchmark"] for metadata in self.runs.values() if metadata["synthetic"]}
        return [name for name, card in self.cards.items() if card["synthetic"] or name in told]

    @property
    def untrained(self) -> list[str]:
        """The labels of encoders with random weights, as the manifest or any run names them."""
        told = [self.manifest["encoders"], *(metadata["encoders"] for metadata in self.runs.values())]
        identities = [identity for encoders in told for identity in encoders.values()]
        return sorted({identity["label"] for identity in identities if not identity["pretrained"]})


def find_named(root: Path, manifest: dict, entry: ResultsFile, **names: str) -> Path | None:
    """Where a file of the layout lies, if the manifest names it; of those that no manifest names (NOTES), if it is
    there. A file of an earlier configuration may lie in the folder and is none of this suite's."""
    file = entry.path.format(**names)
    unnamed = file.partition("/")[0] in NOTES and (root / file).is_file()
    return root / file if file in manifest["outputs"] or unnamed else None


def ordered(manifest: dict, kind: str) -> list[str]:
    """The names the manifest describes under `kind`: those of the configuration first, in its order."""
    config = manifest["config"]
    named = [name for grid in (config, *config.get("also", [])) for name in grid.get(kind, [])]
    first = [name for name in dict.fromkeys(named) if name in manifest[kind]]
    return first + sorted(set(manifest[kind]) - set(first))


def cautions(results: Results, titles: dict[str, str]) -> list[str]:
    notes = []
    synthetic = [titles[name] for name in results.synthetic if name in titles]
    if synthetic:
        notes.append(f"Synthetic, not a result on the benchmark of that name: {', '.join(synthetic)}.")
    if results.untrained:
        notes.append("Measured with random encoder weights: no test of the paper's numbers.")
    return notes
