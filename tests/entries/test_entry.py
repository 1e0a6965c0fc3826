"""An entry's files: what is read, and what is refused."""

import pandas as pd
import pytest
import yaml

from mstclipiqa.base.errors import InputError
from mstclipiqa.entries.entry import (
    CARD,
    find_entries,
    labels_digest,
    make_card,
    name_of,
    read_scores,
    round_scores,
    write_entry,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,score\na.png,1\n", "unknown column 'score'"),
        ("image\na.png\n", "missing column prediction"),
        ("image,prediction,split\na.png,1,0\n", "has the column split alone"),
        ("image,prediction\na.png,nan\n", "prediction is 'nan' in data row 1"),
        ("image,prediction\na.png,inf\n", "prediction is 'inf' in data row 1"),
        ("image,prediction\na.png,\n", "prediction is empty in data row 1"),
        ("image,prediction,protocol,split\na.png,1,grouped3,0.5\n", "split '0.5' in data row 1 is no number from 0"),
        (
            "image,prediction,protocol,split,seed\na.png,1,grouped3,0,-1\n",
            "seed '-1' in data row 1 is no number from 0",
        ),
        ("image,prediction,protocol,split\na.png,1,mine,0\n", "unknown protocol 'mine'; known: "),
        ("image,prediction\n", "no row"),
    ],
)
def test_a_faulty_file_is_refused_in_a_line(text, said, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        read_scores(path)
    assert str(refused.value).startswith(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; give a CSV file with the columns image and prediction"):
        read_scores(tmp_path / "scores.csv")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "mst-clipiqa"}, "is a variant of this project"),
        ({"benchmark": "mine"}, "benchmark: 'mine' is unknown"),
        ({"target": "authenticity"}, "agiqa-3k does not rate authenticity"),
        ({"saw_test_images": "perhaps"}, "saw_test_images"),
        ({"name": "../up"}, "name"),
        ({"labels": "abc"}, "labels"),
        ({"author": "me"}, "author"),
    ],
)
def test_a_faulty_card_is_refused_in_a_line(changes, said, benchmark, scores, tmp_path):
    card = make_card("Mine", "agiqa-3k", "quality", benchmark.samples)
    write_entry(tmp_path / "mine", card, scores)
    (tmp_path / "mine" / CARD).write_text(yaml.safe_dump(card | changes))
    with pytest.raises(InputError, match=said) as refused:
        find_entries(tmp_path)
    assert str(refused.value).startswith(str(tmp_path / "mine" / CARD))


def test_a_method_is_entered_once_under_one_name(benchmark, scores, tmp_path):
    with pytest.raises(InputError, match="no entry; an entry is a folder with"):
        find_entries(tmp_path)
    card = make_card("Mine", "agiqa-3k", "quality", benchmark.samples)
    write_entry(tmp_path / "one", card, scores)
    write_entry(tmp_path / "two", card, scores)
    with pytest.raises(InputError, match="mine is entered for agiqa-3k, quality in .*one too"):
        find_entries(tmp_path)
    write_entry(tmp_path / "two", card | {"target": "correspondence", "method": "Yours"}, scores)
    with pytest.raises(InputError, match="called 'Yours', and 'Mine'"):
        find_entries(tmp_path)
    write_entry(tmp_path / "two", card | {"name": "other"}, scores)
    with pytest.raises(InputError, match="the method 'Mine' has the name other, and mine in"):
        find_entries(tmp_path)


def test_names_and_digests(benchmark):
    assert name_of("Ridge on f_c") == "ridge-on-f-c" and name_of("MST*") == "mst-star"
    with pytest.raises(InputError, match="no letter or digit"):
        name_of("模型")
    samples = benchmark.samples
    shuffled = samples.sample(frac=1, random_state=0)
    assert labels_digest(samples, "quality") == labels_digest(shuffled, "quality")
    assert labels_digest(samples, "quality") != labels_digest(samples, "correspondence")


def test_scores_are_rounded_as_far_as_no_rank_is_lost():
    scores = pd.DataFrame(
        {"protocol": "grouped2", "split": [0, 0, 1, 1], "image": list("abab"), "prediction": [1.23456789, 2, 3, 3]}
    )
    assert round_scores(scores)["prediction"].tolist() == [1.2346, 2, 3, 3]
    close = scores.assign(prediction=[1.23456789, 1.23456712, 3, 4])
    assert round_scores(close)["prediction"].tolist() == [1.234568, 1.234567, 3, 4]
    assert round_scores(scores.assign(prediction=[1.23456789, 2, 1.23456712, 3]))["prediction"].iloc[0] == 1.2346
    ones = pd.DataFrame({"image": list("ab"), "prediction": [1.0, 1 - 1e-16]})
    assert round_scores(ones)["prediction"].tolist() == ones["prediction"].tolist()
