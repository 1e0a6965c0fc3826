"""Entered scores in a suite, through every step to the page; and whether verification finds what was done to them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import SmallStudy, run
from tampering import assert_found, edit_table, rehash, verify

from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import CLAIMS, COMPARISONS, GENERATORS, INTERVALS, METRICS
from mstclipiqa.base.names import ENTERED, MODELS

FILE = "agiqa-3k/runs/quality/entered/mine.parquet"


@pytest.fixture(scope="module")
def entered_study(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The small study with a method whose scores know something of the MOS."""
    study = small_study.copy(tmp_path_factory.mktemp("entered") / "study")
    samples, _ = read_table(study.results / "agiqa-3k" / "samples.parquet")
    noise = np.random.default_rng(4).normal(size=len(samples))
    scores = pd.DataFrame({"image": samples["image"], "prediction": samples["quality"] + noise})
    scores.to_csv(study.folder / "scores.csv", index=False)
    entry, results = study.folder / "entries" / "mine", study.results
    run(
        "enter", study.folder / "scores.csv", "--method", "My <i>Method</i>", "--name", "mine",
        "--benchmark", "agiqa-3k", "--from", results, "--saw-test-images", "says yes", "--out", entry,
    )  # fmt: skip
    tables = [
        word for name in ("samples", "splits") for word in (f"--{name}", results / "agiqa-3k" / f"{name}.parquet")
    ]
    run("admit", entry, *tables, "--out", results / FILE)
    trained = [study.runs(recipe, variant, target) for recipe in ("slow", "fast")
               for variant in MODELS for target in ("quality", "correspondence")]  # fmt: skip
    run("evaluate", *trained, results / FILE, "--results", results, "--out", results / "metrics.parquet")
    run("compare", "--metrics", results / "metrics.parquet", "--results", results, "--out", results)
    config = json.loads((results / "manifest.json").read_text())["config"] | {"entries": [str(entry)]}
    recipes = ("--recipes", study.config / "recipes")
    run(
        "claims", "--results", results, "--claims", study.config / "claims.yaml", "--paper-tables",
        study.config / "paper_tables.csv", "--prior-results", study.config / "prior_results.csv", *recipes,
        "--out", results / "claims.json",
    )  # fmt: skip
    run("manifest", "--config", json.dumps(config), *recipes, "--results", results, "--out", results / "manifest.json")
    return study


@pytest.fixture
def study(entered_study: SmallStudy, same_code: None, tmp_path: Path) -> SmallStudy:
    return entered_study.copy(tmp_path / "study")


def table(study: SmallStudy, entry) -> pd.DataFrame:
    return entry.read(entry.at(study.results))[0]


def test_the_method_stands_beside_every_recipe_and_moves_no_other_number(
    entered_study: SmallStudy, small_study: SmallStudy
):
    comparisons = table(entered_study, COMPARISONS)
    mine = comparisons[(comparisons["variant"] == "mine") & (comparisons["metric"] == "srcc")]
    assert set(mine["recipe"]) == {"slow", "fast"} and {"mst-clipiqa", "mst-clipiqa-star"} <= set(mine["against"])
    for entry in (METRICS, INTERVALS, GENERATORS):
        before, after = table(small_study, entry), table(entered_study, entry)
        assert set(after.loc[after["recipe"] == ENTERED, "variant"]) == {"mine"}
        rest = after[after["recipe"] != ENTERED].reset_index(drop=True)
        pd.testing.assert_frame_equal(rest, before, check_exact=True)
    verdicts = [json.loads(CLAIMS.at(place.results).read_text()) for place in (small_study, entered_study)]
    assert verdicts[0] == verdicts[1]


def test_the_page_shows_the_method_and_what_its_author_claims(entered_study: SmallStudy, tmp_path: Path):
    run(
        "report", "--results", entered_study.results, "--claims", entered_study.config / "claims.yaml",
        "--paper-tables", entered_study.config / "paper_tables.csv", "--out", tmp_path,
    )  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert "My &lt;i&gt;Method&lt;/i&gt;" in page and "My <i>" not in page
    for name in ("entered_methods", "intervals", "by_generator", "paired_tests", "all_metrics"):
        assert "mine" in (tmp_path / "tables" / f"{name}.csv").read_text(), name
    for name in ("entered_methods", "table_iv_quality", "intervals", "paired_tests", "by_generator"):
        assert "Method&lt;/i>" in (tmp_path / "tables" / f"{name}.md").read_text(), name
    row = pd.read_csv(tmp_path / "tables" / "entered_methods.csv").iloc[0]
    assert row["saw_test_images"] == "says yes" and row["file"] == FILE


def test_untouched_it_holds(study: SmallStudy):
    verdict = verify(study)
    assert verdict.findings == [] and verdict.counts["entered methods"] == 1


def test_without_its_folder_it_holds_and_that_is_said(study: SmallStudy, entered_study: SmallStudy):
    folder = entered_study.folder / "entries"
    shutil.move(folder, folder.with_name("gone"))
    try:
        verdict = verify(study)
    finally:
        shutil.move(folder.with_name("gone"), folder)
    assert verdict.findings == []
    assert any(f"{FILE}: the entry {folder / 'mine'} is not at hand" in note for note in verdict.notes)


def edit_prediction(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[3], "prediction"] += 1.0

    edit_table(study.results / FILE, change)


def edit_claim(study: SmallStudy) -> None:
    def change(_: pd.DataFrame, metadata: dict) -> None:
        metadata["entry"]["card"]["saw_test_images"] = "says no"

    edit_table(study.results / FILE, change)


def rename_image(study: SmallStudy) -> None:
    def change(frame: pd.DataFrame, _: dict) -> None:
        frame.loc[frame.index[3], "image"] = "none.png"

    edit_table(study.results / FILE, change)


def flatten(study: SmallStudy) -> None:
    edit_table(study.results / FILE, lambda frame, _: frame.__setitem__("prediction", 1.0))


def drop_doubt(study: SmallStudy) -> None:
    def change(_: pd.DataFrame, metadata: dict) -> None:
        metadata["doubts"] = ["none"]

    edit_table(study.results / FILE, change)


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (edit_prediction, FILE, "prediction"),
        (edit_claim, FILE, "its entry is not that of its place and the manifest"),
        (rename_image, FILE, "has no prediction"),
        (flatten, FILE, "undefined"),
        (drop_doubt, FILE, "its doubts is not that of its place and the manifest"),
    ],
)
def test_edited_scores_are_found(edit, where: str, what: str, study: SmallStudy):
    edit(study)
    rehash(study)
    assert_found(verify(study), where, what)


@pytest.mark.parametrize(
    ("key", "value"),
    [("title", "Another"), ("description", "the best")],
)
def test_a_method_that_the_manifest_calls_otherwise_is_found(key: str, value: str, study: SmallStudy):
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["variants"]["mine"][key] = value
    path.write_text(json.dumps(manifest))
    assert_found(verify(study), "manifest.json", "called and described otherwise than its card says")


def test_scores_in_another_place_are_found(study: SmallStudy):
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["entries"] = {FILE.replace("mine", "yours"): entry for entry in manifest["entries"].values()}
    path.write_text(json.dumps(manifest))
    assert_found(verify(study), "manifest.json", "called and described otherwise than its card says")


def test_an_entry_that_the_configuration_does_not_name_is_found(study: SmallStudy):
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["entries"] = []
    path.write_text(json.dumps(manifest))
    assert_found(verify(study), "manifest.json", "the configuration in it says")
