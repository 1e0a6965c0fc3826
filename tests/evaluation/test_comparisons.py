"""Intervals, paired tests and the table by generator, against scipy, formulas written out and planted cases."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256, write_table
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.evaluation import metrics
from mstclipiqa.evaluation.bootstrap import bootstrap_runs, mean_over_runs, percentile_interval, weighted_correlations
from mstclipiqa.evaluation.by_generator import GENERATORS
from mstclipiqa.evaluation.comparisons import COLUMNS, KINDS, compare_runs
from mstclipiqa.evaluation.paired_tests import BASE, CORRECTED_T, PAIRED_BOOTSTRAP, corrected_error, holm, paired_test
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.synthetic.miniature import draw_benchmark
from mstclipiqa.synthetic.miniature_layouts import MINIATURES

JOB = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "main_text"}
SELECTIONS = {"lab-seed1": ["last", "best-on-test"], "grouped3": ["last", "validation"]}
IMAGES, PER_PROMPT = 200, 4


@pytest.fixture
def samples():
    generators = ["AttnGAN"] * 60 + ["SD1.5"] * 115 + ["an unheard-of one"] * 20 + ["GLIDE"] * 5
    return pd.DataFrame(
        {
            "image": [f"{row:03d}.png" for row in range(IMAGES)],
            "prompt_group": [f"prompt {row // PER_PROMPT}" for row in range(IMAGES)],
            "generator": np.random.default_rng(1).permutation(generators),
        }
    )


def split(samples):
    """lab-seed1 with one split by image, grouped3 with three by prompt: 40 test images each."""
    tables, prompts = [], samples["prompt_group"].unique()
    for protocol, count in (("lab-seed1", 1), ("grouped3", 3)):
        for number in range(count):
            rng = np.random.default_rng(number)
            if protocol == "grouped3":
                test = samples["prompt_group"].isin(rng.choice(prompts, 10, replace=False))
            else:
                test = samples["image"].isin(rng.choice(samples["image"], 40, replace=False))
            role = np.where(test, "test", "train")
            tables.append(
                pd.DataFrame({"protocol": protocol, "split": number, "image": samples["image"], "role": role})
            )
    return pd.concat(tables, ignore_index=True)


def predict(samples, splits, noise, seeds=(0, 1), constant_within=None):
    """Runs of every split, seed and selection; noisier predictions are worse."""
    mos = np.random.default_rng(7).normal(size=len(samples))
    runs = []
    for (protocol, number), table in splits.groupby(["protocol", "split"]):
        test = np.flatnonzero(table["role"] == "test")
        for seed in seeds:
            for selection in SELECTIONS[protocol]:
                rng = np.random.default_rng([number, seed, len(selection)])
                prediction = mos[test] + noise * rng.normal(size=len(test))
                if constant_within:
                    prediction[samples["generator"].to_numpy()[test] == constant_within] = 0.5
                key = {"protocol": protocol, "split": number, "seed": seed, "selection": selection, "epoch": 1}
                key |= {"image": samples["image"].iloc[test], "prediction": prediction, "mos": mos[test]}
                runs.append(pd.DataFrame(key))
    return pd.concat(runs).sample(frac=1, random_state=0)


@pytest.fixture
def suite(tmp_path, samples, monkeypatch):
    """Writes a results folder from predictions by variant; returns it with its metrics."""
    monkeypatch.setattr("mstclipiqa.evaluation.per_run.METRICS", {"srcc": metrics.srcc, "plcc": metrics.plcc})
    splits = split(samples)
    leakage = {"lab-seed1": [{"test_prompts_in_train": 9}], "grouped3": [{"test_prompts_in_train": 0}] * 3}

    def write(**noises):
        folder = tmp_path / "agiqa-3k"
        write_table(folder / "samples.parquet", samples, {})
        write_table(folder / "splits.parquet", splits, {"protocols": leakage})
        for variant, options in noises.items():
            options = options if isinstance(options, dict) else {"noise": options}
            name = variant.replace("_", "-")
            path = folder / "runs" / "quality" / "main_text" / f"{name}.parquet"
            write_table(path, predict(samples, splits, **options), JOB | {"variant": name})
        return tmp_path, evaluate_runs(tmp_path.rglob("runs/*/*/*.parquet"), tmp_path)

    return write


# Resampling


def test_weighted_correlations_are_those_of_the_repeated_values():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=60).round(1), rng.normal(size=60)  # ties in x
    y[:20] = x[:20]
    counts = rng.poisson(1, (60, 25))
    srcc, plcc = weighted_correlations(x, y, counts)
    for r in range(25):
        repeated = np.repeat(x, counts[:, r]), np.repeat(y, counts[:, r])
        assert srcc[r] == pytest.approx(stats.spearmanr(*repeated).statistic, abs=1e-12)
        assert plcc[r] == pytest.approx(stats.pearsonr(*repeated).statistic, abs=1e-12)


def test_a_replicate_of_equal_values_or_none_is_undefined():
    counts = np.array([[3, 1, 0], [2, 1, 0], [0, 1, 0]])
    srcc, plcc = weighted_correlations([0.1, 0.1, 0.7], [1.0, 2.0, 3.0], counts)
    assert np.isnan(srcc).tolist() == np.isnan(plcc).tolist() == [True, False, True]


def test_resampling_by_prompt_draws_whole_prompts():
    """Fifteen prompts of 20 images that share their error: image by image, it would look like 300 opinions."""
    rng = np.random.default_rng(3)
    prompt = np.repeat(np.arange(15), 20)
    samples = pd.DataFrame({"image": range(300), "prompt_group": prompt})
    mos = rng.normal(size=15)[prompt] + 0.3 * rng.normal(size=300)
    run = pd.DataFrame({"row": np.arange(300), "prediction": mos + rng.normal(size=15)[prompt], "mos": mos})
    runs = pd.DataFrame({"resampled": ["images", "prompts"]})
    by_image, by_prompt = bootstrap_runs(runs, [run, run], samples, 400)[0]
    assert np.ptp(percentile_interval(by_prompt)) > 2 * np.ptp(percentile_interval(by_image))

    # Two images of one prompt, of opposite order: drawn together, every replicate has SRCC -1 or nothing.
    samples = pd.DataFrame({"image": range(8), "prompt_group": list("aabbccdd")})
    pair = pd.DataFrame({"row": [2, 3], "prediction": [1.0, 2.0], "mos": [2.0, 1.0]})
    by_image, by_prompt = bootstrap_runs(runs, [pair, pair], samples, 400)[0]
    assert set(by_prompt[~np.isnan(by_prompt)]) == {-1}
    # No prompt b in (3/4)^4 of the replicates; not both images in 1 - (1 - 2 (7/8)^8 + (6/8)^8).
    assert np.isnan(by_prompt).mean() == pytest.approx(0.75**4, abs=0.08)
    assert np.isnan(by_image).mean() == pytest.approx(2 * 0.875**8 - 0.75**8, abs=0.08)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Bivariate normal, rho 0.8: Spearman's is 6/pi asin(rho/2); two runs that share half of their images."""
    truth, rng, held = 6 / np.pi * np.arcsin(0.4), np.random.default_rng(11), 0
    samples = pd.DataFrame({"image": range(200), "prompt_group": range(200)})
    runs = pd.DataFrame({"resampled": ["images", "images"]})
    for _ in range(200):
        x = rng.normal(size=200)
        y = 0.8 * x + 0.6 * rng.normal(size=200)
        tested = [np.arange(0, 120), np.arange(60, 180)]
        predictions = [pd.DataFrame({"row": rows, "prediction": x[rows], "mos": y[rows]}) for rows in tested]
        drawn, _ = bootstrap_runs(runs, predictions, samples, 200)
        low, high = percentile_interval(mean_over_runs(drawn))
        held += low <= truth <= high
    assert 0.90 <= held / 200 <= 0.99


