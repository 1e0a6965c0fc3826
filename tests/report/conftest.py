from collections.abc import Callable
from pathlib import Path

import pytest
from results_folder import build


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes `results/tiny/` under the test's folder, as `build` does with these options, and returns its path."""
    return lambda **options: build(tmp_path / "results" / "tiny", **options)
