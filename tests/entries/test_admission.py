"""Scores are held against samples and splits: every fault has its line, and what is let through is what was given."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.api.notebook import splits
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import RUNS
from mstclipiqa.base.names import TEST, UNTRAINED
from mstclipiqa.entries.admission import admit, enter, find_doubts, runs_of_scores
from mstclipiqa.entries.entry import make_card, read_entry, read_scores, write_entry

PROTOCOLS = ("lab-seed1", "grouped3")


@pytest.fixture
def table(benchmark):
    return splits(benchmark, *PROTOCOLS)


@pytest.fixture
def trained(scores, table):
    """The same scores as of a method that was trained on each split."""
    tested = table[table["role"] == TEST].drop(columns="role")
    return tested.merge(scores, on="image").assign(seed=0)


def runs_of(scores, benchmark, table, source="scores.csv"):
    return runs_of_scores(scores, benchmark.samples, table, "quality", source)


def test_scores_of_every_image_are_tested_in_every_split(scores, benchmark, table):
    runs = runs_of(scores, benchmark, table)
    assert list(runs) == list(RUNS.columns) and (runs["epoch"] == UNTRAINED).all()
    tested = table[table["role"] == TEST]
    expected = set(tested[["protocol", "split", "image"]].itertuples(index=False, name=None))
    assert set(runs[["protocol", "split", "image"]].itertuples(index=False, name=None)) == expected
    assert len(runs) == len(expected)
    given, mos = scores.set_index("image")["prediction"], benchmark.samples.set_index("image")["quality"]
    assert runs["prediction"].tolist() == given[runs["image"]].tolist()
    assert runs["mos"].tolist() == mos[runs["image"]].tolist()
    assert dict(runs[["protocol", "selection"]].drop_duplicates().to_numpy()) == {
        "lab-seed1": "best-on-test",
        "grouped3": "validation",
    }


def test_scores_of_trained_methods_are_those_of_their_splits(trained, benchmark, table):
    runs = runs_of(trained.sample(frac=1, random_state=0), benchmark, table)
    assert (runs["epoch"] == UNTRAINED + 1).all()
    pd.testing.assert_frame_equal(
        runs[["protocol", "split", "seed", "image", "prediction"]],
        trained.sort_values(["protocol", "split", "image"], ignore_index=True)[
            ["protocol", "split", "seed", "image", "prediction"]
        ],
    )
    one = trained[(trained["protocol"] == "grouped3") & (trained["split"] == 1)]
    assert set(runs_of(one, benchmark, table)["split"]) == {1}


def lines(frame, row, **values):
    return frame.assign(**{name: frame[name].where(frame.index != row, value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.iloc[:-3], r"no score of image .* \(3 of 240 images lack one\)"),
        (lambda s: pd.concat([s, s.iloc[:2]]), r"image .* stands twice \(2 such\)"),
        (lambda s: lines(s, 5, image="mine.png"), "image mine.png is none of agiqa-3k"),
        (lambda s: lines(s, 5, prediction=np.nan), "is not finite"),
        (lambda s: lines(s, 5, prediction=np.inf), "is not finite"),
        (lambda s: s.assign(prediction=2.5), "all predictions are 2.5; that ranks nothing"),
    ],
)
def test_faulty_scores_are_refused_in_a_line(spoil, said, scores, benchmark, table):
    with pytest.raises(InputError, match=said) as refused:
        runs_of(spoil(scores), benchmark, table)
    assert str(refused.value).startswith("scores.csv") and "\n" not in str(refused.value)


def of_split(rows, protocol, split):
    return rows[(rows["protocol"] == protocol) & (rows["split"] == split)]


def with_an_image_of_another(own, other):
    strange = other[~other["image"].isin(own["image"])].iloc[:1]
    return pd.concat([own, strange.assign(split=own["split"].iloc[0])])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda t: of_split(t, "grouped3", 1).assign(split=0),
            "grouped3, split 0, seed 0: these are the test images of split 1",
        ),
        (lambda t: of_split(t, "grouped3", 0).iloc[1:], r"no score of test image .* \(1 of \d+ lack one\)"),
        (lambda t: of_split(t, "grouped3", 0).assign(split=7), "grouped3 has no split 7 here; its splits are 0 to 2"),
        (lambda t: of_split(t, "grouped3", 0).assign(prediction=1), "split 0, seed 0: all predictions are 1"),
        (
            lambda t: with_an_image_of_another(of_split(t, "grouped3", 0), of_split(t, "grouped3", 1)),
            r"has the role (train|val) in this split, not test \(1 such\)",
        ),
    ],
)
def test_scores_of_another_split_are_refused_in_a_line(spoil, said, trained, benchmark, table):
    with pytest.raises(InputError, match=said):
        runs_of(spoil(trained), benchmark, table)


def test_copied_mos_are_implausible(scores, benchmark, table):
    assert find_doubts(runs_of(scores, benchmark, table), benchmark.samples, "quality") == []
    copied = scores.assign(prediction=10 + 3 * benchmark.samples["quality"])
    (doubt,) = find_doubts(runs_of(copied, benchmark, table), benchmark.samples, "quality")
    assert doubt.startswith("implausible: r = 1.0000 with the MOS") and doubt.endswith("4 of 4 runs)")


def test_agreement_beyond_the_raters_noise_is_implausible(benchmark, table):
    """As the MOS with a little noise has it: more than the true scores that this project draws, in any draw."""
    mos, sd = benchmark.samples["quality"], benchmark.samples["quality_sd"]
    rng = np.random.default_rng(3)
    near = pd.DataFrame({"image": benchmark.samples["image"], "prediction": mos + 0.06 * rng.normal(size=len(mos))})
    assert stats.pearsonr(near["prediction"], mos).statistic < 0.999
    (doubt,) = find_doubts(runs_of(near, benchmark, table), benchmark.samples, "quality")
    assert re.match(r"implausible: SRCC 0\.99\d\d is more than the noise of 21 raters allows", doubt)
    true = near.assign(prediction=mos + sd / np.sqrt(21) * rng.normal(size=len(mos)) * 1.5)
    assert find_doubts(runs_of(true, benchmark, table), benchmark.samples, "quality") == []


def test_scores_of_which_less_is_better_say_so(scores, file, benchmark, table, tmp_path):
    (doubt,) = find_doubts(
        runs_of(scores.assign(prediction=-scores["prediction"]), benchmark, table), benchmark.samples, "quality"
    )
    assert "is negative: if a lower score is better, the card must say so" in doubt
    card = make_card("Turned", "agiqa-3k", "quality", benchmark.samples, lower_is_better=True)
    entry = write_entry(tmp_path / "turned", card, scores.assign(prediction=-scores["prediction"]))
    runs, _ = admit(entry, benchmark.samples, benchmark.card, table)
    pd.testing.assert_frame_equal(runs, runs_of(scores, benchmark, table))


def test_an_entry_is_what_was_scored(file, scores, benchmark, table, tmp_path):
    card = make_card("My Method*", "agiqa-3k", "quality", benchmark.samples, paper="a paper", saw_test_images="says no")
    said = enter(tmp_path / "entry", file, benchmark.samples, benchmark.card, card)
    assert said[0].startswith("My Method*, grouped10: SRCC 0.") and len(said) == 2
    entry = read_entry(tmp_path / "entry")
    assert entry.name == "my-method-star" and entry.card == card
    pd.testing.assert_frame_equal(entry.scores, scores.sort_values("image", ignore_index=True))
    runs, metadata = admit(entry, benchmark.samples, benchmark.card, table)
    assert metadata["variant"] == entry.name and metadata["runs"] == 4 and metadata["doubts"] == []
    again = write_entry(tmp_path / "again", card, scores.sample(frac=1, random_state=1))
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in entry.files]


@pytest.mark.parametrize(("column", "what"), [("quality", "labels"), ("sha256", "images")])
def test_an_entry_for_other_labels_or_images_is_refused(column, what, file, benchmark, table, tmp_path):
    card = make_card("Mine", "agiqa-3k", "quality", benchmark.samples)
    enter(tmp_path / "entry", file, benchmark.samples, benchmark.card, card)
    other = benchmark.samples.copy()
    other.loc[3, column] = 0.5 if column == "quality" else "0" * 64
    with pytest.raises(InputError, match=f"was entered for other {what} than agiqa-3k has here"):
        admit(read_entry(tmp_path / "entry"), other, benchmark.card, table)


def test_a_split_may_be_named_beside_the_file(trained, benchmark, tmp_path):
    own = of_split(trained, "grouped3", 2)
    own[["image", "prediction"]].to_csv(tmp_path / "scores.csv", index=False)
    card = make_card("Mine", "agiqa-3k", "quality", benchmark.samples)
    rest = (benchmark.samples, benchmark.card, card)
    enter(tmp_path / "entry", tmp_path / "scores.csv", *rest, ("grouped3", 2))
    assert (read_scores(tmp_path / "entry" / "scores.csv")["split"] == 2).all()
    with pytest.raises(InputError, match="these are the test images of split 2"):
        enter(tmp_path / "other", tmp_path / "scores.csv", *rest, ("grouped3", 1))
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="names protocols itself"):
        enter(tmp_path / "other", tmp_path / "entry" / "scores.csv", *rest, ("grouped3", 2))
