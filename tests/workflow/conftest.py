import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import SMALL, Checkout, copy_checkout
from preloaded import preloaded


@pytest.fixture(scope="package", autouse=True)
def quick_jobs() -> Iterator[None]:
    """Jobs are forks of a process that has loaded the libraries; not where `Checkout.killable` says so."""
    with preloaded() as calls, pytest.MonkeyPatch.context() as patch:
        for name, value in calls.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy with nothing run in it."""
    return copy_checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the small suite was run on two cores. Tests must leave it as it is."""
    checkout = copy_checkout(tmp_path_factory.mktemp("finished") / "checkout")
    done = checkout.snakemake("reproduce", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.fixture
def edited(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished one, times of change included, to edit."""
    folder = tmp_path / "edited"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)
