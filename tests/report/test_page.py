import re

import pytest
from config_files import CLAIMS, PAPER_TABLES
from report_page import Page
from results_folder import build

from mstclipiqa.base.errors import InputError
from mstclipiqa.report import write_report
from mstclipiqa.report.page import longest
from mstclipiqa.report.views import library

HOSTILE = '<script>alert("1")</script>'


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    """The page of a suite of real data and pretrained encoders."""
    root = tmp_path_factory.mktemp("real")
    write_report(build(root / "results" / "tiny", probe=True), root / "reports" / "tiny", PAPER_TABLES, CLAIMS)
    return Page(root / "reports" / "tiny" / "index.html")


@pytest.fixture
def make_page(make_results, tmp_path):
    def make(**options) -> Page:
        out = tmp_path / "reports" / "tiny"
        write_report(make_results(**options), out, PAPER_TABLES, CLAIMS)
        return Page(out / "index.html")

    return make


def test_real_data_and_pretrained_encoders_have_no_banner(page):
    assert page.all("aside") == []
    assert "Printed in arXiv" in page.text


def test_synthetic_data_and_random_weights_have_a_banner_and_no_printed_numbers(make_page):
    page = make_page(synthetic=("agiqa-3k",), pretrained=False)
    assert [banner["aria-label"] for banner in page.all("aside")] == ["Synthetic data", "Random encoder weights"]
    assert "These numbers come from drawn images and simulated raters." in page.text
    assert "CLIP ViT-B/16, random weights; CLIP ViT-B/32, random weights" in page.text
    assert "Printed in arXiv" not in page.text


def test_drawn_stand_ins_beside_real_benchmarks_stand_apart(make_page):
    page = make_page(present={"agiqa-3k": 60, "agiqa-1k": 60}, synthetic=("agiqa-1k",))
    assert page.all("aside") == [] and "Drawn stand-ins for 1 more" in page.text
    tables = page.path.parent / "tables"
    for target, roman in (("quality", "iv"), ("correspondence", "v")):
        shown = (tables / f"table_{roman}_{target}.csv").read_text()
        assert "agiqa-3k" in shown and "agiqa-1k" not in shown
    drawn = (tables / "stand_ins_table_iv_quality.csv").read_text()
    assert "agiqa-1k" in drawn and "agiqa-3k" not in drawn and "printed" not in drawn
    # The tables of data are of both.
    assert {"agiqa-3k", "agiqa-1k"} <= set((tables / "benchmarks.csv").read_text().replace(",", " ").split())


def test_of_too_many_rows_the_longest_tables_are_cut_alike(make_page, monkeypatch):
    assert [longest([2, 5, 9], most) for most in (16, 15, 12, 3, 0)] == [9, 8, 5, 1, 1]
    monkeypatch.setattr("mstclipiqa.report.page.MOST_ROWS", 60)
    page = make_page(present={"agiqa-3k": 60, "agiqa-1k": 60})
    assert "rows; the file in tables/ has all." in page.text
    assert len((page.path.parent / "tables" / "all_metrics.csv").read_text().splitlines()) > 12


def test_a_figure_too_large_for_the_page_is_named_there(make_page, monkeypatch):
    monkeypatch.setattr("mstclipiqa.report.canvas.MOST_SVG", 10)
    page = make_page()
    assert page.all("svg") == []
    named = set(re.findall(r"figures/\w+\.svg", page.text))
    assert named and all((page.path.parent / name).exists() for name in named)


def test_every_link_leads_into_the_page_or_to_the_paper_and_nothing_is_loaded(page):
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for attributes in page.all("a"):
        link = attributes["href"]
        assert link[1:] in targets if link[0] == "#" else link == "https://arxiv.org/abs/2606.16799v1", link
    shown = {attributes["data-run"] for attributes in page.all("a") if "data-run" in attributes}
    assert "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet" in shown
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed")
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            if tag != "a" and name in attributes:
                assert attributes[name].startswith(("#", "data:"))
    own = page.path.read_text(encoding="utf-8").replace(library(), "")
    assert not re.search(r"@import|url\((?!#)", own)


def test_the_probe_says_what_it_rests_on(page, make_page):
    assert "640 drawn scenes, 60 of which" in page.text
    assert "CLIP ViT-B/32, OpenAI weights for f_c and on CLIP ViT-B/16, OpenAI weights for f_f" in page.text
    assert "nothing about CLIP" not in page.text
    assert "this says nothing about CLIP" in make_page(pretrained=False, probe=True).text


def test_without_a_probe_its_section_is_left_out(make_page):
    page = make_page()
    assert "What each stream carries" not in page.text
    assert not list((page.path.parent).rglob("*probe*"))


def test_text_of_others_stays_text(make_page):
    page = make_page(word=HOSTILE)
    assert page.all("script") == [{"type": "application/json", "id": "views"}, {}, {}]
    assert HOSTILE not in page.path.read_text(encoding="utf-8")
    # In the defect, its example, the generator, the label file, the absence and the reading.
    assert page.text.count(HOSTILE) >= 6
    assert f"no folder data/aigiqa-20k{HOSTILE}" in page.text


def test_the_page_can_be_read_by_everyone(page):
    assert page.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer", "title", "h1"):
        assert len(page.all(landmark)) == 1
    assert len(page.all("table")) == len(page.all("caption")) >= 10
    assert all(cell.get("scope") for cell in page.all("th"))
    drawings = page.all("svg")
    assert len(drawings) == 8 and all(d["role"] == "img" and d["aria-label"] for d in drawings)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in (attributes for _, attributes in page.tags if "aria-labelledby" in attributes):
        assert attributes["aria-labelledby"] in ids


def test_two_reports_are_the_same_bytes_and_leave_nothing_behind(make_results, tmp_path):
    results, out = make_results(), tmp_path / "reports" / "tiny"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "scatter_of_another_time.png").write_bytes(b"")

    def write() -> dict[str, bytes]:
        write_report(results, out)
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    first = write()
    assert first == write()
    of_tables = {f"tables/all_metrics.{suffix}" for suffix in ("csv", "md", "tex")}
    assert {"index.html", "manifest.html", "summary.md", "figures/scatter_quality.svg"} | of_tables <= first.keys()
    assert "figures/scatter_of_another_time.png" not in first
    assert len(first["index.html"]) < 3_000_000


def test_a_suite_without_any_benchmark_still_has_a_page(make_page):
    page = make_page(present={})
    assert "0 of 5 benchmarks present, 0 runs" in page.text
    assert "no folder data/agiqa-3k" in page.text
    assert "No runs to draw." in page.text


def test_results_that_cannot_be_read_leave_the_old_page_alone(make_results, tmp_path):
    results, out = make_results(), tmp_path / "reports" / "tiny"
    write_report(results, out)
    (results / "metrics.parquet").unlink()
    with pytest.raises(InputError, match=r"metrics\.parquet: no such file"):
        write_report(results, out)
    assert (out / "index.html").is_file()
