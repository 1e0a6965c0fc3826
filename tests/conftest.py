import os
import shutil
from pathlib import Path

# Before numpy and torch are loaded: the processes of xdist take every core, and threads of theirs wait for each other.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import pytest
from filelock import FileLock
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
def small_study(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> SmallStudy:
    """A small study, run once for all tests of all processes; `copy` it before changing anything."""
    own = tmp_path_factory.getbasetemp()
    study = SmallStudy((own if worker_id == "master" else own.parent) / "small" / "study")
    study.folder.parent.mkdir(exist_ok=True)
    with FileLock(study.folder.parent / "lock"):
        if not (study.results / "manifest.json").exists():  # the last file of a run
            shutil.rmtree(study.folder, ignore_errors=True)
            build(study.folder)
    return study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the workflow come first, that on a finished run before the others: they take the longest."""
    items.sort(key=lambda item: (item.path.name != "test_workflow.py", "workflow" not in item.path.parts))
