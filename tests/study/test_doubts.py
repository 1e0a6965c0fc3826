"""Labels other than the published: said by the doctor in a status of its own, and in its last line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.cli.main import main
from mstclipiqa.data.acquisition import read_sources
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.study.doctor import ABSENT, CHECK, MISSING, OK, Finding, conclude, diagnose, render
from mstclipiqa.synthetic.miniature import draw_benchmark

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "config" / "sources.yaml"


@pytest.fixture(scope="module")
def passed_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn benchmark without its mark, as though it were the real one."""
    root = tmp_path_factory.mktemp("data")
    draw_benchmark("agiqa-3k", root / "agiqa-3k", 0, 0.1)
    (root / "agiqa-3k" / SYNTHETIC_MARK).unlink()
    return root


def test_other_labels_are_to_be_checked(passed_off: Path):
    config = read_yaml(REPOSITORY / "config" / "agiqa-3k.yaml") | {"data_root": str(passed_off)}
    found = diagnose(config, REPOSITORY / "config" / "recipes", read_sources(SOURCES), passed_off / "cache")
    benchmark = next(finding for finding in found if finding.subject == "agiqa-3k")
    assert benchmark.status == CHECK
    assert "data.csv has other bytes than the published" in benchmark.text
    assert "images have labels, the published labels name 2,982" in benchmark.text
    assert "mstclipiqa acquire agiqa-3k" in benchmark.how[0]
    assert "  CHECK    agiqa-3k: " in render(found)


def test_the_verb_says_so_last(passed_off: Path, tmp_path: Path):
    config = REPOSITORY / "config" / "agiqa-3k.yaml"
    files = ["--recipes", str(REPOSITORY / "config" / "recipes"), "--sources", str(SOURCES), "--cache", str(tmp_path)]
    said = CliRunner().invoke(main, ["doctor", "--config", str(config), "--data-root", str(passed_off), *files])
    assert said.exit_code == 0
    assert said.output.splitlines()[-1].startswith("Nothing essential is missing. CHECK FIRST, ")
    assert said.output.splitlines()[-1].endswith(": agiqa-3k.")


def test_the_closing_line_names_what_is_to_be_checked():
    statuses = {"a": OK, "b": CHECK, "c": ABSENT}
    well, doubtful, gone = (Finding("Benchmarks", name, status, "") for name, status in statuses.items())
    assert conclude([well, gone]) == "Nothing essential is missing."
    assert conclude([well, doubtful, gone]) == (
        "Nothing essential is missing. CHECK FIRST, since numbers may be others than the benchmark's: b."
    )
    with pytest.raises(InputError, match="^essential and missing: d; e; the page above says how to get each$"):
        conclude([doubtful, *(Finding("Machine", name, MISSING, "") for name in "de")])
