"""The reference check: what a suite measured, held against its committed reference.

A reference is a CSV whose changes a reviewer can read: commented lines of what the numbers rest on, then a row per run
and selection. `check` never writes it; `bless` does, for a stated reason.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError, MstclipiqaError
from mstclipiqa.base.files import digest, write_text
from mstclipiqa.base.layout import INTERVALS, MANIFEST, RUNS, SAMPLES, SPLITS
from mstclipiqa.base.layout import METRICS as METRICS_TABLE
from mstclipiqa.base.names import GROUP, JOB, RUN
from mstclipiqa.evaluation.bootstrap import LEVEL
from mstclipiqa.evaluation.paired_tests import FAMILY, FEWEST_SPLITS, corrected_error, holm, paired_test
from mstclipiqa.study.study import Job

KEYS = [*JOB, *RUN]
METRICS = ("srcc", "plcc")
COLUMNS = [*KEYS, "epoch", "n", *METRICS]

#: Bound on a metric's change in an equal environment. Not 0: the reference is rounded, and kernels that the described
#: environment does not tell apart may order their sums otherwise. docs/reference-check.md says what was measured.
TOLERANCE = 1e-4

#: A change that counts in another environment. On the 20 test images of a drawn benchmark, two that change places move
#: SRCC by 0.0015.
SMALLEST_CHANGE = 0.005

#: Other kernels round otherwise. Up to this learning rate that moved no metric by as much as 1e-6, so that rows can be
#: compared between machines with the same libraries; at 1e-3 training amplifies it, up to 0.06 in one run.
STEADY_RATE = 1e-4

#: Facts that the numbers rest on, by the first word of each: a change of one is named as the cause.
CAUSES = ("encoder", "recipe", "images", "MOS", "splits")
#: Facts whose change asks for statistics.
ENVIRONMENT = ("machine", "version")
PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")

#: Changed metrics that are listed; the others are counted.
SHOWN = 20


@dataclass(frozen=True)
class Measurement:
    """What a suite measured: `facts` that it rests on, by name, and `rows`, COLUMNS per run and selection."""

    facts: dict[str, str]
    rows: pd.DataFrame

    def facts_of(self, kinds: tuple[str, ...]) -> dict[str, str]:
        """The facts whose first word is one of `kinds`."""
        return {name: value for name, value in self.facts.items() if name.split()[0] in kinds}


@dataclass(frozen=True)
class Comparison:
    """What differs from a reference, a line each: `failures` turn the check red, `notes` do not."""

    failures: list[str]
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join([*(f"note  {line}" for line in self.notes), *(f"FAIL  {line}" for line in self.failures)])


# What was measured


def measure(results: Path) -> Measurement:
    """Read what the suite in the folder `results` measured, and describe what that rests on.

    Raises InputError where the metrics, the manifest, or a benchmark's samples or splits are missing.
    """
    manifest = _read_manifest(MANIFEST.at(results))
    rows, _ = METRICS_TABLE.read(METRICS_TABLE.at(results))
    hardware = manifest["hardware"]
    facts = {"code": f"{manifest['code']['version']}, commit {manifest['code']['commit'] or 'unknown'}"}
    facts["machine"] = f"{hardware['machine']}, {hardware['instructions']}, GPU {hardware['gpu']}"
    # A build's label, as in 2.13.0+cpu, says for which GPU it is, and so does the machine.
    facts |= {f"version {name}": manifest["versions"][name].partition("+")[0] for name in PACKAGES}
    facts |= {f"encoder {role}": _describe_encoder(encoder) for role, encoder in manifest["encoders"].items()}
    facts |= {f"recipe {name}": digest(recipe["values"])[:12] for name, recipe in manifest["recipes"].items()}
    facts |= {f"rate {name}": f"{recipe['values']['learning_rate']:g}" for name, recipe in manifest["recipes"].items()}
    for benchmark, state in manifest["benchmarks"].items():
        if state["status"] == "present":
            facts |= _describe_data(results, benchmark)
    return Measurement(facts, rows[COLUMNS].sort_values(KEYS, ignore_index=True))


def _read_manifest(path: Path) -> dict:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["hardware"]["instructions"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `snakemake --cores all reproduce` first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a manifest of this version ({error}); delete it and run again") from None
    return manifest


def _describe_encoder(identity: dict) -> str:
    """Model, weights, and a digest of how images are read; without versions, which are facts of their own."""
    apart = {"name", "label", "versions", "model", "weights", "weights_sha256"}
    reading = digest({key: value for key, value in identity.items() if key not in apart})
    return f"{identity['model']}, weights {identity['weights_sha256'][:12]}, description {reading[:12]}"


def _describe_data(results: Path, benchmark: str) -> dict[str, str]:
    """Digests of contents: a file's own bytes change with the library that writes it."""
    samples, card = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))
    splits, _ = SPLITS.read(SPLITS.at(results, benchmark=benchmark))
    facts = {f"images {benchmark}": _hash(samples[["image", "sha256"]])}
    facts |= {f"MOS {benchmark} {target}": _hash(samples[["image", target]]) for target in card["ranges"]}
    for protocol, table in splits.groupby("protocol"):
        facts[f"splits {benchmark} {protocol}"] = _hash(table[["split", "image", "role"]])
    return facts


