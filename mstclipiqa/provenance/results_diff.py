"""What differs between two results folders: what they rest on, run by run, means with intervals, and verdicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_text
from mstclipiqa.base.layout import CLAIMS, SAMPLES, SPLITS
from mstclipiqa.base.names import GROUP
from mstclipiqa.evaluation.comparisons import REPLICATES, read_predictions
from mstclipiqa.evaluation.noise import IMAGES, LEVEL, noise_of_mean
from mstclipiqa.evaluation.paired_tests import holm
from mstclipiqa.evaluation.resamples import resample
from mstclipiqa.provenance.changes import MAIN, only_in
from mstclipiqa.provenance.faults import TOLERANCE
from mstclipiqa.provenance.measurement import KEYS, METRICS, measure_runs, read_verdicts
from mstclipiqa.report.diff_page import render_diff

#: What a moved number is in both, and by how much it moved from the one to the other.
ENDS = ("_a", "_b", "_change")

#: Lines of each kind that are said; the tables have all.
SHOWN = 20


@dataclass(frozen=True)
class ResultsDiff:
    """What differs between the results folders `a` and `b`.

    facts: a row per fact that they rest on and that differs
    only: what one has and the other lacks, a line each; others: what hinders a comparison, a line each
    both: how many runs (by selection) both have
    runs: a row per run whose metrics moved, each with ENDS; means: a row per mean over runs (GROUP) that moved, by SRCC
    and PLCC, with the interval of the change, and p adjusted by Holm over the means of a metric; empty where the noise
    is not known
    verdicts: a row per verdict that both have and that differs
    """

    a: Path
    b: Path
    facts: pd.DataFrame
    only: list[str]
    others: list[str]
    both: int
    runs: pd.DataFrame
    means: pd.DataFrame
    verdicts: pd.DataFrame

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name."""
        return {"facts": self.facts, "means": self.means, "runs": self.runs, "verdicts": self.verdicts}

    @property
    def same(self) -> bool:
        """Whether all runs and verdicts are the same. What they rest on may differ."""
        return not (self.only or self.others or len(self.runs) or len(self.verdicts))


def diff_results(a: Path, b: Path) -> ResultsDiff:
    """Compare two results folders, each of any suite. Raises InputError where one is none, or of another version."""
    one, other = measure_runs(a), measure_runs(b)
    names = dict.fromkeys([*one.facts, *other.facts])
    facts = pd.DataFrame([(name, one.facts.get(name, ""), other.facts.get(name, "")) for name in names])
    facts = facts.set_axis(["fact", "a", "b"], axis=1)
    only = [f"only in {a}: {name} ({count} rows)" for name, count in only_in(one.rows, other.rows)]
    only += [f"only in {b}: {name} ({count} rows)" for name, count in only_in(other.rows, one.rows)]
    both = one.rows.merge(other.rows, on=KEYS, suffixes=ENDS[:2])
    for metric in METRICS:
        both[f"{metric}_change"] = (both[f"{metric}_b"] - both[f"{metric}_a"]).round(12)
    changed = (both[[f"{metric}_change" for metric in METRICS]].abs() > TOLERANCE).any(axis=1)
    columns = [f"{name}{end}" for name in ("epoch", "n") for end in ENDS[:2]]
    columns += [f"{metric}{end}" for metric in METRICS for end in ENDS]
    means, others = _means(a, b, both, set(both.loc[changed, GROUP].itertuples(index=False, name=None)))
    return ResultsDiff(
        a, b, facts[facts["a"] != facts["b"]].reset_index(drop=True), only, others, len(both),
        both.loc[changed, [*KEYS, *columns]].reset_index(drop=True), means, _verdicts(a, b),
    )  # fmt: skip


