"""The three tables of what the means are worth, against formulas written out and planted cases."""

import numpy as np
import pytest
from scipy import stats

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_table
from mstclipiqa.base.layout import COMPARISONS, INTERVALS
from mstclipiqa.evaluation.comparisons import TABLES, compare_runs
from mstclipiqa.evaluation.paired_tests import BASE, CORRECTED_T, PAIRED_BOOTSTRAP


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
        if key[0] == "grouped3":
            assert row["resampled"] == "prompts"
            assert row["srcc_sd_splits"] == pytest.approx(by_split.mean(axis=1).std())
        else:
            assert row["resampled"] == "images" and np.isnan(row["srcc_sd_splits"])


def test_one_seed_has_no_spread_over_seeds(suite):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "seeds": (3,)})
    intervals, table, _ = compare_runs(scores, results, replicates=50)
    assert intervals["srcc_sd_seeds"].isna().all() and (intervals["seeds"] == 1).all()
    assert table.empty and list(table) == list(COMPARISONS.columns)


def test_variants_are_held_against_the_papers_first(suite):
    results, scores = suite(mst_clipiqa=0.5, twin=0.5, worse=3.0)
    _, table, _ = compare_runs(scores, results, replicates=200)
    assert list(table) == list(COMPARISONS.columns)
    assert set(table["against"]) == {BASE} and set(table["variant"]) == {"twin", "worse"}
    assert table["method"].tolist() == [
        CORRECTED_T if protocol == "grouped3" else PAIRED_BOOTSTRAP for protocol in table["protocol"]
    ]
    twins, worse = table[table["variant"] == "twin"], table[table["variant"] == "worse"]
    assert (twins["srcc_difference"] == 0).all() and (twins["p"] == 1).all() and (twins["p_holm"] == 1).all()
    assert (worse["srcc_difference"] < 0).all()
    assert (worse["high"] < 0)[worse["method"] == PAIRED_BOOTSTRAP].all()
    # Two tests in each family of recipe, protocol and selection.
    assert (table["family_size"] == 2).all()
    np.testing.assert_allclose(worse["p_holm"], np.minimum(1, 2 * worse["p"]))

    row = worse[(worse["protocol"] == "grouped3") & (worse["selection"] == "last")].iloc[0]
    runs = scores[(scores["protocol"] == "grouped3") & (scores["selection"] == "last")]
    by_split = runs.pivot_table(index="split", columns="variant", values="srcc")
    differences = (by_split["worse"] - by_split[BASE]).to_numpy()
    t = differences.mean() / np.sqrt((1 / 3 + 40 / 159) * differences.var(ddof=1))
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), 2))
    assert (row["runs"], row["splits"], row["n_test"], row["n_train"]) == (6, 3, 40, 159)


def test_runs_that_only_one_variant_has_are_left_out_of_a_pair(suite):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "seeds": (0, 1)}, other={"noise": 0.5, "seeds": (1, 2)})
    _, table, _ = compare_runs(scores, results, replicates=50)
    assert table.loc[table["protocol"] == "grouped3", "runs"].tolist() == [3, 3]
    assert (table["srcc_difference"] == 0).all()


def test_equal_inputs_give_equal_bytes(suite, tmp_path):
    results, scores = suite(mst_clipiqa=0.5, other=1.0)
    digests = []
    for shuffled in (scores, scores.sample(frac=1, random_state=3)):
        for entry, table in zip(TABLES, compare_runs(shuffled, results, replicates=50), strict=True):
            entry.write(entry.at(tmp_path), table, {})
        digests.append([sha256(entry.at(tmp_path)) for entry in TABLES])
    assert digests[0] == digests[1]


def test_predictions_that_are_not_those_of_the_metrics_are_one_line(suite, samples):
    results, scores = suite(mst_clipiqa=0.5)
    with pytest.raises(InputError, match=r"mst-clipiqa\.parquet: not the run lab-seed1, 0, 9, last") as error:
        compare_runs(scores.assign(seed=9).query("protocol == 'lab-seed1' and selection == 'last'"), results)
    assert "\n" not in str(error.value)
    write_table(results / "agiqa-3k" / "samples.parquet", samples.head(150), {})
    with pytest.raises(InputError, match=r"is not in the samples table"):
        compare_runs(scores, results)
