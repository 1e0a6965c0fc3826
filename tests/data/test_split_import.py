"""Splits as they are published elsewhere become the published splits of this project, or are refused."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.io import savemat

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TARGETS, TEST, TRAIN, VAL
from mstclipiqa.cli.main import main
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.published_splits import SPLIT_FILES
from mstclipiqa.data.split_import import import_split

#: Ten label rows; the reader left row 4 out.
IMAGES = [f"m_{number:02d}.jpg" for number in range(10)]
ROLES = [TRAIN] * 5 + [VAL] * 2 + [TEST] * 3


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """The samples table, in a folder that is a checkout's."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "benchmark": "agiqa-3k", "image": IMAGES, "row": range(10), "path": IMAGES, "sha256": IMAGES, "width": 8,
            "height": 8, "prompt": IMAGES, "prompt_group": IMAGES, "generator": "m",
            **{target: np.arange(10.0) for target in TARGETS},
        }
    ).drop(index=4)  # fmt: skip
    card = {"benchmark": "agiqa-3k", "title": "AGIQA-3K", "rows_read": 10, "excluded": {IMAGES[4]: "two MOS"}}
    SAMPLES.write(tmp_path / "samples.parquet", frame, card)
    (tmp_path / "theirs").mkdir()
    return tmp_path / "samples.parquet"


def imported(samples, source="theirs", **options):
    import_split(samples.parent / source, samples, "mine", without_excluded=True, **options)
    frame, card = SAMPLES.read(samples)
    table, _ = split_samples(frame, ["file-mine"], card)
    return {
        split: {role: sorted(part["image"]) for role, part in rows.groupby("role")}
        for split, rows in table.groupby("split")
    }


def expected(shift=0):
    """The images of each role, where a split is another's roles moved on by `shift` rows."""
    names = IMAGES[shift:] + IMAGES[:shift]
    kept = [(name, role) for name, role in zip(names, ROLES, strict=True) if name != IMAGES[4]]
    return {role: sorted(name for name, other in kept if other == role) for role in (TRAIN, VAL, TEST)}


def entries(role, shift, write):
    names = IMAGES[shift:] + IMAGES[:shift]
    return [write(name) for name, other in zip(names, ROLES, strict=True) if other == role]


FORMS = {
    "names": str,
    "paths": lambda name: f"D:\\images\\all/{name}",
    "stems": lambda name: name[:-4],
    "another ending": lambda name: name.replace(".jpg", ".png"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["{role}_{split}.csv", "fold{split}/{role}_list.csv", "split-{split}/{role}.txt"])
def test_a_folder_of_lists(samples, form, place):
    for shift, split in ((3, 10), (0, 2)):  # in no order, and not from 0
        for role in (TRAIN, VAL, TEST):
            path = samples.parent / "theirs" / place.format(role=role, split=split)
            path.parent.mkdir(exist_ok=True)
            names = entries(role, shift, FORMS[form])
            if path.suffix == ".txt":
                path.write_text("\n".join(names) + "\n")
            else:
                pd.DataFrame({"score": 1.5, "name": names}).to_csv(path, index=False)
    assert imported(samples) == {0: expected(0), 1: expected(3)}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["txt", "npy", "mat"])
def test_lists_of_label_rows(samples, first, kind):
    rows = {role: np.array(entries(role, 0, IMAGES.index)) + first for role in (TRAIN, VAL, TEST)}
    for role, numbers in rows.items():
        if kind == "txt":
            np.savetxt(samples.parent / "theirs" / f"{role}.txt", numbers, fmt="%d")
        elif kind == "npy":
            np.save(samples.parent / "theirs" / f"{role}.npy", numbers)
    if kind == "mat":
        savemat(samples.parent / "index.mat", {f"{role}_idx": numbers for role, numbers in rows.items()})
    assert imported(samples, "index.mat" if kind == "mat" else "theirs") == {0: expected()}


