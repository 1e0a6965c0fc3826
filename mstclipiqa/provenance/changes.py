"""What differs between a suite's measurement and its reference, in an equal environment and in another."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mstclipiqa.base.names import GROUP
from mstclipiqa.claims.rules import NOT_RUN, UNTESTABLE
from mstclipiqa.evaluation.noise import FEWEST_SPLITS, LEVEL, noise_of_independent
from mstclipiqa.evaluation.paired_tests import holm
from mstclipiqa.provenance.faults import TOLERANCE, name_run
from mstclipiqa.provenance.measurement import CAUSES, ENVIRONMENT, KEYS, METRICS, TABLES, Measurement

#: The metrics whose means are bounded by intervals; the further ones are tested in a family of their own.
MAIN = ("srcc", "plcc")
CORRELATIONS = tuple(metric for metric in METRICS if metric != "rmse")

#: What a reference says beside what was measured.
WHO_AND_WHY = ("blessed by", "reason")

#: Verdicts that rest on no run's numbers, and are the same in any environment.
DECIDED = (UNTESTABLE, NOT_RUN)

#: A change that counts in another environment. On the 20 test images of a drawn benchmark, two that change places move
#: SRCC by 0.0015.
SMALLEST_CHANGE = 0.005

#: No environment moves a correlation further: in one row, and in the mean of a model's runs under one protocol. On the
#: drawn benchmarks of the reduced suite other kernels moved both by up to 0.03, and a level in every pixel, more than
#: any reader of images does, by up to 0.24 and 0.15 (docs/reference-check.md).
LARGEST_ROW, LARGEST_MEAN = 0.25, 0.15

#: Other kernels round otherwise. Up to this learning rate that moved no metric by as much as 1e-6, so that rows can be
#: compared between machines with the same libraries; at 1e-3 training amplifies it, up to 0.06 in one run.
STEADY_RATE = 1e-4

#: What is pooled over benchmarks: what moves all of them a little shows in none alone.
POOLED = ["recipe", "protocol", "selection"]

#: Changed metrics that are listed; the others are counted.
SHOWN = 20


@dataclass(frozen=True)
class Comparison:
    """What differs from a reference, a line each: `failures` turn the check red, `notes` do not."""

    failures: list[str]
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join([*(f"note  {line}" for line in self.notes), *(f"FAIL  {line}" for line in self.failures)])


def compare(
    reference: Measurement,
    measured: Measurement,
    intervals: pd.DataFrame,
) -> Comparison:
    """Compare `measured` with `reference`: number by number where the libraries are the same, closest on an equal
    machine; by means, against their spread, in any other environment. What is no measurement is to be equal in all.

    `intervals` are the suite's, as `mstclipiqa compare` writes them: they bound groups of too few runs to test.
    """
    moved = _changed(reference.facts_of(ENVIRONMENT), measured.facts_of(ENVIRONMENT))
    other_libraries = any(name.startswith("version") for name, _, _ in moved)
    notes = [f"{name}: {old} -> {new}" for name, old, new in moved]
    failures = _lost_facts(reference, measured)
    for name, old, new in _changed(reference.facts_of(CAUSES), measured.facts_of(CAUSES)):
        # Another Pillow writes other bytes; another machine was found not to.
        lines = notes if name.startswith("images") and other_libraries else failures
        lines.append(_describe_change(name, old, new, reference.facts))
    lacking, further = only_in(reference.rows, measured.rows), only_in(measured.rows, reference.rows)
    failures += [f"{name}: missing, {count} of the reference's rows" for name, count in lacking]
    failures += [f"{name}: extra, {count} rows that the reference has not" for name, count in further]
    both = reference.rows.merge(measured.rows, on=KEYS, suffixes=("_old", ""))
    failures += [
        f"{name_run(row[KEYS])}: {row['n']} test images, {row['n_old']} in the reference"
        for _, row in both[both["n"] != both["n_old"]].iterrows()
    ]
    steady = {name for name in both["recipe"].unique() if float(measured.facts[f"rate {name}"]) <= STEADY_RATE}
    if not moved:
        failures += _moved_rows(both, TOLERANCE)
    else:
        notes.append("another environment than the reference's: means are held against their spread")
        if not other_libraries:
            shown = ", ".join(sorted(steady)) or "any recipe"
            notes.append(f"same libraries: no run under {shown} may move by {SMALLEST_CHANGE}")
            failures += _moved_rows(both[both["recipe"].isin(steady)], SMALLEST_CHANGE)
        failures += _moved_rows(both, LARGEST_ROW, CORRELATIONS)
        means = _moved_means(both, intervals)
        failures, notes = failures + means.failures, notes + means.notes
    tables = compare_tables(reference.tables, measured.tables, bool(moved), other_libraries, steady)
    return Comparison(failures + tables.failures, notes + tables.notes)


def _lost_facts(reference: Measurement, measured: Measurement) -> list[str]:
    """The lines of the header that a reference must have and has not, and those that nothing was measured for."""
    needed = [*WHO_AND_WHY, *measured.facts]
    lost = [f"{name}: no such line in the reference's header" for name in needed if name not in reference.facts]
    strange = [name for name in reference.facts if name not in needed]
    return lost + [f"{name}: in the reference's header, and not in the results" for name in strange]


def _changed(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(name, old[name], new[name]) for name in old if name in new and new[name] != old[name]]


def _describe_change(name: str, old: str, new: str, reference: dict[str, str]) -> str:
    kind = name.split()[0]
    swapped = [other.split()[-1] for other, value in reference.items() if kind == "MOS" and value == new]
    if swapped:
        return f"{name}: another column, the reference's {swapped[0]}"
    what = {
        "encoder": "another encoder",
        "recipe": "other values",
        "images": "other images",
        "MOS": "other scores",
        "splits": "other images in train, val or test",
        "texts": "other titles, descriptions, sources or readings",
    }
    return f"{name}: {what[kind]} ({old} -> {new})"


def only_in(one: pd.DataFrame, other: pd.DataFrame) -> list[tuple[str, int]]:
    """Rows of `one` that `other` has not, by the shortest start of their keys that `other` has not, counted."""
    keys, known = (rows[KEYS].itertuples(index=False, name=None) for rows in (one, other))
    prefixes = {key[:depth] for key in known for depth in range(1, len(KEYS) + 1)}
    counts: dict[tuple, int] = {}
    for key in keys:
        prefix = next((key[:depth] for depth in range(1, len(KEYS) + 1) if key[:depth] not in prefixes), None)
        if prefix:
            counts[prefix] = counts.get(prefix, 0) + 1
    return [(name_run(prefix), count) for prefix, count in counts.items()]


def _moved_rows(both: pd.DataFrame, tolerance: float, metrics: tuple[str, ...] = METRICS) -> list[str]:
    """The rows of which one of `metrics` moved beyond `tolerance`, the furthest first."""
    change = _changes(both, metrics)
    moved = change.abs() > tolerance
    furthest = change.abs().where(moved).max(axis=1).dropna().sort_values(ascending=False, kind="stable").index
    lines = []
    for place in furthest[:SHOWN]:
        row = both.loc[place]
        parts = [
            _describe_metric(metric, row[f"{metric}_old"], row[metric])
            for metric in metrics
            if moved.loc[place, metric]
        ]
        epochs = f", epoch {row['epoch_old']} -> {row['epoch']}" if row["epoch"] != row["epoch_old"] else ""
        lines.append(f"{name_run(row[KEYS])}: {'; '.join(parts)}{epochs}")
    if len(furthest) > SHOWN:
        rest = change.loc[furthest[SHOWN:], "srcc"]
        lines.append(f"{len(rest)} more rows moved by less: SRCC {(rest < 0).sum()} worse, {(rest > 0).sum()} better")
    return lines


def _changes(both: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """How far the numbers of some columns moved; one beyond 1 by its share, as RMSE is on the benchmark's scale."""
    return pd.DataFrame(
        {name: (both[name] - both[f"{name}_old"]) / both[f"{name}_old"].abs().clip(lower=1) for name in columns}
    )


