"""The page in a real browser: quiet, offline, sound in its links, fit for a phone and for everyone."""

import math
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from config_files import CLAIMS, PAPER_TABLES
from results_beside import write_attention, write_baselines
from results_folder import add_claims, build
from scipy.stats import spearmanr

from mstclipiqa.report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=f"no browser: none of {', '.join(NAMES)} is on the PATH")

OPEN_ALL = "document.querySelectorAll('details').forEach(details => details.open = true)"
LONG = "#caption-claims_arithmetic"  # the caption of a long table in groups


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    """The page of a suite with claims, a probe, a benchmark with licensed images and a drawn one."""
    root = tmp_path_factory.mktemp("browser")
    present = {"agiqa-3k": 60, "aigciqa2023": 60}
    results = build(root / "results" / "tiny", present=present, synthetic=("aigciqa2023",), probe=True)
    write_baselines(results)
    write_attention(results)
    write_report(add_claims(results), root / "reports" / "tiny", PAPER_TABLES, CLAIMS)
    return root / "reports" / "tiny" / "index.html"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, index):
    """Opens the page with these options of a context and every part unfolded; it must say and load nothing."""
    complaints, requests, contexts = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(index.as_uri())
        if options.get("java_script_enabled", True):
            page.evaluate(OPEN_ALL)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [index.as_uri()] * len(contexts)


def long_table(page):
    return page.locator("table", has=page.locator(LONG))


def column(page, number: int) -> list[list[str]]:
    """The cells of a column (from 0), visible ones only, by group."""
    bodies = long_table(page).locator("tbody").all()
    cells = [body.locator(f"tr:not(:has([scope=rowgroup])) > :nth-child({number + 1}):visible") for body in bodies]
    return [texts for texts in (found.all_inner_texts() for found in cells) if texts]


def test_every_link_leads_somewhere(open_page, index):
    page = open_page()
    links = page.eval_on_selector_all("a", "links => links.map(link => link.href)")
    assert len(links) > 30
    for link in links:
        parts = urlsplit(link)
        if parts.fragment:
            assert parts.path == urlsplit(index.as_uri()).path
            assert page.evaluate("id => document.getElementById(id) !== null", parts.fragment), link
        else:
            assert link.startswith("https://arxiv.org/abs/2606.16799"), link


def test_pictures_stand_beside_the_sample_images_that_are_drawn(open_page):
    images = open_page().locator("table img")
    assert images.count() == 3 * 6  # targets of the drawn benchmark
    assert all(image.evaluate("image => image.naturalWidth") == 144 for image in images.all())
    assert all("prompt" in image.get_attribute("alt") for image in images.all())


def test_filter_leaves_the_rows_that_have_every_word(open_page):
    page = open_page()
    everything = sum(column(page, 1), [])
    bar = page.locator(".table", has=page.locator(LONG)).locator(".filter")
    assert bar.locator("output").inner_text() == f"{len(everything)} rows"
    bar.get_by_label("Filter").fill("liqe AUTHENTICITY")
    left = sum(column(page, 1), [])
    rows = long_table(page).locator("tbody tr:visible:not(:has([scope=rowgroup]))").all_inner_texts()
    assert 0 < len(left) < len(everything)
    assert all("liqe" in row.lower() and "authenticity" in row.lower() for row in rows)
    assert bar.locator("output").inner_text() == f"{len(left)} of {len(everything)} rows"
    # A group of which nothing is left loses its heading too.
    assert long_table(page).locator("tbody:visible").count() == len(column(page, 1))
    bar.get_by_label("Filter").fill("no such words")
    assert column(page, 1) == []
    bar.get_by_label("Filter").fill("")
    assert sum(column(page, 1), []) == everything


def number(text: str) -> float:
    """The number that a cell begins with; infinite where it begins with none."""
    try:
        return float(text.split()[0].replace(",", ""))
    except ValueError:
        return math.inf


def test_heading_sorts_numbers_within_groups_by_keyboard_and_mouse(open_page):
    page = open_page()
    groups = column(page, 3)
    assert len(groups) > 3 and any("—" in group for group in groups)
    head = long_table(page).locator("thead th").nth(3)
    button = head.get_by_role("button", name="Printed numbers give", exact=True)
    orders = []
    for press in (lambda: button.press("Enter"), lambda: button.press(" "), button.click):
        press()
        orders.append((head.get_attribute("aria-sort"), column(page, 3)))
    # A cell without a number comes last, whatever the order.
    (_, rising), (_, falling), _ = orders
    assert [direction for direction, _ in orders] == ["ascending", "descending", None]
    assert [list(map(number, group)) for group in rising] == [sorted(map(number, group)) for group in groups]
    numbers = [[value for value in map(number, group) if value < math.inf] for group in groups]
    assert [list(map(number, group)) for group in falling] == [
        sorted(known, reverse=True) + [math.inf] * (len(group) - len(known))
        for known, group in zip(numbers, groups, strict=True)
    ]
    assert orders[2][1] == groups != rising


