from pathlib import Path

import pandas as pd
import pytest
from encoding import CPU, make_samples

from mstclipiqa.encoders.clip import Encoder, load_encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("mst-small-32", "random:32", CPU)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def samples(root: Path) -> pd.DataFrame:
    return make_samples(root, 20)
