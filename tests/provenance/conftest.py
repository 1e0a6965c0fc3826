import json
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path

import pandas as pd
import pytest
from small_study import SmallStudy

from mstclipiqa.analyses import efficiency
from mstclipiqa.base.files import digest, list_files, read_table, sha256
from mstclipiqa.provenance import folder, run_checks

#: What verification computed, by the name of the function and its inputs.
COMPUTED: dict[tuple[str, str], object] = {}
LOAD_ONCE = cache(efficiency.load_encoder)


def once(compute: Callable) -> Callable:
    """`compute`, which is called once for equal arguments: equal files of a folder, but for the manifest and the
    verdicts, and equal rows of a table. It takes most of a verification."""

    def described(value: object) -> object:
        if isinstance(value, pd.DataFrame):
            return pd.util.hash_pandas_object(value).tolist()
        if isinstance(value, list):
            return [described(entry) for entry in value]
        path = Path(str(value))
        left_out = ("manifest.json", "claims.json")
        files = [path] if path.is_file() else [file for file in list_files(path) if file.name not in left_out]
        return [[file.relative_to(path).as_posix(), sha256(file)] for file in files]

    @wraps(compute)
    def computed(*arguments: object) -> object:
        key = compute.__name__, digest([described(value) for value in arguments])
        if key not in COMPUTED:
            COMPUTED[key] = compute(*arguments)
        return COMPUTED[key]

    return computed


@pytest.fixture
def same_code(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is tested may be edited meanwhile. What is equal is computed once."""
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    trained = read_table(small_study.runs())[1]["code"]
    monkeypatch.setattr(folder, "fingerprint", lambda **_: manifest["code"]["fingerprint"])
    monkeypatch.setattr(run_checks, "fingerprint", lambda *_: trained)
    for name in ("evaluate_runs", "compare_runs", "claims_document"):
        monkeypatch.setattr(run_checks, name, once(getattr(run_checks, name)))
    monkeypatch.setattr(efficiency, "load_encoder", LOAD_ONCE)


@pytest.fixture
def study(small_study: SmallStudy, same_code: None, tmp_path: Path) -> SmallStudy:
    return small_study.copy(tmp_path / "study")
