"""Split files as people write them: read in any order, and refused with the image, the split and the reason."""

import pandas as pd
import pytest
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.protocols import split_samples, splits_from_samples
from mstclipiqa.data.samples import collect_samples

IMAGES = ["a.png", "b.png", "c.png", "d.png"]
SAMPLE_ROWS = pd.DataFrame(
    {
        "benchmark": "agiqa-3k", "image": IMAGES, "row": range(4), "sha256": IMAGES,
        "prompt_group": ["p", "p", "q", "q"],
    }
)  # fmt: skip
WHOLE = "agiqa-3k,a.png,{0},train\nagiqa-3k,b.png,{0},test\n"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Writes config/splits/mine.csv, as of a checkout in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config" / "splits" / "mine.csv"
    path.parent.mkdir(parents=True)
    return lambda rows, encoding="utf-8": path.write_text("benchmark,image,split,role\n" + rows, encoding=encoding)


def refusal(names=("file-mine",), samples=SAMPLE_ROWS, card=None) -> str:
    with pytest.raises(InputError) as error:
        split_samples(samples, list(names), card)
    message = str(error.value)
    assert "\n" not in message and message.isprintable()
    return message


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_splits_may_be_numbered_in_any_order(order, published):
    tested = ("b.png", "c.png", "a.png")
    roles = [(image, number, TEST if image == tested[number] else TRAIN) for number in order
             for image in ("a.png", "b.png", "c.png")]  # fmt: skip
    published("".join(f"agiqa-3k,{image},{number},{role}\n" for image, number, role in roles))
    table, leakage = split_samples(SAMPLE_ROWS, ["file-mine"])
    assert [count["split"] for count in leakage["file-mine"]] == [0, 1, 2]
    assert table["split"].is_monotonic_increasing
    assert [list(rows.loc[rows["role"] == TEST, "image"]) for _, rows in table.groupby("split")] == [
        [image] for image in tested
    ]


def test_rows_of_one_split_need_not_stand_together(published):
    published("agiqa-3k,a.png,0,train\nagiqa-3k,a.png,1,test\nagiqa-3k,b.png,0,test\nagiqa-3k,b.png,1,train\n")
    table, _ = split_samples(SAMPLE_ROWS, ["file-mine"])
    assert list(table["role"]) == [TRAIN, TEST, TEST, TRAIN]


def test_more_than_ten_splits_keep_their_order(published):
    published("".join(WHOLE.format(number) for number in reversed(range(12))) + "agiqa-3k,c.png,2,val\n")
    _, leakage = split_samples(SAMPLE_ROWS, ["file-mine"])
    assert [count[VAL] for count in leakage["file-mine"]] == [0, 0, 1] + [0] * 9


@pytest.mark.parametrize(
    "numbers", [("1", "2"), ("0", "2"), ("zero", "1"), ("-1", "0"), ("0.0", "1"), ("0", ""), ("01", "0")]
)
def test_other_numbers_are_named(numbers, published):
    published("".join(WHOLE.format(number) for number in numbers))
    message = refusal()
    assert "config/splits/mine.csv: splits are numbered from 0, one after another, not " in message
    assert any(repr(number) in message for number in numbers)


def test_the_first_three_of_other_numbers_are_named(published):
    published("".join(WHOLE.format(number) for number in (3, 4, 1, 2)))
    assert refusal().endswith(" one after another, not '1', '2', '3'; mend it")


def test_an_image_that_stands_twice_is_named_with_its_split(published):
    published(WHOLE.format(0) + WHOLE.format(1) + "agiqa-3k,b.png,1,train\n")
    assert refusal() == "config/splits/mine.csv: 'b.png' stands twice in split 1 (1 such rows); mend it"


def test_an_image_that_the_reader_excluded_is_not_called_unknown(published):
    published(WHOLE.format(0) + "agiqa-3k,x.png,0,train\n")
    assert refusal() == "config/splits/mine.csv: image 'x.png' of split 0 is unknown (1 such rows); mend it"
    assert refusal(card={"excluded": {"x.png": "rows that differ"}}) == (
        "config/splits/mine.csv: image 'x.png' of split 0 is excluded by the reader (1 such rows), because of rows "
        "that differ; take it out"
    )


