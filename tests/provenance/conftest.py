import json
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path

import pandas as pd
import pytest
from small_study import SmallStudy

from mstclipiqa.analyses import baselines, efficiency
from mstclipiqa.analyses.baselines import BaselineFiles
from mstclipiqa.base.files import digest, list_files, read_table, sha256
from mstclipiqa.provenance import folder, run_checks
from mstclipiqa.study.study import Study

#: What verification computed, by the name of the function and its inputs.
COMPUTED: dict[tuple[str, str], object] = {}
LOAD_ONCE = cache(efficiency.load_encoder)


def once(compute: Callable, reads: Callable[[Path], bool] = lambda file: True) -> Callable:
    """`compute`, which is called once for equal arguments: equal files, equal rows of a table, and of a folder equal
    files that it `reads`, but for the manifest and the verdicts. It takes most of a verification."""

    def described(value: object) -> object:
        if isinstance(value, Study):
            return [value.config, value.recipes_digest]
        if isinstance(value, BaselineFiles):
            return described([path for path in vars(value).values() if path])
        if isinstance(value, pd.DataFrame):
            return pd.util.hash_pandas_object(value).tolist()
        if isinstance(value, list):
            return [described(entry) for entry in value]
        if isinstance(value, frozenset):
            return sorted(value)
        path = Path(str(value))
        left_out = ("manifest.json", "claims.json")
        there = [path] if path.is_file() else [file for file in list_files(path) if file.name not in left_out]
        files = [file for file in there if file == path or reads(file)]
        place = path.parts[-3:] if path.suffix == ".parquet" else ()  # what is measured names it
        return [place, *([file.relative_to(path).as_posix(), sha256(file)] for file in files)]

    @wraps(compute)
    def computed(*arguments: object, **named: object) -> object:
        key = compute.__name__, digest([described(value) for value in (*arguments, *named.values())])
        if key not in COMPUTED:
            COMPUTED[key] = compute(*arguments, **named)
        return COMPUTED[key]

    return computed


def is_of_samples(file: Path) -> bool:
    return file.name in ("samples.parquet", "splits.parquet")


@pytest.fixture
def same_code(small_study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that is tested may be edited meanwhile. What is equal is computed once."""
    manifest = json.loads((small_study.results / "manifest.json").read_text())
    trained = read_table(small_study.runs())[1]["code"]
    monkeypatch.setattr(folder, "fingerprint", lambda **_: manifest["code"]["fingerprint"])
    monkeypatch.setattr(run_checks, "fingerprint", lambda *_: trained)
    # predictions are held against samples and splits, and name the place of their file
    monkeypatch.setattr(run_checks, "evaluate_runs", once(run_checks.evaluate_runs, is_of_samples))
    for name in ("compare_runs", "claims_document"):
        monkeypatch.setattr(run_checks, name, once(getattr(run_checks, name)))
    monkeypatch.setattr(efficiency, "count_again", once(efficiency.count_again))
    monkeypatch.setattr(baselines, "score_files", once(baselines.score_files))
    monkeypatch.setattr(efficiency, "load_encoder", LOAD_ONCE)


@pytest.fixture
def study(small_study: SmallStudy, same_code: None, tmp_path: Path) -> SmallStudy:
    return small_study.copy(tmp_path / "study")