def _moved_means(both: pd.DataFrame, intervals: pd.DataFrame) -> Comparison:
    """The groups whose mean moved further than chance and SMALLEST_CHANGE explain, or beyond LARGEST_MEAN.

    Runs are paired by split and seed; where a group has too few for a test, the reference must lie in the bootstrap
    interval of its mean, which MAIN metrics have. Benchmarks are pooled, too: what moves all of them a little shows in
    none alone. The further metrics are tested in a family of their own, so that they take no power from MAIN.
    """
    tests: dict[bool, list[dict]] = {True: [], False: []}
    failures, unbounded = [], 0
    bounds = both[GROUP].drop_duplicates().merge(intervals, how="left").set_index(GROUP)
    changes = _changes(both, METRICS)
    for metric in METRICS:
        change, family = both.assign(change=changes[metric]), tests[metric in MAIN]
        for key, runs in change.groupby(GROUP):
            old, new = runs[f"{metric}_old"].mean(), runs[metric].mean()
            if metric in MAIN and abs(new - old) > LARGEST_MEAN:
                beyond = f"further than any environment moves it ({LARGEST_MEAN:g})"
                failures.append(f"{' '.join(key)}: {_describe_metric(metric, old, new)}, {beyond}")
            elif len(runs) >= FEWEST_SPLITS:
                family.append(_test(f"{' '.join(key)}, {len(runs)} runs", metric, old, new, runs["change"]))
            elif metric in MAIN:
                low, high = bounds.loc[key, [f"{metric}_low", f"{metric}_high"]]
                unbounded += bool(np.isnan(low))
                if abs(new - old) > SMALLEST_CHANGE and not np.isnan(low) and not low <= old <= high:
                    band = f"the reference lies outside [{low:.4f}, {high:.4f}]"
                    failures.append(f"{' '.join(key)}: {_describe_metric(metric, old, new)}, {band}")
        for key, runs in change.groupby(POOLED):
            pooled = runs.groupby("benchmark")[[f"{metric}_old", metric, "change"]].mean()
            if len(pooled) >= FEWEST_SPLITS:
                name = f"{' '.join(key)}, mean of {len(pooled)} benchmarks"
                old, new = pooled[f"{metric}_old"].mean(), pooled[metric].mean()
                family.append(_test(name, metric, old, new, pooled["change"]))
    failures += [line for family in tests.values() for line in _significant(family)]
    notes = [f"{unbounded} means of too few runs have no interval; only their benchmark's share in all bounds them"]
    return Comparison(failures, notes if unbounded else [])


