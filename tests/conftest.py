import os
from pathlib import Path

# Before numpy and torch are loaded: the processes of xdist take every core, and threads of theirs wait for each other.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import pytest
from small_study import SmallStudy, build

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark files, a folder per benchmark: $MSTCLIPIQA_DATA, or data/ in the checkout."""
    root = Path(os.environ.get("MSTCLIPIQA_DATA", REPOSITORY / "data"))
    if not root.is_dir():
        pytest.skip(f"real benchmark files not found ({root}); set MSTCLIPIQA_DATA")
    return root


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A small study, run once for all tests; `copy` it before changing anything."""
    return build(tmp_path_factory.mktemp("small") / "study")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests run in one process, which makes their fixtures once; all of the workflow's in one, and first, as
    they take the longest."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
    for item in items:
        item.add_marker(pytest.mark.xdist_group("workflow" if "workflow" in item.path.parts else str(item.path)))
