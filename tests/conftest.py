import os
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workflow's tests first: the longest, which would leave one of two processes idle at the end."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
