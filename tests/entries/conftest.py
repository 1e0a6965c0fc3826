"""A hundred images of the shipped AGIQA-3K, and scores of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.api.notebook import Benchmark, load_benchmark

IMAGES = 240


@pytest.fixture(scope="session")
def benchmark() -> Benchmark:
    """Some images of the real benchmark, of many prompts and every generator."""
    whole = load_benchmark("agiqa-3k")
    few = whole.samples.iloc[:: len(whole.samples) // IMAGES][:IMAGES].reset_index(drop=True)
    return Benchmark(few.assign(row=range(IMAGES)), whole.card | {"rows_read": IMAGES})


@pytest.fixture
def scores(benchmark: Benchmark) -> pd.DataFrame:
    """Scores of every image that know something of the MOS."""
    noise = np.random.default_rng(7).normal(size=IMAGES)
    return pd.DataFrame({"image": benchmark.samples["image"], "prediction": benchmark.samples["quality"] + noise})


@pytest.fixture
def file(scores: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    scores.to_csv(path, index=False)
    return path
