"""The report of a suite that trains other variants than the paper's two models, or only one of them."""

import json

import pytest
from config_files import CLAIMS, PAPER_TABLES
from report_page import Page
from results_beside import write_attention, write_baselines, write_costs, write_curves, write_statistics, write_transfer
from results_folder import add_claims

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.model.variants import get_variant
from mstclipiqa.report import write_report

#: None, one or both of the paper's models, alone and with others.
SUBSETS = [
    ["mst-clipiqa"],
    ["mst-clipiqa-star"],
    ["mst-clipiqa", "coarse-only"],
    ["coarse-only", "mst-clipiqa-star"],
    ["mlp"],
    ["mstfe-1", "fixed-gate", "twin"],
]


@pytest.mark.parametrize("variants", SUBSETS, ids=", ".join)
def test_a_page_of_any_variants(variants, make_results, tmp_path):
    root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60}, probe=True, variants=variants)
    add_claims(root)
    for write in (write_baselines, write_transfer, write_statistics):
        write(root)
    if "mst-clipiqa" in variants:  # curves are its alone
        write_curves(root)
    write_costs(root, variants)
    out = tmp_path / "reports" / "tiny"
    write_report(root, out, PAPER_TABLES, CLAIMS)
    page = Page(out / "index.html")
    sections = {section["id"] for section in page.all("section")}
    assert {"claims", "results", "baselines", "transfer", "efficiency", "intervals", "audit", "generators"} <= sections
    assert ("curves" in sections) == ("mst-clipiqa" in variants)
    for name in variants:
        assert get_variant(name).title in page.text
    assert "paper's two models" not in page.text and "paper’s two models" not in page.text
    unit = get_variant(variants[0] if "mst-clipiqa" not in variants else "mst-clipiqa").title
    assert f"multiples of {unit}’s" in page.text


def test_what_an_earlier_configuration_left_is_not_shown(make_results, tmp_path):
    """Curves and transfer of a recipe that the suite no longer runs; curves of a model that it no longer trains."""
    root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60}, variants=["coarse-only"])
    write_curves(root)
    out = tmp_path / "reports" / "tiny"
    write_report(root, out, PAPER_TABLES, CLAIMS)
    assert "SRCC of MST-CLIPIQA after the last epoch" in Page(out / "index.html").text
    text = (root / "manifest.json").read_text().replace("released_code", "renamed")
    (root / "manifest.json").write_text(text)
    metrics = root / "metrics.parquet"
    frame, metadata = read_table(metrics)
    write_table(metrics, frame.replace("released_code", "renamed"), metadata)
    write_report(root, out, PAPER_TABLES, CLAIMS)
    assert "after the last epoch by learning rate" not in Page(out / "index.html").text


def test_a_file_that_the_manifest_does_not_name_is_not_shown(make_results, tmp_path):
    """An earlier configuration ran more, and its files still lie in the folder."""
    root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60}, probe=True)
    named = (root / "manifest.json").read_text()
    for write in (write_attention, write_baselines, write_curves, write_transfer):
        write(root)
    for encoders in ("coarse-fine", "retokenised"):
        (root / f"timings/extract/agiqa-3k-{encoders}.tsv").write_text("s\n12.5\n")
    write_report(root, tmp_path / "all", PAPER_TABLES, CLAIMS)
    all_sections = {section["id"] for section in Page(tmp_path / "all" / "index.html").all("section")}
    now = json.loads(named)
    now["outputs"] = {name: value for name, value in now["outputs"].items() if not name.startswith("probe/")}
    (root / "manifest.json").write_text(json.dumps(now))
    write_report(root, tmp_path / "page", PAPER_TABLES, CLAIMS)
    page = Page(tmp_path / "page" / "index.html")
    sections = {section["id"] for section in page.all("section")}
    assert all_sections - sections == {"prompts", "baselines", "curves", "probe", "transfer"}
    assert "coarse-fine" in page.text and "retokenised" not in page.text


def test_what_is_printed_of_a_rival_stands_beside_its_head(make_results, tmp_path):
    variants = ["mst-clipiqa", "liqe-frozen"]
    root = make_results(present={"agiqa-3k": 60}, variants=variants)
    add_claims(root)
    write_statistics(root)
    write_report(root, tmp_path / "page", PAPER_TABLES, CLAIMS)
    page = Page(tmp_path / "page" / "index.html")
    assert "Heads of other methods" in page.text
    assert "liqe-frozen is not the method: LIQE fine-tunes all of CLIP" in page.text
    assert "another model: LIQE fine-tunes all of CLIP, and this head trains one linear map" in page.text
