import numpy as np
import pytest
import torch
from small_benchmark import COUNT, RANGES, make_levels, make_samples, make_stores

from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.training.dataset import assemble_dataset, assign_roles
from mstclipiqa.training.run import Run


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def samples():
    return make_samples()


@pytest.fixture
def stores(samples):
    return make_stores(samples)


@pytest.fixture
def data(samples, stores):
    return assemble_dataset(samples, RANGES, "quality", **stores)


@pytest.fixture
def levels():
    return make_levels()


@pytest.fixture
def splits(samples):
    return split_samples(samples, ["lab-seed1", "grouped2"])[0]


@pytest.fixture
def roles():
    """Ten images without a role, the others in a fixed mixture of train, val and test."""
    roles = np.array([TRAIN, TEST, TRAIN, VAL, TRAIN] * (COUNT // 5), dtype=object)
    roles[:10] = np.nan
    return roles


@pytest.fixture
def runs(data, splits):
    """Two seeds of three splits, of 48 and of 40 training images: the last batch of the latter is full."""
    return [
        Run(protocol, split, seed, assign_roles(data, group, protocol))
        for (protocol, split), group in splits.groupby(["protocol", "split"])
        for seed in (0, 1)
    ]