def test_rows_that_may_be_numbered_either_way_need_a_word(samples):
    for role, numbers in {TRAIN: [1, 2], TEST: [7, 8]}.items():
        np.save(samples.parent / "theirs" / f"{role}.npy", numbers)
    with pytest.raises(InputError, match="numbered from 0 or from 1"):
        imported(samples)
    assert imported(samples, first=1) == {0: {TRAIN: IMAGES[:2], TEST: IMAGES[6:8]}}


def test_a_matrix_of_rows_and_a_mask(samples):
    savemat(samples.parent / "a.mat", {"train": [[1, 10], [2, 3], [3, 4]], "test": [[10, 6], [9, 7], [8, 1]]})
    assert imported(samples, "a.mat") == {
        0: {TRAIN: IMAGES[:3], TEST: IMAGES[7:]},
        1: {TRAIN: [*IMAGES[2:4], IMAGES[9]], TEST: [IMAGES[0], *IMAGES[5:7]]},
    }
    (SPLIT_FILES / "mine.csv").unlink()
    mask = np.arange(10) < 6
    np.save(samples.parent / "theirs" / "train.npy", mask)
    np.save(samples.parent / "theirs" / "test.npy", ~mask)
    assert imported(samples) == {0: {TRAIN: [*IMAGES[:4], IMAGES[5]], TEST: IMAGES[6:]}}


def test_names_in_a_matlab_file(samples):
    cells = {role: np.array(entries(role, 0, str), dtype=object) for role in (TRAIN, VAL, TEST)}
    savemat(samples.parent / "a.mat", {f"names_{role}": names for role, names in cells.items()})
    assert imported(samples, "a.mat") == {0: expected()}


def test_a_column_of_folds_is_a_split_for_each(samples):
    table = pd.DataFrame({"image": IMAGES, "mos": 1, "fold": [number % 3 + 1 for number in range(10)]})
    table.to_csv(samples.parent / "folds.csv", index=False)
    used = [name for name in IMAGES if name != IMAGES[4]]
    assert imported(samples, "folds.csv") == {
        split: {
            TEST: [name for name in used if IMAGES.index(name) % 3 == split],
            TRAIN: [name for name in used if IMAGES.index(name) % 3 != split],
        }
        for split in range(3)
    }


def test_columns_of_roles_are_a_split_each(samples):
    moved = ROLES[-3:] + ROLES[:-3]
    pd.DataFrame({"set_b": moved, "set_a": ROLES, "other": 1, "name": IMAGES}).to_csv(
        samples.parent / "roles.csv", index=False
    )
    assert imported(samples, "roles.csv") == {0: expected(3), 1: expected()}
    (SPLIT_FILES / "mine.csv").unlink()
    assert imported(samples, "roles.csv", folds=["set_a"]) == {0: expected()}


def test_rows_of_other_benchmarks_stay_and_the_same_rows_may_come_again(samples):
    table = pd.DataFrame({"image": IMAGES, "fold": [1, 2] * 5})
    table.to_csv(samples.parent / "folds.csv", index=False)
    SPLIT_FILES.mkdir(parents=True)
    other = "benchmark,image,split,role\nagiqa-1k,a.png,0,train\nagiqa-1k,b.png,0,test\n"
    (SPLIT_FILES / "mine.csv").write_text(other)
    assert imported(samples, "folds.csv") == imported(samples, "folds.csv")
    assert (SPLIT_FILES / "mine.csv").read_text().startswith(other)
    table.assign(fold=[2, 1] * 5)[::-1].to_csv(samples.parent / "folds.csv", index=False)
    with pytest.raises(InputError, match="has other splits of agiqa-3k already"):
        imported(samples, "folds.csv")


