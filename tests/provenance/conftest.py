import json
from pathlib import Path

import pytest
from small_study import SmallStudy

from mstclipiqa.provenance import manifest_checks


@pytest.fixture
def same_code(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is tested may be edited meanwhile."""
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    monkeypatch.setattr(manifest_checks, "fingerprint", lambda **_: manifest["code"]["fingerprint"])


@pytest.fixture
def study(small_study: SmallStudy, same_code: None, tmp_path: Path) -> SmallStudy:
    return small_study.copy(tmp_path / "study")