def test_a_run_without_images_takes_no_part_and_too_many_leave_no_interval():
    drawn = np.array([[0.5, np.nan, 0.7, 0.9], [0.3, 0.4, 0.5, 0.7]])
    np.testing.assert_allclose(mean_over_runs(drawn), [0.4, 0.4, 0.6, 0.8])
    drawn[1, :2] = np.nan
    assert np.isnan(percentile_interval(mean_over_runs(drawn))).all()


# Tests


def test_corrected_t_is_nadeau_and_bengios():
    differences = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    error = corrected_error(differences, 600 / 2400)
    mean, variance = differences.mean(), ((differences - differences.mean()) ** 2).sum() / 4
    t = mean / np.sqrt((1 / 5 + 1 / 4) * variance)
    p, low, high = paired_test(mean, error, 4)
    assert p == pytest.approx(2 * (1 - stats.t.cdf(t, 4)))
    assert (high - mean) / error == pytest.approx(2.776445, abs=1e-6)
    assert mean - low == pytest.approx(high - mean)


def test_without_spread_no_difference_has_p_one():
    assert paired_test(0.0, 0.0, 2) == (1.0, 0.0, 0.0)
    assert paired_test(0.1, 0.0, np.inf) == (0.0, 0.1, 0.1)
    assert paired_test(1.96, 1.0, np.inf)[0] == pytest.approx(0.05, abs=1e-4)


def test_holm_by_hand():
    # 0.01 * 4, then 0.03 * 3, then max(0.09, 0.035 * 2), then max(0.09, 0.05)
    np.testing.assert_allclose(holm(np.array([0.05, 0.01, 0.035, 0.03])), [0.09, 0.04, 0.09, 0.09])
    np.testing.assert_allclose(holm(np.array([0.7, 0.8])), [1, 1])


