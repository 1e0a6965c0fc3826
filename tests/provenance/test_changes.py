"""What is said of a measurement that differs from its reference, on a few rows and tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.base.names import GROUP
from mstclipiqa.provenance.changes import (
    LARGEST_MEAN,
    LARGEST_ROW,
    SHOWN,
    SMALLEST_CHANGE,
    STEADY_RATE,
    Comparison,
    compare,
    compare_tables,
)
from mstclipiqa.provenance.faults import TOLERANCE
from mstclipiqa.provenance.measurement import COLUMNS, KEYS, Measurement

FACTS = {
    "code": "0.1.0", "machine": "x86_64, AVX2, GPU none", "version torch": "2.13.0",
    "encoder fine": "small, weights aa", "recipe slow": "1234", "images a": "ab", "MOS a quality": "cd",
    "MOS a correspondence": "ef", "splits a grouped3": "01", "texts": "98", "rate slow": "5e-06",
}  # fmt: skip
VALUES = {"srcc": 0.8, "plcc": 0.7, "plcc_fitted": 0.75, "krcc": 0.6, "rmse": 4.0}
SPLITS = {"grouped3": 3, "lab-seed1": 1}
ROW = "a quality slow mst-clipiqa grouped3 split 1 seed 0 last"
PLACE = "a quality slow mst-clipiqa grouped3 last"


def rows_of(*benchmarks: str) -> pd.DataFrame:
    rows = [
        {"benchmark": name, "target": "quality", "recipe": "slow", "variant": "mst-clipiqa", "protocol": protocol,
         "split": split, "seed": 0, "selection": "last", "epoch": 7, "n": 40} | VALUES
        for name in benchmarks for protocol, count in SPLITS.items() for split in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows)[COLUMNS].sort_values(KEYS, ignore_index=True)


MEASURED = Measurement(FACTS, rows_of("a", "b", "c"))
REFERENCE = replace(MEASURED, facts={"blessed by": "A", "reason": "B", **FACTS})
OTHER_MACHINE = {"machine": "x86_64, AVX512, GPU none"}
OTHER_LIBRARIES = {"version torch": "2.14.0"}


def intervals(low: float = -1.0, high: float = 1.0) -> pd.DataFrame:
    groups = MEASURED.rows[GROUP].drop_duplicates()
    return groups.assign(srcc_low=low, srcc_high=high, plcc_low=low, plcc_high=high)


def at(measured: Measurement, name: str = ROW) -> pd.Series:
    words = name.replace("split ", "").replace("seed ", "").split()
    return (measured.rows[KEYS].astype(str) == words).all(axis=1)


def moved(by: object, metric: str = "srcc", facts: dict | None = None, **changes: object) -> Measurement:
    """The measurement whose metric moved in all rows, or in those where `by` is not 0."""
    rows = MEASURED.rows.assign(**{metric: MEASURED.rows[metric] + by}, **changes)
    return replace(MEASURED, facts=FACTS | (facts or {}), rows=rows)


def held(measured: Measurement, bounds: pd.DataFrame | None = None) -> Comparison:
    return compare(REFERENCE, measured, intervals() if bounds is None else bounds)


def test_what_is_equal_has_no_failures_and_no_notes():
    assert held(MEASURED) == Comparison([], [])


def test_a_comparison_is_shown_notes_first():
    assert str(Comparison(["worse"], ["other torch", "slower"])) == "note  other torch\nnote  slower\nFAIL  worse"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("encoder fine", "x", "encoder fine: another encoder (small, weights aa -> x)"),
        ("recipe slow", "x", "recipe slow: other values (1234 -> x)"),
        ("images a", "x", "images a: other images (ab -> x)"),
        ("MOS a quality", "x", "MOS a quality: other scores (cd -> x)"),
        ("MOS a quality", "ef", "MOS a quality: another column, the reference's correspondence"),
        ("splits a grouped3", "x", "splits a grouped3: other images in train, val or test (01 -> x)"),
        ("splits a grouped3", "ef", "splits a grouped3: other images in train, val or test (01 -> ef)"),
        ("texts", "x", "texts: other titles, descriptions, sources or readings (98 -> x)"),
    ],
)
def test_a_cause_is_named(name: str, value: str, said: str):
    assert held(replace(MEASURED, facts=FACTS | {name: value})) == Comparison([said], [])


def test_other_code_is_no_difference():
    assert held(replace(MEASURED, facts=FACTS | {"code": "0.2.0"})) == Comparison([], [])


def test_a_header_has_all_lines_and_no_others():
    less = replace(REFERENCE, facts={name: value for name, value in REFERENCE.facts.items() if name != "reason"})
    assert compare(less, MEASURED, intervals()).failures == ["reason: no such line in the reference's header"]
    more = replace(REFERENCE, facts=REFERENCE.facts | {"encoder twin": "x"})
    said = ["encoder twin: in the reference's header, and not in the results"]
    assert compare(more, MEASURED, intervals()).failures == said


def test_other_images_are_said_where_libraries_differ_and_fail_elsewhere():
    changed, said = FACTS | {"images a": "x"}, "images a: other images (ab -> x)"
    elsewhere = held(replace(MEASURED, facts=changed | OTHER_LIBRARIES))
    assert elsewhere.failures == [] and elsewhere.notes[:2] == ["version torch: 2.13.0 -> 2.14.0", said]
    assert held(replace(MEASURED, facts=changed | OTHER_MACHINE)).failures == [said]
    other = held(replace(MEASURED, facts=FACTS | OTHER_LIBRARIES | {"texts": "x"}))
    assert other.failures == ["texts: other titles, descriptions, sources or readings (98 -> x)"]


def test_rows_that_one_side_lacks_are_counted_by_what_they_share():
    fewer = replace(MEASURED, rows=rows_of("a", "b"))
    assert held(fewer).failures == ["c: missing, 4 of the reference's rows"]
    assert compare(replace(REFERENCE, rows=fewer.rows), MEASURED, intervals()).failures == [
        "c: extra, 4 rows that the reference has not"
    ]
    one = replace(MEASURED, rows=MEASURED.rows[~at(MEASURED)])
    assert held(one).failures == ["a quality slow mst-clipiqa grouped3 split 1: missing, 1 of the reference's rows"]
    protocol = replace(MEASURED, rows=MEASURED.rows[MEASURED.rows["protocol"] != "grouped3"])
    said = [f"{name} quality slow mst-clipiqa grouped3: missing, 3 of the reference's rows" for name in "abc"]
    assert held(protocol).failures == said


def test_another_number_of_test_images_is_named():
    assert held(moved(0, n=MEASURED.rows["n"] - 3 * at(MEASURED))).failures == [
        f"{ROW}: 37 test images, 40 in the reference"
    ]


@pytest.mark.parametrize(
    ("metric", "by", "said"),
    [
        ("srcc", 0.01, "srcc 0.800000 -> 0.810000 (+0.010000, better)"),
        ("krcc", -0.01, "krcc 0.600000 -> 0.590000 (-0.010000, worse)"),
        ("rmse", 0.01, "rmse 4.000000 -> 4.010000 (+0.010000, worse)"),
        ("rmse", -0.01, "rmse 4.000000 -> 3.990000 (-0.010000, better)"),
    ],
)
def test_in_an_equal_environment_a_row_is_held_number_by_number(metric: str, by: float, said: str):
    assert held(moved(by * at(MEASURED), metric)).failures == [f"{ROW}: {said}"]
    scale = 4 if metric == "rmse" else 1
    assert held(moved(np.sign(by) * scale * 0.9 * TOLERANCE * at(MEASURED), metric)).failures == []
    assert len(held(moved(np.sign(by) * scale * 1.1 * TOLERANCE * at(MEASURED), metric)).failures) == 1


def test_the_metrics_of_a_row_that_moved_are_in_one_line_with_its_epoch():
    changed = moved(0.01 * at(MEASURED), plcc=MEASURED.rows["plcc"] - 0.02 * at(MEASURED))
    changed = replace(changed, rows=changed.rows.assign(epoch=7 + at(MEASURED)))
    assert held(changed).failures == [
        f"{ROW}: srcc 0.800000 -> 0.810000 (+0.010000, better); plcc 0.700000 -> 0.680000 (-0.020000, worse), "
        "epoch 7 -> 8"
    ]


def test_the_furthest_rows_are_first_and_the_others_counted():
    many = replace(MEASURED, rows=rows_of(*"abcdefg"))
    by = np.linspace(0.01, 0.02, len(many.rows)) * np.where(np.arange(len(many.rows)) % 2, 1, -1)
    failures = compare(
        replace(REFERENCE, rows=many.rows),
        replace(many, rows=many.rows.assign(srcc=many.rows["srcc"] + by)),
        intervals(),
    ).failures
    assert len(failures) == SHOWN + 1 and "(+0.020000, better)" in failures[0]
    assert failures[-1] == "8 more rows moved by less: SRCC 4 worse, 4 better"


# Another environment


def test_on_another_machine_a_steady_recipe_is_held_and_said():
    assert held(moved(0, facts=OTHER_MACHINE)).notes == [
        "machine: x86_64, AVX2, GPU none -> x86_64, AVX512, GPU none",
        "another environment than the reference's: means are held against their spread",
        f"same libraries: no run under slow may move by {SMALLEST_CHANGE}",
    ]
    for by, count in ((0.9, 0), (1.1, 1)):
        failures = held(moved(-by * SMALLEST_CHANGE * at(MEASURED), facts=OTHER_MACHINE)).failures
        assert len(failures) == count and all(line.startswith(f"{ROW}: srcc") for line in failures)


def test_on_another_machine_a_fast_recipe_has_means_and_caps_alone():
    def fast(facts: dict) -> dict:
        return facts | {"rate slow": f"{2 * STEADY_RATE:g}"}

    reference = replace(REFERENCE, facts=fast(REFERENCE.facts))
    for by, count in ((0.1, 0), (1.04 * LARGEST_ROW, 1)):
        changed = moved(by * at(MEASURED), "krcc", fast(OTHER_MACHINE))
        comparison = compare(reference, changed, intervals())
        assert len(comparison.failures) == count
        assert comparison.notes[-1] == f"same libraries: no run under any recipe may move by {SMALLEST_CHANGE}"
    edge = replace(REFERENCE, facts=REFERENCE.facts | {"rate slow": f"{STEADY_RATE:g}"})
    steady = moved(0.1 * at(MEASURED), "krcc", OTHER_MACHINE | {"rate slow": f"{STEADY_RATE:g}"})
    assert len(compare(edge, steady, intervals()).failures) == 1


@pytest.mark.parametrize("metric", ["srcc", "plcc", "plcc_fitted", "krcc"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_row_has_a_cap_where_libraries_differ(metric: str, sign: int):
    for by, count in ((0.96, 0), (1.04, 1)):
        failures = held(moved(sign * by * LARGEST_ROW * at(MEASURED), metric, OTHER_LIBRARIES)).failures
        assert len(failures) == count and all(line.startswith(f"{ROW}: {metric} ") for line in failures)


def test_an_rmse_has_no_cap():
    assert held(moved(0.9 * at(MEASURED), "rmse", OTHER_LIBRARIES)).failures == []


@pytest.mark.parametrize(("metric", "value"), [("srcc", 0.8), ("plcc", 0.7)])
def test_a_mean_has_a_cap_however_uncertain(metric: str, value: float):
    """Of three runs, of which the spread is large, and of one run, of which the interval is."""
    spread = np.array([-0.09, 0, 0.09, 0])[np.arange(len(MEASURED.rows)) % 4]
    group = MEASURED.rows["benchmark"] == "a"
    for by, count in ((0.96, 0), (1.04, 2)):
        changed = moved(spread * group - by * LARGEST_MEAN * group, metric, OTHER_LIBRARIES)
        failures = [line for line in held(changed).failures if "any environment" in line]
        assert len(failures) == count
    new = value - 1.04 * LARGEST_MEAN
    assert failures[0] == (
        f"{PLACE}: {metric} {value:.6f} -> {new:.6f} (-0.156000, worse), further than any environment moves it (0.15)"
    )


def test_a_mean_of_few_runs_is_held_to_its_interval():
    changed = moved(-0.02 * at(MEASURED, "a quality slow mst-clipiqa lab-seed1 0 0 last"), facts=OTHER_LIBRARIES)
    assert held(changed, intervals(0.7, 0.79)).failures[0] == (
        "a quality slow mst-clipiqa lab-seed1 last: srcc 0.800000 -> 0.780000 (-0.020000, worse), "
        "the reference lies outside [0.7000, 0.7900]"
    )
    assert held(changed, intervals(0.7, 0.8)).failures == []
    assert held(changed, intervals(0.81, 0.9)).failures != []
    little = moved(-0.9 * SMALLEST_CHANGE, facts=OTHER_LIBRARIES)
    assert held(little, intervals(0.7, 0.71)).failures == []


def test_means_without_an_interval_are_counted_by_metric():
    comparison = held(moved(-0.02 * at(MEASURED), facts=OTHER_LIBRARIES), intervals(np.nan, np.nan))
    assert comparison.failures == []
    assert comparison.notes[-1] == (
        "6 means of too few runs have no interval; only their benchmark's share in all bounds them"
    )


def test_a_mean_of_runs_is_tested_against_their_spread_and_the_benchmarks_are_pooled():
    jitter = np.linspace(-1e-5, 1e-5, len(MEASURED.rows))
    failures = held(moved(-0.01 + jitter, facts=OTHER_LIBRARIES)).failures
    groups = [f"{name} quality slow mst-clipiqa grouped3 last, 3 runs" for name in "abc"]
    groups += [f"slow {protocol} last, mean of 3 benchmarks" for protocol in SPLITS]
    assert [line.split(": srcc")[0] for line in failures] == groups
    assert failures[3].endswith(": srcc 0.800000 -> 0.789999 (-0.010001, worse), p 1.2e-06")
    assert held(moved(-0.9 * SMALLEST_CHANGE + jitter, facts=OTHER_LIBRARIES)).failures == []
    noise = np.random.default_rng(0).normal(0, 0.05, len(MEASURED.rows))
    assert held(moved(noise, facts=OTHER_LIBRARIES)).failures == []


def test_a_further_metric_is_tested_too():
    jitter = np.linspace(-1e-5, 1e-5, len(MEASURED.rows))
    failures = held(moved(0.01 + jitter, "krcc", OTHER_LIBRARIES)).failures
    assert any(line.startswith(f"{PLACE}, 3 runs: krcc 0.600000 -> 0.6") for line in failures)


# The further tables


def test_numbers_of_a_table_without_recipes_or_with_none_are_held_on_another_machine():
    rivals = {"benchmark": "a", "source": "ridge", "target": "quality", "protocol": "grouped3", "split": list("012")}
    carried = {"train_benchmark": list("abc"), "test_benchmark": "b", "variant": "ridge", "recipe": ""}
    for name, keys in (("baselines", rivals), ("transfer", carried)):
        table = pd.DataFrame(keys | {"srcc": 0.5})
        moved_by = {name: table.assign(srcc=[0.5, 0.52, 0.5])}
        (line,) = differ(moved_by, text({name: table}), moved=True).failures
        assert line.startswith(f"{name} ") and line.endswith("srcc 0.500000 -> 0.520000 (1 rows)")


def tables(**columns: object) -> dict[str, pd.DataFrame]:
    table = pd.DataFrame({"recipe": "slow", "variant": list("abcdef"), "trained": 9, "gflops": 0.7} | columns)
    return {"efficiency": table}


def text(table: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """As a reference holds it."""
    return {name: frame.astype(str) for name, frame in table.items()}


def differ(new: dict[str, pd.DataFrame], old: dict[str, pd.DataFrame] | None = None, **where: object) -> Comparison:
    options = {"moved": False, "other_libraries": False, "steady": {"slow"}} | where
    return compare_tables(text(tables()) if old is None else old, new, **options)


def test_equal_tables_have_no_differences():
    assert differ(tables()) == Comparison([], [])
    assert compare_tables({}, {}, True, True, set()) == Comparison([], [])


def test_a_table_that_one_side_lacks_or_has_otherwise():
    assert differ({}).failures == ["efficiency: missing, all 6 of the reference's rows"]
    assert differ(tables(), {}).failures == ["efficiency: no such table in the reference, and 6 rows were measured"]
    said = "efficiency: columns recipe, variant, trained, and the reference has recipe, variant, trained, gflops"
    assert differ({"efficiency": tables()["efficiency"].drop(columns="gflops")}).failures == [said]


def test_rows_of_a_table_that_one_side_lacks():
    fewer = {"efficiency": tables()["efficiency"].iloc[1:]}
    assert differ(fewer).failures == ["efficiency: missing, 1 of the reference's rows, e.g. slow, a"]
    assert differ(tables(), text(fewer)).failures == ["efficiency: extra, 1 rows, e.g. slow, a"]


def test_counts_are_equal_in_every_environment():
    said = ["efficiency slow, b: trained 9 -> 10 (2 rows)"]
    changed = tables(trained=[9, 10, 9, 10, 9, 9])
    for where in ({}, {"moved": True}, {"moved": True, "other_libraries": True}):
        assert differ(changed, **where) == Comparison(said, [])


def test_numbers_move_as_those_of_runs_may():
    def at_c(by: float) -> dict[str, pd.DataFrame]:
        return tables(gflops=[0.7, 0.7, 0.7 + by, 0.7, 0.7, 0.7])

    said = ["efficiency slow, c: gflops 0.700000 -> 0.800000 (1 rows)"]
    assert differ(at_c(0.1)).failures == said
    assert differ(at_c(0.9 * TOLERANCE)).failures == [] and len(differ(at_c(-1.1 * TOLERANCE)).failures) == 1
    assert differ(at_c(0.1), moved=True).failures == said
    assert differ(at_c(0.9 * SMALLEST_CHANGE), moved=True).failures == []
    assert len(differ(at_c(-1.1 * SMALLEST_CHANGE), moved=True).failures) == 1
    assert differ(at_c(0.1), moved=True, steady=set()).failures == []
    assert differ(at_c(0.1), moved=True, other_libraries=True).failures == []


def test_a_number_that_is_no_more_or_was_none():
    gone = tables(gflops=[0.7, np.nan, 0.7, 0.7, 0.7, 0.7])
    assert differ(gone).failures == ["efficiency slow, b: gflops 0.700000 -> nan (1 rows)"]
    assert differ(tables(), text(gone)).failures == ["efficiency slow, b: gflops nan -> 0.700000 (1 rows)"]
    assert differ(gone, text(gone)).failures == []


def test_a_table_whose_numbers_all_move_is_red_where_libraries_differ():
    by = 0.01 + np.linspace(-1e-4, 1e-4, 6)
    (line,) = differ(tables(gflops=0.7 + by), moved=True, other_libraries=True).failures
    assert line.startswith("efficiency, mean of 6 rows: gflops 0.700000 -> 0.710000 (+0.010000, better), p ")


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("reproduced", "inconclusive", True),
        ("reproduced", "untestable", False),
        ("not run", "reproduced", False),
    ],
)
def test_a_verdict_on_numbers_may_move_with_the_environment(old: str, new: str, note: bool):
    row = {"id": "gff-best", "recipe": "slow", "protocol": "lab-seed1"}
    held_to, said = text({"verdicts": pd.DataFrame([row | {"verdict": old}])}), f"verdict {old} -> {new} (1 rows)"
    lines = [f"verdicts gff-best, slow, lab-seed1: {said}"]
    found = {"verdicts": pd.DataFrame([row | {"verdict": new}])}
    assert differ(found, held_to) == Comparison(lines, [])
    later = tables()  # of which nothing is to be said
    elsewhere = differ(found | later, held_to | text(later), moved=True, other_libraries=True)
    assert elsewhere == (Comparison([], lines) if note else Comparison(lines, []))
