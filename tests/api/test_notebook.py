"""The names for notebooks, as somebody uses them who knows the package by its page alone."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mstclipiqa
from mstclipiqa.base.errors import InputError

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "notebooks.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture(scope="module")
def benchmark():
    return mstclipiqa.load_benchmark("agiqa-3k")


def test_the_page_runs_from_outside_the_package(tmp_path):
    """In a process of its own and another folder, with nothing but what the page shows."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AGIQA-3K 2982 ['quality', 'correspondence']")
    assert "lab-seed1" in done.stdout and "p_adjusted" in done.stdout


def test_importing_the_package_stays_cheap():
    heavy = "{'torch', 'pandas', 'numpy', 'scipy'} & set(sys.modules)"
    code = f"import sys, mstclipiqa; sys.exit(', '.join({heavy}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'load_everything'"):
        _ = mstclipiqa.load_everything


def test_every_promised_name_is_there_and_typed():
    for name in mstclipiqa.__all__:
        assert getattr(mstclipiqa, name).__doc__
    for name in ("load_benchmark", "splits", "evaluate", "compare"):
        function = getattr(mstclipiqa, name)
        arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
        assert {*arguments, "return"} <= set(function.__annotations__)


def test_numbers_are_those_of_scipy_on_the_split(benchmark):
    rng = np.random.default_rng(1)
    mos = benchmark.samples.set_index("image")["quality"]
    scores = mos + rng.normal(size=len(mos))
    found = mstclipiqa.evaluate(scores, benchmark, "quality", ["lab-seed1"]).iloc[0]
    table = mstclipiqa.splits(benchmark, "lab-seed1")
    test = table.loc[table["role"] == "test", "image"]
    assert found["n_test"] == len(test) and found["runs"] == 1
    assert found["srcc"] == pytest.approx(stats.spearmanr(scores[test], mos[test]).statistic)
    assert found["plcc"] == pytest.approx(stats.pearsonr(scores[test], mos[test]).statistic)
    # Fisher's interval takes images for independent; ours resamples prompts.
    low, high = np.tanh(np.arctanh(found["plcc"]) + np.array([-1, 1]) * 1.96 / np.sqrt(len(test) - 3))
    assert found["plcc_low"] == pytest.approx(low, abs=0.03) and found["plcc_high"] == pytest.approx(high, abs=0.03)


def test_scores_are_given_as_a_file_a_table_or_a_series(benchmark, tmp_path):
    mos = benchmark.samples.set_index("image")["quality"]
    series = mos + np.random.default_rng(2).normal(size=len(mos))
    table = pd.DataFrame({"image": mos.index, "prediction": series.to_numpy()})
    table.to_csv(tmp_path / "scores.csv", index=False)
    forms = [mstclipiqa.evaluate(form, benchmark, protocols=["lab-seed1"])
             for form in (series, table, tmp_path / "scores.csv", str(tmp_path / "scores.csv"))]  # fmt: skip
    for form in forms[1:]:
        pd.testing.assert_frame_equal(form, forms[0])


def test_a_clear_difference_is_told_and_an_equal_one_is_not(benchmark):
    rng = np.random.default_rng(3)
    mos = benchmark.samples.set_index("image")["quality"]
    good, bad = mos + rng.normal(size=len(mos)), mos + 9 * rng.normal(size=len(mos))
    pairs = mstclipiqa.compare({"good": good, "bad": bad, "again": good}, benchmark, protocols=["lab-seed1"])
    by_pair = pairs.set_index(["method", "against"])
    assert by_pair.loc[("bad", "good"), "p_adjusted"] < 1e-6 and by_pair.loc[("bad", "good"), "high"] < 0
    assert by_pair.loc[("again", "good"), "p_adjusted"] == 1 and by_pair.loc[("again", "good"), "difference"] == 0


def test_a_benchmark_is_loaded_from_a_samples_table_and_a_results_folder(small_study):
    table = small_study.results / "agiqa-3k" / "samples.parquet"
    for source in (table, str(table), small_study.results):
        loaded = mstclipiqa.load_benchmark("agiqa-3k", source)
        assert loaded.name == "agiqa-3k" and loaded.card["synthetic"] and len(loaded.samples) == loaded.card["images"]
    drawn = mstclipiqa.load_benchmark("agiqa-3k", small_study.data / "agiqa-3k")
    pd.testing.assert_frame_equal(drawn.samples, loaded.samples)
    with pytest.raises(InputError, match="holds the samples of agiqa-3k, not of agiqa-1k"):
        mstclipiqa.load_benchmark("agiqa-1k", table)


def scored(benchmark, **changes):
    """The MOS as scores, with one value for all where `quality` is given."""
    return benchmark.samples.assign(**changes)[["image", "quality"]].rename(columns={"quality": "prediction"})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda b: mstclipiqa.load_benchmark("mine"), "unknown benchmark 'mine'"),
        (lambda b: mstclipiqa.load_benchmark("aigciqa2023"), "shipped: nothing to load AIGCIQA2023 from"),
        (lambda b: mstclipiqa.splits(b, "grouped"), "unknown protocol 'grouped'"),
        (lambda b: mstclipiqa.evaluate(pd.DataFrame({"image": ["a"]}), b), "missing column prediction; found 'image'"),
        (lambda b: mstclipiqa.evaluate(scored(b, quality=pd.NA), b), "prediction is empty in data row 1 "),
        (lambda b: mstclipiqa.evaluate(scored(b, quality=True), b), "prediction is 'True' in data row 1 "),
        (lambda b: mstclipiqa.evaluate(scored(b, quality=1e200), b), "prediction is 1e.200 in data row 1 "),
        (lambda b: mstclipiqa.evaluate(scored(b).assign(split=0), b), "has the column split alone"),
        (lambda b: mstclipiqa.evaluate([1.0], b), "scores: give a CSV file, a series by image, or a table"),
        (lambda b: mstclipiqa.evaluate(scored(b), b.name), "give what load_benchmark returns"),
        (
            lambda b: mstclipiqa.evaluate(b.samples["quality"], b, protocols=["lab-seed1"]),
            "image 0 is none of agiqa-3k",
        ),
        (lambda b: mstclipiqa.evaluate(b.samples.set_index("image")["quality"], b, "authenticity"), "rates quality"),
        (lambda b: mstclipiqa.compare({"one": b.samples["quality"]}, b), "compare: 1 method; give two or more"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(call, said, benchmark):
    with pytest.raises(InputError, match=said) as refused:
        call(benchmark)
    assert "\n" not in str(refused.value)
