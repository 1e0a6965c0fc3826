"""The table by generator, and the kinds of generators."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.layout import GENERATORS
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.benchmarks.benchmark import KINDS
from mstclipiqa.evaluation.comparisons import compare_runs
from mstclipiqa.synthetic.miniature import draw_benchmark
from mstclipiqa.synthetic.miniature_layouts import MINIATURES


def test_srcc_within_each_generator_and_kind(suite, samples):
    results, scores = suite(mst_clipiqa={"noise": 0.5, "constant_within": "AttnGAN"})
    _, _, table = compare_runs(scores, results, replicates=50)
    assert list(table) == list(GENERATORS.columns)
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


def test_kinds_are_known_ones_with_a_source():
    listed = read_yaml(KINDS)
    assert set(listed) <= set(BENCHMARKS)
    for entries in listed.values():
        for entry in entries.values():
            assert set(entry) == {"kind", "source"} and entry["source"]
            assert entry["kind"] in ("GAN", "diffusion", "autoregressive", "unknown")


@pytest.mark.parametrize("name", sorted(MINIATURES))
def test_every_generator_of_a_benchmark_is_listed(name, tmp_path):
    draw_benchmark(name, tmp_path / name, 0, 0.05)
    generators = set(BENCHMARKS[name].read(tmp_path / name).frame["generator"])
    assert generators <= set(read_yaml(KINDS)[name])
