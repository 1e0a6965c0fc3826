"""The board: what is ranked, what is not and why, and that it comes out the same to the byte."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.api.notebook import splits
from mstclipiqa.base.errors import InputError
from mstclipiqa.entries.board import check_entries, write_board
from mstclipiqa.entries.entry import find_entries, make_card, write_entry

PROTOCOLS = ("lab-seed1", "grouped3")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def entries(benchmark, tmp_path):
    """A good method, one that is bad, one that was trained on one split alone, and one for edited labels."""
    rng = np.random.default_rng(2)
    samples, folder = benchmark.samples, tmp_path / "entries"

    def scores(noise: float) -> pd.DataFrame:
        predicted = samples["quality"] + noise * rng.normal(size=len(samples))
        return pd.DataFrame({"image": samples["image"], "prediction": predicted})

    for name, noise in (("Good", 0.5), ("Bad <b>", 5.0)):
        card = make_card(name, "agiqa-3k", "quality", samples, paper="a paper", saw_test_images="says no")
        write_entry(folder / name[:3].lower(), card, scores(noise))
    tested = splits(benchmark, "grouped3").query("role == 'test' and split == 1").drop(columns="role")
    card = make_card("Half", "agiqa-3k", "quality", samples)
    write_entry(folder / "half", card, tested.merge(scores(1.0), on="image"))
    card = make_card("Other", "agiqa-3k", "quality", samples.assign(quality=samples["quality"] + 1))
    write_entry(folder / "other", card, scores(0.1))
    return folder


def build(entries: Path, benchmark, out: Path) -> list[str]:
    load = {"agiqa-3k": (benchmark.samples, benchmark.card)}.__getitem__
    return write_board(out, find_entries(entries), [], load, PROTOCOLS)


def test_methods_are_ranked_and_those_that_cannot_be_are_named(entries, benchmark, tmp_path):
    said = build(entries, benchmark, tmp_path / "board")
    assert said == [f"agiqa-3k-quality-{name}: 2 methods; ranked first: Good" for name in PROTOCOLS]
    ranks = pd.read_csv(tmp_path / "board" / "tables" / "agiqa-3k-quality-grouped3-ranks.csv")
    assert dict(zip(ranks["method"], ranks["rank"], strict=True)) == {"Good": 1, "Bad <b>": 2}
    refused = pd.read_csv(tmp_path / "board" / "tables" / "agiqa-3k-quality-grouped3-not-ranked.csv")
    why = dict(refused.to_numpy())
    assert why["Half"] == "has 1 of 3 splits" and "was entered for other labels" in why["Other"]
    page = (tmp_path / "board" / "agiqa-3k-quality-grouped3.html").read_text()
    assert "Bad &lt;b&gt;" in page and "Bad <b>" not in page and "says no" in page
    index = (tmp_path / "board" / "index.html").read_text()
    assert all(f'href="agiqa-3k-quality-{name}.html"' in index for name in PROTOCOLS)


def test_a_board_comes_out_the_same_to_the_byte(entries, benchmark, tmp_path):
    for name in ("one", "two"):
        build(entries, benchmark, tmp_path / name)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_a_method_that_is_gone_leaves_no_page(entries, benchmark, tmp_path):
    build(entries, benchmark, tmp_path / "board")
    load = {"agiqa-3k": (benchmark.samples, benchmark.card)}.__getitem__
    write_board(tmp_path / "board", find_entries(entries), [], load, ["lab-seed1"])
    pages = sorted(path.name for path in (tmp_path / "board").glob("*.html"))
    assert pages == ["agiqa-3k-quality-lab-seed1.html", "index.html"]
    assert not list((tmp_path / "board" / "tables").glob("*grouped3*"))


def test_a_check_says_what_is_wrong_in_a_line(entries, benchmark):
    load = {"agiqa-3k": (benchmark.samples, benchmark.card)}.__getitem__
    refused, doubts = check_entries(find_entries(entries), load, PROTOCOLS)
    assert len(refused) == 1 and refused[0].startswith(f"{entries / 'other'}: was entered for other labels")
    assert doubts == []


def test_entries_of_a_benchmark_that_is_not_at_hand_are_read_alone(entries):
    def load(name: str):
        raise InputError(f"{name}: nothing to load it from")

    (entries / "goo" / "scores.csv").write_text("image,prediction\na.png,word\n")
    refused, doubts = check_entries(find_entries(entries), load, PROTOCOLS)
    assert len(refused) == 1 and "prediction is 'word' in data row 1" in refused[0]
    assert doubts == [
        "4 entries of agiqa-3k are not held against its images and labels: agiqa-3k: nothing to load it from"
    ]


def test_a_board_of_nothing_is_refused(entries, benchmark, tmp_path):
    with pytest.raises(InputError, match="no method has every split"):
        load = {"agiqa-3k": (benchmark.samples, benchmark.card)}.__getitem__
        write_board(tmp_path / "board", find_entries(entries / "half"), [], load, PROTOCOLS)
    assert not (tmp_path / "board").exists()
