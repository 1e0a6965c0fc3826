import pandas as pd
import pytest
from small_study import SmallStudy
from tampering import assert_found, edit_table, rehash, verify


@pytest.mark.parametrize("by", [0.01, 3e-6])
def test_fit_that_is_not_the_predictions_is_found(by: float, study: SmallStudy):
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[5], "plcc_fitted"] += by

    edit_table(study.results / "metrics.parquet", change)
    rehash(study)
    assert_found(verify(study), "metrics.parquet", "plcc_fitted of agiqa-3k")
