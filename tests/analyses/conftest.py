import numpy as np
import pandas as pd
import pytest
import torch

from mstclipiqa.analyses.probe_images import describe_images, probe_scenes


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scenes() -> pd.DataFrame:
    return probe_scenes()


@pytest.fixture(scope="module")
def images(scenes: pd.DataFrame) -> pd.DataFrame:
    return describe_images(scenes)


@pytest.fixture
def features() -> np.ndarray:
    """Sixty images of five features, each of another spread."""
    return np.random.default_rng(0).normal(3, [1, 2, 3, 4, 5], (60, 5))
