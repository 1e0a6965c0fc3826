import json
from pathlib import Path

import pytest
from small_study import SmallStudy

from mstclipiqa.base.files import read_table
from mstclipiqa.provenance import folder, run_checks


@pytest.fixture
def same_code(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is tested may be edited meanwhile."""
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    trained = read_table(small_study.runs())[1]["code"]
    monkeypatch.setattr(folder, "fingerprint", lambda **_: manifest["code"]["fingerprint"])
    monkeypatch.setattr(run_checks, "fingerprint", lambda *_: trained)


@pytest.fixture
def study(small_study: SmallStudy, same_code: None, tmp_path: Path) -> SmallStudy:
    return small_study.copy(tmp_path / "study")
