import pandas as pd
import pytest

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_json, write_table
from mstclipiqa.report.results import RUN_ORDER
from mstclipiqa.report.results_folder import read_results


def test_rows_stand_in_the_order_of_the_configuration(make_results):
    metrics = read_results(make_results()).metrics
    assert list(metrics["protocol"].unique()) == ["lab-seed1", "grouped3"]
    assert list(metrics["recipe"].unique()) == ["released_code", "main_text"]
    assert list(metrics["target"].unique()) == ["quality", "correspondence"]
    assert not metrics.duplicated(RUN_ORDER).any()


def test_a_run_counted_twice_is_refused(make_results):
    root = make_results()
    metrics, metadata = read_table(root / "metrics.parquet")
    write_table(root / "metrics.parquet", pd.concat([metrics, metrics.head(1)]), metadata)
    with pytest.raises(InputError, match=r"metrics\.parquet: the run .* stands twice"):
        read_results(root)


@pytest.mark.parametrize(
    ("column", "value"), [("recipe", "appendix"), ("selection", "luckiest"), ("benchmark", "agiqa-1k")]
)
def test_metrics_that_the_manifest_does_not_know_are_refused(make_results, column, value):
    root = make_results()
    metrics, metadata = read_table(root / "metrics.parquet")
    metrics.loc[0, column] = value
    write_table(root / "metrics.parquet", metrics, metadata)
    with pytest.raises(InputError, match=f"{column} '{value}' is not in the manifest"):
        read_results(root)


@pytest.mark.parametrize(
    "file",
    [
        "manifest.json",
        "metrics.parquet",
        "agiqa-3k/samples.parquet",
        "agiqa-3k/splits.parquet",
        "agiqa-3k/runs/quality/main_text/mst-clipiqa.parquet",
    ],
)
def test_a_missing_file_is_named(make_results, file):
    root = make_results()
    (root / file).unlink()
    with pytest.raises(InputError, match=f"{file}: no such file"):
        read_results(root)


def test_an_incomplete_manifest_is_refused(make_results):
    root = make_results()
    write_json(root / "manifest.json", {"suite": "tiny"})
    with pytest.raises(InputError, match=r"manifest\.json: missing title, config"):
        read_results(root)


def test_synthetic_and_untrained_are_believed_from_any_side(make_results):
    assert read_results(make_results()).synthetic == []
    root = make_results(synthetic=("agiqa-3k",), pretrained=False)
    results = read_results(root)
    assert results.synthetic == ["agiqa-3k"]
    assert results.untrained == ["CLIP ViT-B/16, random weights", "CLIP ViT-B/32, random weights"]
    samples, card = read_table(root / "agiqa-3k" / "samples.parquet")
    write_table(root / "agiqa-3k" / "samples.parquet", samples, {**card, "synthetic": False})
    assert read_results(root).synthetic == ["agiqa-3k"]


def test_a_probe_is_optional_and_checked(make_results):
    assert read_results(make_results()).probes == {}
    root = make_results(probe=True)
    assert list(read_results(root).probes) == ["released_code", "main_text"]
    gates = root / "probe" / "main_text" / "gates.parquet"
    write_table(gates, read_table(gates)[0].drop(columns="shift"), {})
    with pytest.raises(InputError, match=r"main_text/gates\.parquet: no column shift"):
        read_results(root)
    gates.unlink()
    with pytest.raises(InputError, match=r"main_text/gates\.parquet: no such file"):
        read_results(root)


def test_timings_are_optional_and_checked(make_results):
    assert read_results(make_results(timings=False)).timings.empty
    root = make_results()
    row = read_results(root).timings.iloc[0]
    assert (row["benchmark"], row["encoder"], row["items"], row["seconds"]) == ("agiqa-3k", "coarse", 60, 12.5)
    (root / "timings" / "extract" / "agiqa-3k-coarse.tsv").write_text("seconds\n1\n")
    with pytest.raises(InputError, match="agiqa-3k-coarse.tsv: no column of seconds"):
        read_results(root)
