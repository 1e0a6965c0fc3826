"""What models cost, in the report: multiples on a CPU, units of their own on a GPU, beside the SRCC that was run."""

import json

import pandas as pd
import pytest
from results_beside import write_costs

from mstclipiqa.report import efficiency
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.results_tables import summarise


@pytest.fixture
def costly(make_results):
    """Results with costs of two models and of one that was never run."""

    def write(device="cpu"):
        root = make_results()
        manifest = json.loads((root / "manifest.json").read_text())
        manifest["variants"]["coarse-only"] = {"title": "Coarse stream only", "description": "one encoder"}
        (root / "manifest.json").write_text(json.dumps(manifest))
        write_costs(root, ["mst-clipiqa", "mst-clipiqa-star", "coarse-only"], device)
        return read_results(root)

    return write


def test_times_on_a_cpu_are_multiples(costly):
    results = costly()
    full, metadata = efficiency.costs(results)
    assert full["relative_1"].tolist() == [1.0, 1.25, 0.25] and full["relative_32"].tolist() == [1.0, 1.5, 0.25]
    shown = efficiency.efficiency(results).shown
    assert not {"ms per image", "Images/s"} & set(shown.columns)
    chosen = [metadata[key] for key in ("benchmark", "target", "protocol", "selection")]
    summary = summarise(results.metrics).set_index(
        ["benchmark", "target", "protocol", "selection", "variant", "metric"]
    )
    for row in full[full["variant"] != "coarse-only"].itertuples():
        same = summary.loc[(*chosen, row.variant, "srcc")]
        assert row.srcc in set(pd.Series(same["mean"]))
    assert shown["SRCC"].astype(str).tolist()[2] == "—", "what was not run has no SRCC"


def test_of_places_with_as_many_variants_the_first_target_is_taken(costly):
    metadata = efficiency.costs(costly())[1]
    assert (metadata["target"], metadata["protocol"]) == ("quality", "grouped3")
    assert "quality of AGIQA-3K, grouped3, epoch chosen on validation" in efficiency.efficiency(costly()).caption


def test_times_on_a_gpu_are_shown(costly):
    shown = efficiency.efficiency(costly("cuda")).shown
    assert shown["Images/s"].tolist() == ["500", "333", "2,000"] and shown["ms per image"].tolist()[0] == "8.00"


def test_the_figure_has_what_was_run(costly, make_results):
    assert efficiency.cost_dots(costly()).name == "costs"
    (root := make_results() / "efficiency.parquet").unlink(missing_ok=True)
    results = read_results(root.parent)
    assert efficiency.cost_dots(results) is None and efficiency.efficiency(results) is None