def _significant(tests: list[dict]) -> list[str]:
    """The tests of one family, adjusted by Holm, whose change is neither chance nor too small to count."""
    lines = []
    for adjusted, test in zip(holm(np.array([test["p"] for test in tests])), tests, strict=True):
        if adjusted < 1 - LEVEL and abs(test["change"]) > SMALLEST_CHANGE:
            lines.append(
                f"{test['name']}: {_describe_metric(test['metric'], test['old'], test['new'])}, p {adjusted:.2g}"
            )
    return lines


def _test(name: str, metric: str, old: float, new: float, changes: pd.Series) -> dict:
    """Student's paired test of a mean change. The splits are the same ones, so that their overlap corrects nothing."""
    mean, noise = changes.mean(), noise_of_independent(changes.to_numpy())
    return {"name": name, "metric": metric, "old": old, "new": new, "change": mean, "p": noise.differs(mean)}


def _describe_metric(metric: str, old: float, new: float) -> str:
    better = new < old if metric == "rmse" else new > old
    return f"{metric} {old:.6f} -> {new:.6f} ({new - old:+.6f}, {'better' if better else 'worse'})"


# The further tables


def compare_tables(
    reference: dict[str, pd.DataFrame],
    measured: dict[str, pd.DataFrame],
    moved: bool,
    other_libraries: bool,
    steady: set[str],
) -> Comparison:
    """What differs between the further tables: `moved` and `other_libraries` say in which environment, `steady` which
    recipes hold still in it.

    Rows, texts and counts are to be equal everywhere; but a verdict on numbers that moved with the environment is a
    note. Numbers may move as the runs' may.
    """
    failures: list[str] = []
    notes: list[str] = []
    tests = []
    for name, keys in TABLES.items():
        old, new = reference.get(name), measured.get(name)
        if old is None or new is None or list(old) != list(new):
            failures += _lost_table(name, old, new)
            continue
        old = old.rename(columns={column: f"{column}_old" for column in old.columns.drop(keys)})
        both = old.merge(new, on=keys, how="outer", indicator="side")
        for side, words in (("left_only", "missing, {} of the reference's rows"), ("right_only", "extra, {} rows")):
            rows = both[both["side"] == side]
            if len(rows):
                failures.append(f"{name}: {words.format(len(rows))}, e.g. {_name_row(rows, keys)}")
        both = both[both["side"] == "both"].reset_index(drop=True)
        both = both.astype(new.dtypes.drop(keys).to_dict())  # a row without a partner turned counts into fractions
        numbers = [column for column in new.columns.drop(keys) if pd.api.types.is_float_dtype(new[column])]
        both = both.assign(**{f"{column}_old": pd.to_numeric(both[f"{column}_old"], "coerce") for column in numbers})
        for column in new.columns.drop([*keys, *numbers]):
            changed = both[both[column].astype(str) != both[f"{column}_old"]]
            free = ~changed[[column, f"{column}_old"]].isin(DECIDED).any(axis=1) & (moved and name == "verdicts")
            failures += _describe_rows(name, changed[~free], keys, column)
            notes += _describe_rows(name, changed[free], keys, column)
        for column in numbers:
            lost = both[both[column].isna() != both[f"{column}_old"].isna()]
            failures += _describe_rows(name, lost, keys, column)
            change = _changes(both, [column])[column].fillna(0)
            if not moved:
                failures += _describe_rows(name, both[change.abs() > TOLERANCE], keys, column)
            elif not other_libraries:
                still = both["recipe"].isin({"", *steady}) if "recipe" in both else pd.Series(True, both.index)
                failures += _describe_rows(name, both[still & (change.abs() > SMALLEST_CHANGE)], keys, column)
            if moved and len(both) >= FEWEST_SPLITS:
                old_mean, new_mean = both[f"{column}_old"].mean(), both[column].mean()
                tests.append(_test(f"{name}, mean of {len(both)} rows", column, old_mean, new_mean, change))
    return Comparison(failures + _significant(tests), notes)


def _lost_table(name: str, old: pd.DataFrame | None, new: pd.DataFrame | None) -> list[str]:
    if old is None:
        return [] if new is None else [f"{name}: no such table in the reference, and {len(new)} rows were measured"]
    if new is None:
        return [f"{name}: missing, all {len(old)} of the reference's rows"]
    return [f"{name}: columns {', '.join(new)}, and the reference has {', '.join(old)}"]


def _describe_rows(name: str, rows: pd.DataFrame, keys: list[str], column: str) -> list[str]:
    """The first of some rows whose value in a column changed, and how many there are."""
    if rows.empty:
        return []
    old, new = rows[f"{column}_old"].iloc[0], rows[column].iloc[0]
    shown = [f"{value:.6f}" if isinstance(value, float) else str(value) for value in (old, new)]
    return [f"{name} {_name_row(rows, keys)}: {column} {shown[0]} -> {shown[1]} ({len(rows)} rows)"]


def _name_row(rows: pd.DataFrame, keys: list[str]) -> str:
    return ", ".join(filter(None, rows[keys].iloc[0]))
