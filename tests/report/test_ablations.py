"""The ablation tables: what is compared, where, and beside which printed numbers."""

from dataclasses import replace

import pandas as pd
import pytest
from config_files import CLAIMS, PAPER_TABLES

from mstclipiqa.model.variants import VARIANTS
from mstclipiqa.report.ablations import tables
from mstclipiqa.report.paper import CONTROLS, read_paper
from mstclipiqa.report.results_folder import read_results


@pytest.fixture
def results(make_results):
    """A small results folder, its runs of MST-CLIPIQA doubled under the names of two ablations of one target."""
    read = read_results(make_results(), PAPER_TABLES, CLAIMS)
    own = read.metrics[(read.metrics["variant"] == "mst-clipiqa") & (read.metrics["target"] == "quality")]
    added = [own.assign(variant=name, srcc=own["srcc"] - 0.1) for name in ("linear-interpolation", "fixed-gate")]
    described = {name: {"title": VARIANTS[name].title, "description": VARIANTS[name].description} for name in VARIANTS}
    manifest = {**read.manifest, "variants": described}
    return replace(read, metrics=pd.concat([read.metrics, *added], ignore_index=True), manifest=manifest)


def test_every_control_exists():
    assert set(CONTROLS) <= set(VARIANTS)


def test_only_ablations_that_ran_are_shown_and_only_where_they_ran(results):
    made = tables(results)
    assert list(made) == ["ablation_ii", "ablation_controls"]
    assert set(made["ablation_ii"].full["variant"]) == {"linear-interpolation", "mst-clipiqa"}
    assert set(made["ablation_ii"].full["target"]) == {"quality"}


def test_an_added_fusion_is_in_every_list(results):
    own = results.metrics[results.metrics["variant"] == "fixed-gate"].assign(variant="my-fusion")
    described = results.manifest["variants"] | {"my-fusion": {"title": "My fusion", "description": "added"}}
    metrics = pd.concat([results.metrics, own], ignore_index=True)
    added = replace(results, metrics=metrics, manifest={**results.manifest, "variants": described})
    assert added.added == ["my-fusion"]
    assert set(tables(added)["ablation_controls"].full["variant"]) == {"fixed-gate", "my-fusion", "mst-clipiqa"}
    assert "my-fusion" in added.models and "my-fusion" in set(added.of_main_variants("quality")["variant"])
    assert added.models_named == "the paper's two models and My fusion"


def test_a_suite_of_the_two_models_has_no_ablations(make_results):
    assert tables(read_results(make_results(), PAPER_TABLES, CLAIMS)) == {}


def test_a_placebo_is_the_model_by_every_second_seed(results):
    further = [results.metrics.assign(seed=seed, srcc=results.metrics["srcc"] + 0.01 * seed) for seed in (1, 2)]
    several = replace(results, metrics=pd.concat([results.metrics, *further], ignore_index=True))
    full = tables(several)["ablation_ii"].full
    means = full[full["metric"] == "srcc"].set_index(["protocol", "recipe", "variant"])["mean"]
    for protocol in ("lab-seed1", "grouped3"):  # of 0, 1 and 2 the second seed is 1, as the mean of all is
        own, placebo = (means[protocol, "released_code", name] for name in ("mst-clipiqa", "other-seeds"))
        assert placebo == pytest.approx(own)
    runs = full[full["variant"] == "other-seeds"]["runs"]
    assert runs.tolist() == [count // 3 for count in full[full["variant"] == "mst-clipiqa"]["runs"]]
    assert "A placebo is the model itself" in tables(several)["ablation_controls"].notes[-2]
    assert "other-seeds" not in set(tables(results)["ablation_ii"].full["variant"])  # one seed


def test_variants_and_printed_rows_stand_in_the_papers_order(results):
    table = tables(results)["ablation_ii"]
    assert table.caption.startswith("Table II: fusion.")
    assert [str(cell) for cell in table.shown["", "Variant"]][-7:] == [
        "Linear interpolation printed as Linear Interpolation", "MST-CLIPIQA printed as GFF",
        "Linear Interpolation", "AdaptiveAvgPool", "AdaptiveMaxPool", "Cross Attention", "GFF",
    ]  # fmt: skip
    assert table.shown["AGIQA-3K, quality", "SRCC"].iloc[-1] == "0.9091"


def test_without_the_claims_there_is_our_own_table_alone(results):
    assert list(tables(replace(results, paper=read_paper(PAPER_TABLES)))) == ["ablation_controls"]


def test_numbers_are_the_means_over_runs_by_the_main_selection(results):
    full = tables(results)["ablation_ii"].full
    main = {name: entry["selection"] for name, entry in results.manifest["protocols"].items()}
    assert (full["selection"] == full["protocol"].map(main)).all()
    for row in full[full["metric"] == "srcc"].itertuples():
        runs = results.metrics
        for key in ("benchmark", "target", "recipe", "variant", "protocol", "selection"):
            runs = runs[runs[key] == getattr(row, key)]
        assert row.mean == pytest.approx(runs["srcc"].mean()) and row.runs == len(runs)
