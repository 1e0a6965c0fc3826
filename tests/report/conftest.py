import json
from collections.abc import Callable
from pathlib import Path

import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS
from results_beside import write_baselines, write_curves, write_statistics, write_transfer
from results_folder import add_claims, build

from mstclipiqa.report.results import Results
from mstclipiqa.report.results_folder import read_results


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes `results/tiny/` under the test's folder, as `build` does with these options, and returns its path."""
    return lambda **options: build(tmp_path / "results" / "tiny", **options)


@pytest.fixture
def read_judged(make_results: Callable[..., Path]) -> Callable[..., Results]:
    """Reads results with verdicts, after `change` to claims.json, and with what `beside` writes into the folder."""

    def read(change=lambda document: None, beside=lambda root: None, **options):
        root = add_claims(make_results(**options))
        beside(root)
        document = json.loads((root / "claims.json").read_text())
        change(document)
        (root / "claims.json").write_text(json.dumps(document))
        return read_results(root, PAPER_TABLES, CLAIMS, PRIOR_RESULTS)

    return read


@pytest.fixture
def make_statistics(make_results):
    """A results folder with the three tables of statistics, about the means of its metrics."""

    def make(**options):
        root = make_results(**options)
        write_statistics(root)
        return root

    return make


@pytest.fixture
def controlled(make_results):
    def make(*synthetic):
        root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60}, synthetic=synthetic)
        for write in (write_baselines, write_curves, write_transfer):
            write(root)
        return root

    return make


@pytest.fixture
def root(controlled):
    return controlled("agiqa-1k")