def test_the_step_hands_on_what_the_reader_excluded(published, tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    rows = layout.rows()
    (tmp_path / "data").mkdir()
    layout.make(tmp_path / "data", pd.concat([rows, rows[5:6].assign(quality=1.25)]))
    SAMPLES.write(tmp_path / "samples.parquet", *collect_samples(layout.benchmark, tmp_path / "data"))
    published(f"agiqa-3k,{layout.names[5]},0,train\n")
    with pytest.raises(InputError, match=f"{layout.names[5]}' of split 0 is excluded by the reader .* with different"):
        splits_from_samples(tmp_path / "splits.parquet", tmp_path / "samples.parquet", ["file-mine"])


@pytest.mark.parametrize("name", ["AGIQA-3K", "agiqa3k", "agiqa-3k ", "", "agiqa-3l"])
def test_a_benchmark_that_is_misspelt_is_refused_in_any_row(name, published):
    """Half of the rows so: on eac8ac7 1,500 images to train on, none to test."""
    published("agiqa-3k,a.png,0,train\n" + f"{name},b.png,0,test\n" * 3)
    message = refusal()
    assert message.startswith(f"config/splits/mine.csv: benchmark {name!r} is unknown (3 such rows); mend it; known: ")
    assert message.endswith(f"known: {', '.join(sorted(BENCHMARKS))}")


def test_a_file_of_other_benchmarks_is_said_to_be_so(published, tmp_path):
    published("agiqa-1k,a.png,0,train\naigciqa2023,b.png,0,test\n")
    assert refusal() == (
        "file-mine: no split of agiqa-3k; config/splits/mine.csv has agiqa-1k, aigciqa2023; choose another protocol"
    )
    (tmp_path / "config/splits/other.csv").write_text("benchmark,image,split,role\npku-aigiqa-4k,a.png,0,train\n")
    assert refusal(["file-mine", "file-other"]) == (
        "file-mine, file-other: no split of agiqa-3k; config/splits/mine.csv has agiqa-1k, aigciqa2023; "
        "config/splits/other.csv has pku-aigiqa-4k; choose another protocol"
    )
    table, leakage = split_samples(SAMPLE_ROWS, ["random1", "file-mine"])
    assert leakage["file-mine"] == [] and set(table["protocol"]) == {"random1"}


@pytest.mark.parametrize(("role", "lacking"), [(TRAIN, TEST), (TEST, TRAIN), (VAL, TRAIN)])
def test_a_split_without_training_or_test_images_is_refused(role, lacking, published):
    published(WHOLE.format(0) + f"agiqa-3k,a.png,1,{role}\nagiqa-3k,b.png,1,{role}\n")
    assert refusal() == f"file-mine: split 1 has no {lacking} images; every split needs train and test"


@pytest.mark.parametrize("name", ["lab-seed1", "random2", "released"])
def test_a_drawn_split_without_training_images_is_refused(name):
    assert f"{name}: split 0 has no train images" in refusal([name], SAMPLE_ROWS[:1])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("agiqa-3k,\x1b[31m.png,0,train\n", r"image '\x1b[31m.png' of split 0 is unknown"),
        ("agiqa-3k,a.png,0,tr\x07ain\n", r"role 'tr\x07ain' is unknown"),
        ("agiqa-3k,a.png,0\x1b,train\n", r"not '0\x1b'"),
        ("agiqa-3k,a.png,0\n", "role '' is unknown"),
        ("agiqa-3k,a.png,0,train,more\n", "cannot be read"),
        ("agiqa-3k,NA,0,train\n", "image 'NA' of split 0 is unknown"),
    ],
)
def test_strange_cells_are_shown_as_they_are(rows, said, published):
    published(rows)
    assert said in refusal()


def test_a_header_with_escapes_is_shown_by_its_repr(published, tmp_path):
    (tmp_path / "config/splits/mine.csv").write_text("benchmark,\x1b[31m\n")
    assert r"has the columns benchmark, \x1b[31m; give benchmark, image" in refusal()


def test_a_file_as_a_spreadsheet_program_saves_it_is_read(published):
    published(WHOLE.format(0), encoding="utf-8-sig")
    assert len(split_samples(SAMPLE_ROWS, ["file-mine"])[0]) == 2


def test_a_table_of_a_million_columns_is_refused_at_its_first_row(published, tmp_path):
    (tmp_path / "config/splits/mine.csv").write_text(",".join(["image"] * 1_000_000) + "\n")
    message = refusal()
    assert "has the columns image, image" in message and len(message) < 400