def _means(a: Path, b: Path, both: pd.DataFrame, changed: set[tuple]) -> tuple[pd.DataFrame, list[str]]:
    """A row per mean over runs of `changed`, and why some have no interval."""
    rows: list[dict] = []
    others: list[str] = []
    for benchmark, runs in both.groupby("benchmark"):
        runs = runs[[key in changed for key in runs[GROUP].itertuples(index=False, name=None)]].reset_index(drop=True)
        resamples = None
        try:
            resamples = _resample(a, b, str(benchmark), runs) if len(runs) else None
        except InputError as error:
            others.append(str(error))
        for key, group in runs.groupby(GROUP):
            places = group.index.to_numpy()
            for metric in MAIN:
                row = dict(zip(GROUP, key, strict=True)) | {"metric": metric, "runs": len(group)}
                values = group.set_index(["split", "seed"])
                row |= {f"mean{end}": values[f"{metric}{end}"].mean() for end in ENDS}
                if resamples is not None:
                    replicates = resamples.of(metric, places + len(runs), places)
                    noise = noise_of_mean(values[f"{metric}_change"], replicates)
                    if noise.names != (IMAGES,):  # else what training varies is not known
                        low, high = noise.interval(row["mean_change"])
                        row |= {"low": low, "high": high, "p": noise.differs(row["mean_change"])}
                    row["noise"] = ", ".join(noise.names)
                rows.append(row)
    columns = [*GROUP, "metric", "runs", *(f"mean{end}" for end in ENDS), "low", "high", "p", "p_holm", "noise"]
    table = pd.DataFrame(rows).reindex(columns=columns)
    known = table["p"].notna()
    table.loc[known, "p_holm"] = table[known].groupby("metric")["p"].transform(holm).astype(float)
    return table.sort_values(["p_holm", "p"], ignore_index=True), others


def _resample(a: Path, b: Path, benchmark: str, runs: pd.DataFrame):
    """The predictions of `runs` in both folders under the same resamples: those of `a`, then those of `b`. Raises
    InputError where they are of other images or MOS."""
    samples, _ = SAMPLES.read(SAMPLES.at(b, benchmark=benchmark))
    counts = SPLITS.read(SPLITS.at(b, benchmark=benchmark))[1]["protocols"]
    ends = [runs.rename(columns={f"{name}{end}": name for name in ("file", "n")}) for end in ENDS[:2]]
    predictions = [read_predictions(own, samples, folder) for own, folder in zip(ends, (a, b), strict=True)]
    for one, other in zip(*predictions, strict=True):
        if not (np.array_equal(one["row"], other["row"]) and np.array_equal(one["mos"], other["mos"])):
            raise InputError(f"{benchmark}: its runs are tested on other images or MOS, so changes have no interval")
    return resample(pd.concat(ends, ignore_index=True), [*predictions[0], *predictions[1]], samples, counts, REPLICATES)


def _verdicts(a: Path, b: Path) -> pd.DataFrame:
    """The verdicts that differ, of those that both have."""
    keys, columns = ["id", "recipe", "protocol"], ["verdict", "measured", "low", "high"]
    if not (CLAIMS.at(a).exists() and CLAIMS.at(b).exists()):
        return pd.DataFrame(columns=[*keys, *(f"{name}{end}" for name in columns for end in ENDS[:2])])
    both = read_verdicts(CLAIMS.at(a)).merge(read_verdicts(CLAIMS.at(b)), on=keys, suffixes=ENDS[:2])
    return both[both["verdict_a"] != both["verdict_b"]].reset_index(drop=True)


def describe(diff: ResultsDiff) -> Iterator[str]:
    """The difference in words, a line each."""
    yield f"a: {diff.a}"
    yield f"b: {diff.b}"
    for row in diff.facts.itertuples():
        yield f"{row.fact}: {row.a or 'none'} -> {row.b or 'none'}"
    yield from diff.only
    yield from diff.others
    yield (
        f"{len(diff.runs)} of the {diff.both} runs and selections that both have moved"
        if len(diff.runs)
        else (f"all {diff.both} runs and selections that both have are the same")
    )
    yield from _limited([_describe_mean(row) for row in diff.means.itertuples() if row.metric == MAIN[0]], "means")
    changed = [
        f"{row.id}, {row.recipe}, {row.protocol}: {row.verdict_a} -> {row.verdict_b}"
        for row in diff.verdicts.itertuples()
    ]
    yield from _limited(changed, "verdicts")


def _describe_mean(row) -> str:
    key = " ".join(getattr(row, name) for name in GROUP)
    said = f"{key}: mean SRCC of {row.runs} runs {row.mean_a:.4f} -> {row.mean_b:.4f} ({row.mean_change:+.4f}"
    if np.isnan(row.low):
        return f"{said}; no interval)"
    beyond = "beyond noise" if row.p_holm < 1 - LEVEL else "within noise"
    return f"{said}, 95 % interval {row.low:+.4f} to {row.high:+.4f}; {beyond})"


def _limited(lines: list[str], what: str) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"{len(lines) - SHOWN} more {what}; --out writes all"


def write_diff(diff: ResultsDiff, out: Path) -> None:
    """Write the tables as CSV, and a page that shows them, into the folder `out`."""
    page = render_diff(list(describe(diff)), diff.tables)
    for name, table in diff.tables.items():
        write_text(out / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(out / "index.html", page)
