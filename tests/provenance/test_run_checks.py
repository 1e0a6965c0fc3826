import pandas as pd
import pytest
from small_study import SmallStudy
from tampering import assert_found, edit_table, rehash, verify

from mstclipiqa.provenance import differences


def test_fit_that_rounding_decides_is_said_and_no_finding(study: SmallStudy, monkeypatch: pytest.MonkeyPatch):
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[5], "plcc_fitted"] += 0.01

    edit_table(study.results / "metrics.parquet", change)
    rehash(study)
    assert_found(verify(study), "metrics.parquet", "plcc_fitted of agiqa-3k")
    monkeypatch.setattr(differences, "plcc_fitted", lambda prediction, _: prediction[0] * 1e12)
    verdict = verify(study)
    assert not [line for line in verdict.findings if "metrics.parquet" in line]
    assert any(note.startswith("1 fitted PLCC") for note in verdict.notes)