def test_heading_sorts_words(open_page):
    page = open_page()
    groups = column(page, 0)
    long_table(page).get_by_role("button", name="Place").click()
    assert column(page, 0) == [sorted(group, key=str.casefold) for group in groups]
    long_table(page).get_by_role("button", name="Place").click()
    assert column(page, 0) == [sorted(group, key=str.casefold, reverse=True) for group in groups]


def test_first_screen_shows_every_card(open_page):
    page = open_page(viewport={"width": 1280, "height": 800})
    boxes = [card.bounding_box() for card in page.locator(".card").all()]
    assert len(boxes) == 6
    assert max(box["y"] + box["height"] for box in boxes) <= 800


def test_word_is_explained_where_it_is_tapped(open_page):
    page = open_page()
    word = page.get_by_role("button", name="protocol", exact=True).first
    word.click()
    assert page.locator("[popover]:visible").inner_text().startswith("protocol: How a benchmark is split")
    assert word.get_attribute("title").startswith("How a benchmark is split")


def test_contents_stay_in_sight_and_mark_the_section(open_page):
    page = open_page()
    page.locator("nav").get_by_text("Leakage").click()
    page.locator("nav a[aria-current][href='#leakage']").wait_for()
    assert page.locator("nav").bounding_box()["y"] == 0


def test_print_unfolds_the_evidence_of_the_claims(open_page):
    page = open_page()
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = false)")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    folds = page.locator("#claims details.evidence")
    assert folds.count() > 5 and all(fold.evaluate("fold => fold.open") for fold in folds.all())
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not any(fold.evaluate("fold => fold.open") for fold in folds.all())


def test_best_stands_first_where_more_is_better(open_page):
    page = open_page()
    heads = page.locator("th[data-best]:has(button)").all()
    assert heads
    heads[0].get_by_role("button").click()
    assert heads[0].get_attribute("aria-sort") == "descending"


def test_views_are_drawn_and_follow_what_is_chosen(open_page):
    page = open_page()
    for view in ("claims", "runs", "predictions"):
        page.locator(f"figure[data-view={view}] svg.marks").wait_for()
    before = page.locator("figure[data-view=claims] svg.marks").inner_html()
    choice = page.locator("figure[data-view=claims] select")
    choice.select_option(index=1)
    page.wait_for_function(
        "before => document.querySelector('figure[data-view=claims] svg.marks').innerHTML !== before", arg=before
    )
    # On the screen the view stands in place of the drawing, and a printed page has the drawing.
    drawing, view = page.locator("#claims figure[data-name=forest] .scroll"), page.locator("#claims .view")
    assert view.is_visible() and not drawing.is_visible()
    page.emulate_media(media="print")
    assert drawing.is_visible() and not view.is_visible()


def test_number_of_runs_leads_to_their_predictions_as_csv(open_page):
    page = open_page()
    told = page.locator("figure[data-view=predictions] output")
    told.wait_for()
    page.locator("figure[data-view=predictions] select").select_option(index=5)
    page.locator("#results a[data-run]").first.click()
    named = told.inner_text()
    assert "AGIQA-3K, quality: MST-CLIPIQA." in named and "test images" in named
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the predictions of this run as CSV").click()
    head, *rows = Path(download.value.path()).read_text().splitlines()
    assert head == "image,generator,mos,prediction" and f"{len(rows)} test images" in named
    mos, predicted = zip(*((float(row.split(",")[2]), float(row.split(",")[3])) for row in rows), strict=True)
    assert f"SRCC {spearmanr(mos, predicted)[0]:.3f}" in named


def test_a_table_and_a_figure_are_saved_as_they_are_shown(open_page):
    page = open_page()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the table claims_contradicted as CSV").click()
    head, *rows = Path(download.value.path()).read_text().splitlines()
    assert head.startswith("Group,Place,Claim,Claimed") and len(rows) == 18
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the figure pipeline as SVG").click()
    assert Path(download.value.path()).read_text().startswith("<svg")


def test_the_page_that_travels_alone_is_whole(open_page, browser, index, tmp_path):
    alone = tmp_path / "sent.html"
    alone.write_bytes(index.read_bytes())
    page = browser.new_page()
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.goto(alone.as_uri())
    page.locator("figure[data-view=predictions] output").wait_for()
    assert failed == [] and not page.locator("a[href^='file:'], a[href*='/tables/'], a[href$='.parquet']").count()
    page.close()


def test_the_page_is_twelve_screens_at_most(open_page):
    page = open_page()
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = false)")
    page.locator("figure[data-view=predictions] output").wait_for()
    assert page.evaluate("document.documentElement.scrollHeight") <= 12 * 900


def test_nothing_is_wider_than_a_phone(open_page):
    page = open_page(viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_barrier(open_page, theme):
    page = open_page(color_scheme=theme)
    found = axe.Axe().run(page).response["violations"]
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in found] == []


def test_without_scripts_everything_can_be_read(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("thead button").count() == page.get_by_role("searchbox").count() == 0
    assert page.locator(".card").get_by_text("contradicted", exact=True).first.is_visible()
    picture = page.locator("img").first
    assert not picture.is_visible()
    page.locator("#stand-ins summary", has_text="Best, typical and worst").click()
    assert picture.is_visible()