# The three tables


def test_intervals_keep_the_three_sources_apart(suite):
    results, scores = suite(mst_clipiqa=0.5)
    intervals, _, _ = compare_runs(scores, results, replicates=100)
    assert list(intervals) == COLUMNS["intervals"]
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
    assert table.empty and list(table) == COLUMNS["comparisons"]


def test_variants_are_held_against_the_papers_first(suite):
    results, scores = suite(mst_clipiqa=0.5, twin=0.5, worse=3.0)
    _, table, _ = compare_runs(scores, results, replicates=200)
    assert list(table) == COLUMNS["comparisons"]
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
    t = differences.mean() / np.sqrt((1 / 3 + 40 / 160) * differences.var(ddof=1))
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), 2))
    assert (row["runs"], row["splits"], row["n_test"], row["n_train"]) == (6, 3, 40, 160)


def test_runs_that_only_one_variant_has_are_left_out_of_a_pair(suite):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "seeds": (0, 1)}, other={"noise": 0.5, "seeds": (1, 2)})
    _, table, _ = compare_runs(scores, results, replicates=50)
    assert table.loc[table["protocol"] == "grouped3", "runs"].tolist() == [3, 3]
    assert (table["srcc_difference"] == 0).all()


def test_srcc_within_each_generator_and_kind(suite, samples):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "constant_within": "AttnGAN"})
    _, _, table = compare_runs(scores, results, replicates=50)
    assert list(table) == COLUMNS["generators"]
    # the main selections only
    assert set(zip(table["protocol"], table["selection"], strict=True)) == {
        ("lab-seed1", "best-on-test"),
        ("grouped3", "validation"),
    }
    rows = table[table["protocol"] == "grouped3"].set_index(["level", "name"])
    assert rows.loc[("generator", "an unheard-of one"), "kind"] == "unknown"
    assert rows.loc[("generator", "SD1.5"), "kind"] == "diffusion"
    few = rows.loc[("generator", "GLIDE")]
    assert (few["runs"], few["runs_too_small"]) == (0, 6) and np.isnan(few["srcc"]) and np.isnan(few["n_test"])
    constant = rows.loc[("generator", "AttnGAN")]
    assert constant["runs_undefined"] == constant["runs"] > 0 and np.isnan(constant["srcc"])

    predictions = pd.read_parquet(results / scores["file"].iloc[0])
    chosen = predictions[(predictions["protocol"] == "grouped3") & (predictions["selection"] == "validation")]
    of_sd = chosen[chosen["image"].isin(samples.loc[samples["generator"] == "SD1.5", "image"])]
    values = [stats.spearmanr(run["prediction"], run["mos"])[0] for _, run in of_sd.groupby(["split", "seed"])]
    assert rows.loc[("generator", "SD1.5"), "srcc"] == pytest.approx(np.mean(values))
    assert rows.loc[("generator", "SD1.5"), "n_test"] == len(of_sd) / 6


def test_equal_inputs_give_equal_bytes(suite, tmp_path):
    results, scores = suite(mst_clipiqa=0.5, other=1.0)
    digests = []
    for shuffled in (scores, scores.sample(frac=1, random_state=3)):
        for name, table in zip(COLUMNS, compare_runs(shuffled, results, replicates=50), strict=True):
            write_table(tmp_path / f"{name}.parquet", table, {})
        digests.append([sha256(tmp_path / f"{name}.parquet") for name in COLUMNS])
    assert digests[0] == digests[1]


def test_predictions_that_are_not_those_of_the_metrics_are_one_line(suite, samples):
    results, scores = suite(mst_clipiqa=0.5)
    with pytest.raises(InputError, match=r"mst-clipiqa\.parquet: not the run lab-seed1, 0, 9, last") as error:
        compare_runs(scores.assign(seed=9).query("protocol == 'lab-seed1' and selection == 'last'"), results)
    assert "\n" not in str(error.value)
    write_table(results / "agiqa-3k" / "samples.parquet", samples.head(150), {})
    with pytest.raises(InputError, match=r"is not in the samples table"):
        compare_runs(scores, results)


# The kinds of generators


def test_kinds_are_known_ones_with_a_source():
    listed = read_yaml(GENERATORS)
    assert set(listed) <= set(BENCHMARKS)
    for entries in listed.values():
        for entry in entries.values():
            assert set(entry) == {"kind", "source"} and entry["kind"] in KINDS and entry["source"]


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_every_generator_of_a_benchmark_is_listed(name, tmp_path):
    draw_benchmark(name, tmp_path / name, 0, 0.05)
    generators = set(BENCHMARKS[name].read(tmp_path / name).frame["generator"])
    assert generators <= set(read_yaml(GENERATORS)[name])