def _hash(table: pd.DataFrame) -> str:
    """A short digest of a table's values, whatever the order of its rows; numbers to six decimals."""
    ordered = table.sort_values(list(table))
    return digest(ordered.to_csv(index=False, header=False, float_format="%.6f", lineterminator="\n"))[:12]


# The reference


def read_reference(path: Path) -> Measurement:
    """Read what `write_reference` wrote. Raises InputError where there is none, or where it is another file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such reference; write it with `mstclipiqa bless --results ...`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it from git") from None
    heading = [line for line in lines if line.startswith("# ")]
    facts = dict(line.removeprefix("# ").partition(": ")[::2] for line in heading)
    try:
        rows = pd.read_csv(path, skiprows=len(heading), encoding="utf-8")
        if list(rows) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(map(str, rows))}")
        rows = rows.astype({"split": int, "seed": int, "epoch": int, "n": int, **dict.fromkeys(METRICS, float)})
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a reference ({reason}); restore it from git, or bless a new one") from None
    if rows.duplicated(KEYS).any() or rows.isna().any(axis=None):
        raise InputError(f"{path}: a run stands twice or has no number; restore it from git, or bless a new one")
    return Measurement(facts, rows)


def write_reference(path: Path, measured: Measurement, by: str, reason: str) -> None:
    """Write `measured` as the reference: facts as commented lines, then the rows, metrics to six decimals.

    Raises InputError where a reason or a name is not one line of text.
    """
    facts = {"blessed by": by, "reason": reason}
    for name, value in facts.items():
        if not value.strip() or len(value.splitlines()) > 1:
            raise InputError(f"{name}: {value!r}; give one line of text")
    heading = "".join(f"# {name}: {value}\n" for name, value in {**facts, **measured.facts}.items())
    write_text(path, heading + measured.rows.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


# The check


def check_suite(results: Path, reference: Path) -> tuple[Measurement, Comparison]:
    """Measure the suite in the folder `results`, and compare it with the reference in the file `reference`."""
    expected, measured = read_reference(reference), measure(results)
    intervals, _ = INTERVALS.read(INTERVALS.at(results))
    comparison = compare(expected, measured, intervals)
    return measured, Comparison(find_faults(results, measured.rows) + comparison.failures, comparison.notes)


def prepare_reference(results: Path, reference: Path) -> tuple[Measurement, str]:
    """What a suite measured, to become the reference, and what that changes, in words.

    Raises MstclipiqaError for faults that no reference may hold.
    """
    if reference.exists():
        measured, comparison = check_suite(results, reference)
        shown = str(comparison)
    else:
        measured = measure(results)
        shown = f"{reference}: the first reference, {len(measured.rows)} rows"
    if faults := find_faults(results, measured.rows):
        raise MstclipiqaError(f"{faults[0]} ({len(faults)} faults); no reference may hold that, mend it and run again")
    return measured, shown


# Faults that need no reference


def find_faults(results: Path, rows: pd.DataFrame) -> list[str]:
    """What is wrong with the results in themselves, a line each: metrics that are no numbers, predictions that are
    missing, constant or not finite, MOS that are not the benchmark's, metrics that are not those of their predictions.
    """
    failures = [f"{_name(row[KEYS])}: appears twice" for _, row in rows[rows.duplicated(KEYS)].iterrows()]
    for metric in METRICS:
        failures += [
            f"{_name(row[KEYS])}: {metric} is {row[metric]}" for _, row in rows[~np.isfinite(rows[metric])].iterrows()
        ]
    for key, table in rows.groupby(JOB):
        job = Job(*key)
        try:
            predictions, _ = RUNS.read(results / job.path)
            samples, _ = SAMPLES.read(SAMPLES.at(results, benchmark=job.benchmark))
        except InputError as error:
            failures.append(str(error))
        else:
            failures += _faults_of_job(job, table, predictions, samples.set_index("image"))
    return failures


def _faults_of_job(job: Job, rows: pd.DataFrame, predictions: pd.DataFrame, samples: pd.DataFrame) -> Iterator[str]:
    scores = samples.select_dtypes("number").reindex(predictions["image"])
    equal = [name for name in scores if np.allclose(scores[name], predictions["mos"], rtol=0, atol=1e-6)]
    if job.target not in equal:
        yield f"{job.path}: its MOS are not the benchmark's {job.target}" + "".join(
            f", but its {name}" for name in equal
        )
    runs = dict(iter(predictions.groupby(RUN)))
    for row in rows.itertuples():
        name, run = _name(getattr(row, key) for key in KEYS), runs.get(tuple(getattr(row, key) for key in RUN))
        if run is None:
            yield f"{name}: has metrics, but no predictions in {job.path}"
        elif not np.isfinite(run["prediction"]).all():
            yield f"{name}: {int((~np.isfinite(run['prediction'])).sum())} of {len(run)} predictions are not finite"
        elif np.ptp(run["prediction"]) == 0:
            yield f"{name}: constant predictions ({run['prediction'].iloc[0]:g} for all {len(run)} images)"
        else:
            for metric, method in zip(METRICS, ("spearman", "pearson"), strict=True):
                found, value = getattr(row, metric), run["prediction"].corr(run["mos"], method=method)
                if abs(found - value) > TOLERANCE:
                    yield f"{name}: {metric} is {found:.6f} in metrics.parquet, {value:.6f} of its predictions"


# Against the reference


def compare(reference: Measurement, measured: Measurement, intervals: pd.DataFrame) -> Comparison:
    """Compare `measured` with `reference`: row by row where the libraries are the same, closest on an equal machine; by
    means, against their spread, in any other environment.

    `intervals` are the suite's, as `mstclipiqa compare` writes them: they bound groups of too few runs to test.
    """
    moved = _changed(reference.facts_of(ENVIRONMENT), measured.facts_of(ENVIRONMENT))
    other_libraries = any(name.startswith("version") for name, _, _ in moved)
    notes = [f"{name}: {old} -> {new}" for name, old, new in moved]
    failures: list[str] = []
    for name, old, new in _changed(reference.facts_of(CAUSES), measured.facts_of(CAUSES)):
        # Another Pillow writes other bytes; another machine was found not to.
        lines = notes if name.startswith("images") and other_libraries else failures
        lines.append(_describe_change(name, old, new, reference.facts))
    failures += [f"{name}: missing, {count} of the reference's rows" for name, count in _only(reference, measured)]
    failures += [
        f"{name}: extra, {count} rows that the reference has not" for name, count in _only(measured, reference)
    ]
    both = reference.rows.merge(measured.rows, on=KEYS, suffixes=("_old", ""))
    failures += [
        f"{_name(row[KEYS])}: {row['n']} test images, {row['n_old']} in the reference"
        for _, row in both[both["n"] != both["n_old"]].iterrows()
    ]
    if not moved:
        failures += _moved_rows(both, TOLERANCE)
    else:
        notes.append("another environment than the reference's: means are held against their spread")
        if not other_libraries:
            steady = [name for name in both["recipe"].unique() if float(measured.facts[f"rate {name}"]) <= STEADY_RATE]
            notes.append(
                f"same libraries: no run under {', '.join(steady) or 'any recipe'} may move by {SMALLEST_CHANGE}"
            )
            failures += _moved_rows(both[both["recipe"].isin(steady)], SMALLEST_CHANGE)
        means = _moved_means(both, intervals)
        failures, notes = failures + means.failures, notes + means.notes
    return Comparison(failures, notes)


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
    }
    return f"{name}: {what[kind]} ({old} -> {new})"


def _only(one: Measurement, other: Measurement) -> list[tuple[str, int]]:
    """Rows of `one` that `other` has not, by the shortest start of their keys that `other` has not, counted."""
    keys, known = (table.rows[KEYS].itertuples(index=False, name=None) for table in (one, other))
    prefixes = {key[:depth] for key in known for depth in range(1, len(KEYS) + 1)}
    counts: dict[tuple, int] = {}
    for key in keys:
        prefix = next((key[:depth] for depth in range(1, len(KEYS) + 1) if key[:depth] not in prefixes), None)
        if prefix:
            counts[prefix] = counts.get(prefix, 0) + 1
    return [(_name(prefix), count) for prefix, count in counts.items()]


def _moved_rows(both: pd.DataFrame, tolerance: float) -> list[str]:
    """The rows of which a metric moved beyond `tolerance`, the furthest first."""
    change = pd.DataFrame({metric: both[metric] - both[f"{metric}_old"] for metric in METRICS})
    furthest = change.abs().max(axis=1)
    moved = furthest[furthest > tolerance].sort_values(ascending=False, kind="stable").index
    lines = []
    for place in moved[:SHOWN]:
        row = both.loc[place]
        parts = [
            _describe_metric(metric, row[f"{metric}_old"], row[metric])
            for metric in METRICS
            if abs(change.loc[place, metric]) > tolerance
        ]
        epochs = f", epoch {row['epoch_old']} -> {row['epoch']}" if row["epoch"] != row["epoch_old"] else ""
        lines.append(f"{_name(row[KEYS])}: {'; '.join(parts)}{epochs}")
    if len(moved) > SHOWN:
        rest = change.loc[moved[SHOWN:], "srcc"]
        lines.append(f"{len(rest)} more rows moved by less: SRCC {(rest < 0).sum()} worse, {(rest > 0).sum()} better")
    return lines


def _moved_means(both: pd.DataFrame, intervals: pd.DataFrame) -> Comparison:
    """The groups whose mean moved further than chance and SMALLEST_CHANGE explain.

    Runs are paired by split and seed; where a group has too few for a test, the reference must lie in the bootstrap
    interval of its mean. Benchmarks are pooled, too: what moves all of them a little shows in none alone.
    """
    tests, failures, unbounded = [], [], 0
    bounds = both[GROUP].drop_duplicates().merge(intervals, how="left").set_index(GROUP)
    for metric in METRICS:
        change = both.assign(change=both[metric] - both[f"{metric}_old"])
        for key, runs in change.groupby(GROUP):
            old, new = runs[f"{metric}_old"].mean(), runs[metric].mean()
            low, high = bounds.loc[key, [f"{metric}_low", f"{metric}_high"]]
            if len(runs) >= FEWEST_SPLITS:
                tests.append(_test(f"{' '.join(key)}, {len(runs)} runs", metric, old, runs["change"]))
            elif np.isnan(low):
                unbounded += 1
            elif abs(new - old) > SMALLEST_CHANGE and not low <= old <= high:
                band = f"the reference lies outside [{low:.4f}, {high:.4f}]"
                failures.append(f"{' '.join(key)}: {_describe_metric(metric, old, new)}, {band}")
        for key, runs in change.groupby(FAMILY):
            by_benchmark = runs.groupby("benchmark")[[f"{metric}_old", "change"]].mean()
            if len(by_benchmark) >= FEWEST_SPLITS:
                name = f"{' '.join(key)}, mean of {len(by_benchmark)} benchmarks"
                tests.append(_test(name, metric, by_benchmark[f"{metric}_old"].mean(), by_benchmark["change"]))
    for adjusted, test in zip(holm(np.array([test["p"] for test in tests])), tests, strict=True):
        if adjusted < 1 - LEVEL and abs(test["change"]) > SMALLEST_CHANGE:
            described = _describe_metric(test["metric"], test["old"], test["old"] + test["change"])
            failures.append(f"{test['name']}: {described}, p {adjusted:.2g}")
    notes = [f"{unbounded} means of too few runs have no interval; only their benchmark's share in all bounds them"]
    return Comparison(failures, notes if unbounded else [])


def _test(name: str, metric: str, old: float, changes: pd.Series) -> dict:
    """Student's paired test of a mean change. The splits are the same ones, so that their overlap corrects nothing."""
    error = corrected_error(changes.to_numpy(), test_to_train=0)
    p, _, _ = paired_test(float(changes.mean()), error, len(changes) - 1)
    return {"name": name, "metric": metric, "old": old, "change": changes.mean(), "p": p}


def _describe_metric(metric: str, old: float, new: float) -> str:
    return f"{metric} {old:.6f} -> {new:.6f} ({new - old:+.6f}, {'better' if new > old else 'worse'})"


def _name(key: Iterable[object]) -> str:
    """The values of KEYS, or of the first of them, for a person."""
    return " ".join(
        f"{name} {value}" if name in ("split", "seed") else str(value) for name, value in zip(KEYS, key, strict=False)
    )