def write_roles(samples, **lists):
    for role, names in lists.items():
        (samples.parent / "theirs" / f"{role}.txt").write_text("".join(f"{name}\n" for name in names))


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"train_2": IMAGES[:3], "test_2": ["m_99.jpg", IMAGES[8]]}, "image 'm_99.jpg' of split 0 is unknown (1 such"),
        ({"train": IMAGES[:3], "test": ["x1.jpg", "x2.jpg", "x3.jpg", IMAGES[8]]}, "'x1.jpg' of split 0 is unknown (3"),
        ({"train": IMAGES[:3], "test": IMAGES[2:4]}, "'m_02.jpg' stands twice in split 0"),
        ({"train": IMAGES[:5], "test": IMAGES[5:]}, "'m_04.jpg' of split 0 is excluded by the reader (1 such"),
        ({"train": IMAGES[:3]}, "split 0 has no test images"),
        ({"test": IMAGES[:3], "val": IMAGES[6:8]}, "split 0 has no train images"),
        ({"train1": IMAGES[:3], "test1": IMAGES[6:], "train2": IMAGES[:3]}, "split 1 has no test images"),
        ({"train": ["a", "b"], "test": ["c"]}, "names no image of the benchmark; its first row is c"),
        ({"all": IMAGES}, "'all' says no role"),
        ({"train_test": IMAGES}, "says the roles test, train"),
        ({"train": [1, 2], "test": [3, 11]}, "11, but the benchmark has 10"),
    ],
)  # fmt: skip
def test_what_is_refused_names_image_and_split_and_writes_nothing(samples, lists, said):
    write_roles(samples, **lists)
    done = CliRunner().invoke(main, ["import-split", "theirs", "--samples", str(samples), "--name", "mine"])
    if "11, but" in said:  # rows from 1 to 11 are of another file, from 1 or from 0
        said = "it is of another label file"
    assert done.exit_code == 1 and said in done.output and len(done.output.splitlines()) == 1, done.output
    assert not SPLIT_FILES.exists()


def test_a_first_row_that_may_be_an_image_is_no_header(samples):
    table = pd.DataFrame({"image": ["m_99.jpg", *IMAGES[1:]], "fold": [1, 2] * 5})
    table.to_csv(samples.parent / "theirs" / "train.csv", index=False, header=False)
    write_roles(samples, test=IMAGES[:1])
    with pytest.raises(InputError, match="m_99.jpg' of split 0 is unknown"):
        imported(samples)


def test_the_command_says_what_it_read(samples):
    write_roles(samples, train=IMAGES[:5], test=IMAGES[5:8])
    words = ["import-split", "theirs", "--samples", str(samples), "--name", "mine", "--without-excluded"]
    done = CliRunner().invoke(main, words)
    assert done.output.splitlines() == [
        "config/splits/mine.csv: 1 splits of AGIQA-3K, protocol file-mine",
        "  split 0: 4 train, 0 val, 3 test; 2 images in no role",
        "  1 rows left out, of images that the reader excluded",
    ]


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: savemat(path.with_suffix(".mat"), {"x": [1]}), "no variable named by .*, found x"),
        (lambda path: path.with_suffix(".mat").write_bytes(b"MATLAB"), "cannot be read"),
        (lambda path: np.save(path / "train.npy", np.array([{"a": 1}], dtype=object)), "cannot be read"),
        (lambda path: np.save(path / "train.npy", np.array([0.5])), "no label rows"),
        (lambda path: path.with_suffix(".csv").write_text("image,mos\nm_01.jpg,1\n"), "no column of folds or roles"),
        (lambda path: path.with_suffix(".csv").write_text("image,fold\nm_01.jpg,x\n"), "fold is 'x' in a row"),
        (lambda path: path.with_suffix(".zip").write_bytes(b""), "give a folder of lists"),
        (lambda path: None, "no list below it"),
    ],
)  # fmt: skip
def test_a_source_of_no_known_form_is_one_line(samples, write, said):
    write(samples.parent / "theirs")
    found = [path for path in samples.parent.glob("theirs.*")] or [samples.parent / "theirs"]
    with pytest.raises(InputError, match=said) as error:
        import_split(found[0], samples, "mine")
    assert str(error.value).startswith(str(samples.parent)) and "\n" not in str(error.value)
