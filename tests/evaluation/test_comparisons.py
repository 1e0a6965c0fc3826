"""The three tables of what the means are worth, against formulas written out and planted cases."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_table
from mstclipiqa.base.layout import COMPARISONS, INTERVALS
from mstclipiqa.evaluation.averages import AVERAGES
from mstclipiqa.evaluation.comparisons import TABLES, compare_runs
from mstclipiqa.evaluation.paired_tests import BASE
from mstclipiqa.evaluation.per_run import evaluate_runs


def test_intervals_keep_the_three_sources_apart(suite):
    results, scores = suite(mst_clipiqa=0.5)
    intervals, _, _ = compare_runs(scores, results, replicates=100)
    assert list(intervals) == list(INTERVALS.columns)
    rows = intervals.set_index(["protocol", "selection"])
    assert len(rows) == 4
    for key, row in rows.iterrows():
        runs = scores[(scores["protocol"] == key[0]) & (scores["selection"] == key[1])]
        by_split = runs.pivot(index="split", columns="seed", values="srcc")
        assert row["srcc"] == pytest.approx(runs["srcc"].mean())
        assert row["srcc_low"] < row["srcc"] < row["srcc_high"]
        assert (row["runs"], row["splits"], row["seeds"], row["n_test"]) == (by_split.size, len(by_split), 2, 40)
        assert row["srcc_sd_seeds"] == pytest.approx(by_split.std(axis=1).mean())
        assert 0 < row["srcc_images_error"] < 0.2 and row["prompts"] <= 40
        if key[0] == "grouped3":
            assert row["noise"] == "images and splits"
            assert row["srcc_sd_splits"] == pytest.approx(by_split.mean(axis=1).std())
        else:
            assert row["noise"] == "images, seeds" and np.isnan(row["srcc_sd_splits"])


def test_one_seed_has_no_spread_over_seeds_and_no_test_on_one_split(suite):
    one = {"noise": 0.5, "seeds": (3,)}
    results, scores = suite(mst_clipiqa=one, worse=one | {"noise": 3.0})
    intervals, table, _ = compare_runs(scores, results, replicates=50)
    assert intervals["srcc_sd_seeds"].isna().all() and (intervals["seeds"] == 1).all()
    single = table[table["protocol"] == "lab-seed1"]
    assert (single["noise"] == "images").all() and (single["images_error"] > 0).all()
    assert single[["standard_error", "freedom", "low", "high", "p", "p_holm"]].isna().all(axis=None)
    # Three splits were trained from other images each: their spread shows what training varies.
    assert table.loc[table["protocol"] == "grouped3", "p"].notna().all()


def test_one_variant_has_nothing_to_be_held_against(suite):
    results, scores = suite(other=0.5)  # the mean of two trainings is made of the paper's first model alone
    _, table, _ = compare_runs(scores, results, replicates=50)
    assert table.empty and list(table) == list(COMPARISONS.columns)


def test_any_two_variants_are_held_against_each_other(suite):
    results, scores = suite(mst_clipiqa=0.5, twin=0.5, worse=3.0)
    _, table, _ = compare_runs(scores, results, replicates=200)
    assert list(table) == list(COMPARISONS.columns)
    table = table[~table["against"].isin(AVERAGES)]
    variants = {BASE, "twin", "worse"}
    for (protocol, _, metric), rows in table.groupby(["protocol", "selection", "metric"]):
        assert set(zip(rows["variant"], rows["against"], strict=True)) == {
            (one, other) for one in variants for other in variants if one != other
        }
        # Two tests in each family: all variants against one.
        assert (rows["family_size"] == 2).all()
        by_pair = rows.set_index(["variant", "against"])
        twins, worse = by_pair.loc["twin", BASE], by_pair.loc["worse", BASE]
        assert (twins["difference"], twins["p"], twins["p_holm"]) == (0, 1, 1)
        assert worse["difference"] < 0 and worse["difference"] == -by_pair.loc[(BASE, "worse"), "difference"]
        assert worse["p_holm"] == pytest.approx(min(1, 2 * worse["p"]))
        runs = scores[(scores["protocol"] == protocol) & (scores["selection"] == rows["selection"].iloc[0])]
        means = runs.groupby("variant")[metric].mean()
        assert worse["difference"] == pytest.approx(means["worse"] - means[BASE])
    last = table[(table["selection"] == "last") & (table["metric"] == "srcc")].set_index("protocol")
    assert last["noise"].to_dict() == {"lab-seed1": "images, seeds", "grouped3": "images and splits"}

    row = last[(last["variant"] == "worse") & (last["against"] == BASE)].loc["grouped3"]
    runs = scores[(scores["protocol"] == "grouped3") & (scores["selection"] == "last")]
    by_split = runs.pivot_table(index="split", columns="variant", values="srcc")
    differences = (by_split["worse"] - by_split[BASE]).to_numpy()
    weight = 0.1 * (row["prompts"] - 2) / 3
    variance = 2 * (1 / 3 + 40 / 160) * differences.var(ddof=1) + weight * row["images_error"] ** 2
    error, freedom = np.sqrt(variance / (2 + weight)), 2 + weight
    assert row["standard_error"] == pytest.approx(error) and row["freedom"] == pytest.approx(freedom)
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / error, freedom))
    assert (row["runs"], row["splits"], row["seeds"]) == (6, 3, 2)


def test_runs_that_only_one_variant_has_are_left_out_of_a_pair(suite):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "seeds": (0, 1)}, other={"noise": 0.5, "seeds": (1, 2)})
    _, table, _ = compare_runs(scores, results, replicates=50)
    table = table[~table["against"].isin(AVERAGES)]
    assert set(table.loc[table["protocol"] == "grouped3", "runs"]) == {3}
    assert (table["difference"] == 0).all()


def test_equal_inputs_give_equal_bytes(suite, tmp_path):
    results, scores = suite(mst_clipiqa=0.5, other=1.0)
    digests = []
    for shuffled in (scores, scores.sample(frac=1, random_state=3)):
        for entry, table in zip(TABLES, compare_runs(shuffled, results, replicates=50), strict=True):
            entry.write(entry.at(tmp_path), table, {})
        digests.append([sha256(entry.at(tmp_path)) for entry in TABLES])
    assert digests[0] == digests[1]


def test_of_two_variants_each_row_is_the_others_turned_round(suite):
    results, scores = suite(mst_clipiqa=0.5, other=1.0)
    _, table, _ = compare_runs(scores, results, replicates=50)
    table = table[~table["against"].isin(AVERAGES)]
    keys = ["protocol", "selection", "metric"]
    own, other = (rows.set_index(keys) for _, rows in table.groupby("against"))
    assert (own["variant"] == "other").all() and (own["difference"] == -other["difference"]).all()
    assert own["low"].equals(-other["high"]) and own["high"].equals(-other["low"])
    same = ["runs", "splits", "seeds", "prompts", "noise", "images_error", "standard_error", "freedom", "p"]
    assert own[same].equals(other[same])


def test_processes_change_nothing(suite):
    results, scores = suite(mst_clipiqa=0.5, other=1.0)
    files = sorted(results.rglob("runs/*/*/*.parquet"))
    again = evaluate_runs(files, results, workers=2)[list(scores)]  # the processes have every metric, the fixture two
    pd.testing.assert_frame_equal(again, scores, check_exact=True)


def test_predictions_that_are_not_those_of_the_metrics_are_one_line(suite, samples):
    results, scores = suite(mst_clipiqa=0.5)
    with pytest.raises(InputError, match=r"mst-clipiqa\.parquet: not the run lab-seed1, 0, 9, last") as error:
        compare_runs(scores.assign(seed=9).query("protocol == 'lab-seed1' and selection == 'last'"), results)
    assert "\n" not in str(error.value)
    write_table(results / "agiqa-3k" / "samples.parquet", samples.head(150), {})
    with pytest.raises(InputError, match=r"is not in the samples table"):
        compare_runs(scores, results)
