"""What every benchmark must do, in every layout it is read from, with good files and with bad ones."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts import LAYOUTS, STRANGE, write_image

import mstclipiqa
from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import BENCHMARKS, TARGETS, get_benchmark
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels
from mstclipiqa.data.samples import collect_samples


@pytest.fixture(params=LAYOUTS | STRANGE)
def layout(request):
    return (LAYOUTS | STRANGE)[request.param]


def refused(layout, root, *said):
    """Assert that the data are refused in one line that says all of `said`."""
    with pytest.raises(InputError) as caught:
        collect_samples(layout.benchmark, root)
    message = str(caught.value)
    assert "\n" not in message
    for text in said:
        assert str(text) in message
    return message


def test_all_are_registered_and_written_here():
    assert set(BENCHMARKS) >= {"agiqa-1k", "agiqa-3k", "aigciqa2023", "aigiqa-20k", "pku-aigiqa-4k"}
    assert {layout.benchmark_name for layout in LAYOUTS.values()} == set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_description(name, tmp_path):
    benchmark = get_benchmark(name)
    assert benchmark.name == name
    assert benchmark.paper.startswith("arXiv:")
    assert benchmark.title and benchmark.licence
    assert benchmark.targets and set(benchmark.ranges) <= set(TARGETS)
    assert all(low < high for low, high in benchmark.ranges.values())
    with pytest.raises(InputError, match="no such folder"):
        collect_samples(benchmark, tmp_path / "absent")
    with pytest.raises(InputError, match=str(tmp_path)):
        collect_samples(benchmark, tmp_path)


@pytest.mark.parametrize(
    ("ranges", "change", "said"),
    [
        (
            {"qualty": (0, 5)},
            lambda frame: frame,
            "'qualty' is no target; known: quality, authenticity, correspondence",
        ),
        ({"quality": (0, 5)}, lambda frame: frame.drop(columns="generator"), "has no column generator; it needs image"),
        ({"quality": (0, 5)}, lambda frame: frame.drop(columns="quality"), "has no column quality"),
        ({"quality": (0, 5)}, lambda frame: frame.astype(str), "the column quality that it reads has no numbers"),
    ],
)
def test_a_reader_that_gives_no_labels_is_named_in_one_line(ranges, change, said, tmp_path):
    frame = pd.DataFrame({"image": ["a.png"], "prompt": ["a corgi"], "generator": ["SD"], "quality": [4.0]})
    benchmark = Benchmark("mine", "Mine", "", "", ranges, lambda root: Labels(change(frame), [tmp_path], {}))
    with pytest.raises(InputError, match=rf"^{__name__}: .*{said}"):
        collect_samples(benchmark, tmp_path)


def test_a_second_benchmark_of_a_name_is_refused(tmp_path):
    """As of a copied module whose name was forgotten; the last in the alphabet would be read in place of the other."""
    shutil.copytree(Path(mstclipiqa.__file__).parent, tmp_path / "mstclipiqa")
    folder = tmp_path / "mstclipiqa" / "data" / "benchmarks"
    shutil.copy(folder / "agiqa_3k.py", folder / "mine.py")
    done = subprocess.run(
        [sys.executable, "-m", "mstclipiqa", "samples", "agiqa-3k", "--root", ".", "--out", "samples.parquet"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = f"Error: {folder}/mine.py: another module has the benchmark agiqa-3k too; give one another name"
    assert (done.returncode, done.stderr.splitlines()) == (1, [said])


def test_unknown_name():
    with pytest.raises(InputError, match=r"'agiqa-2k'; known: agiqa-1k, agiqa-3k"):
        get_benchmark("agiqa-2k")


def test_samples_are_what_was_written(layout, tmp_path):
    samples, card = collect_samples(layout.benchmark, layout.make(tmp_path))
    rows = layout.rows()
    assert list(samples["image"]) == list(layout.names)
    assert list(samples["row"]) == list(range(8))
    assert list(samples["prompt"]) == layout.prompts
    assert list(samples["generator"]) == list(layout.generators)
    assert set(samples["benchmark"]) == {layout.benchmark_name}
    assert all((tmp_path / path).is_file() for path in samples["path"])
    for target in TARGETS:
        if target in layout.benchmark.ranges:
            np.testing.assert_allclose(samples[target], rows[target], rtol=1e-14)
        else:
            assert samples[target].isna().all()
    assert (samples["width"] == 12).all() and (samples["height"] == 8).all()
    assert set(card["columns"]) == set(layout.benchmark.targets)
    assert set(card["label_files"]) == {path.name for path in layout.label_files(tmp_path)}
    assert card["rows_read"] == card["images"] == 8
    assert card["prompts"] == card["prompt_groups"] == len(set(layout.prompts))
    assert not card["synthetic"]
    json.dumps(card)


def test_label_files_may_lie_anywhere(layout, tmp_path):
    expected, _ = collect_samples(layout.benchmark, layout.make(tmp_path))
    for i, path in enumerate(layout.label_files(tmp_path)):
        (tmp_path / "archive" / str(i)).mkdir(parents=True)
        path.rename(tmp_path / "archive" / str(i) / path.name)
    samples, _ = collect_samples(layout.benchmark, tmp_path)
    pd.testing.assert_frame_equal(samples, expected)


def test_numbers_as_text(layout, tmp_path):
    rows = layout.rows()
    texts = {target: rows[target].map(repr) for target in layout.benchmark.targets}
    if layout.kind in ("official", "json", "csv") and layout.benchmark_name == "aigciqa2023":
        pytest.skip("MATLAB arrays hold numbers, and the other two are rescaled by the writer")
    layout.make(tmp_path, rows.assign(**texts))
    samples, _ = collect_samples(layout.benchmark, tmp_path)
    for target in layout.benchmark.targets:
        np.testing.assert_array_equal(samples[target], rows[target])


def test_a_missing_label_file(layout, tmp_path):
    layout.make(tmp_path)
    for path in layout.label_files(tmp_path):
        if path.name.startswith("SD"):  # the SD over raters is optional
            continue
        missing = list(tmp_path.glob(f"*{path.suffix}")) if layout.several else [path]
        for file in missing:
            file.rename(file.with_name(f".{file.name}"))
        refused(layout, tmp_path, tmp_path, path.suffix if layout.several else path.name)
        for file in missing:
            file.with_name(f".{file.name}").rename(file)
    collect_samples(layout.benchmark, tmp_path)


def test_an_ambiguous_label_file(layout, tmp_path):
    layout.make(tmp_path)
    (tmp_path / "copy").mkdir()
    for path in layout.label_files(tmp_path):
        shutil.copy(path, tmp_path / "copy")
        if layout.several:
            _, card = collect_samples(layout.benchmark, tmp_path)
            assert card["images"] == 8
            assert [defect["what"] for defect in card["defects"]] == ["label rows repeated with equal values"]
        else:
            refused(layout, tmp_path, path.name, "keep one")
        (tmp_path / "copy" / path.name).unlink()


@pytest.mark.parametrize("damage", ["empty", "text", "utf-16", "half", "zeros"])
def test_a_damaged_label_file(layout, damage, tmp_path):
    layout.make(tmp_path)
    for path in layout.label_files(tmp_path):
        whole = path.read_bytes()
        if damage == "half" and path.suffix in (".csv", ".txt"):
            continue  # half a text file may be a good one; its images then lack label rows
        path.write_bytes(
            {
                "empty": b"",
                "text": b"<html>Quota exceeded</html>\n" * 3,
                "utf-16": "name,prompt\n木,1\n".encode("utf-16"),
                "half": whole[: len(whole) // 2],
                "zeros": bytes(512),
            }[damage]
        )
        refused(layout, tmp_path, path)
        path.write_bytes(whole)


@pytest.mark.parametrize("value", ["", "good", "nan", "inf"])
def test_mos_that_is_no_number(layout, value, tmp_path):
    for target in layout.benchmark.targets:
        root = tmp_path / target
        root.mkdir()
        rows = layout.rows().astype({target: object})
        rows.loc[5, target] = value
        message = refused(layout, layout.make(root, rows), "data row")
        assert "is empty" in message or f"is {value!r}" in message or "is 'nan'" in message


def test_mos_beyond_the_scale(layout, tmp_path):
    for target, (low, high) in layout.benchmark.ranges.items():
        for value in (low - 0.5, high * 1.02):
            root = tmp_path / f"{target} {value}"
            root.mkdir()
            rows = layout.rows()
            rows.loc[5, target] = value
            refused(layout, layout.make(root, rows), target, f"{value:g} of {layout.names[5]}", "outside")


def test_mos_of_another_scale(layout, tmp_path):
    """Labels circulate divided by 20: below a scale that begins above 0, about 0 on others."""
    for target, (low, high) in layout.benchmark.ranges.items():
        root = tmp_path / target
        root.mkdir()
        rows = layout.rows()
        rows[target] /= 20
        said = (target, "outside") if low > 0 else (f"no {target} MOS is above", "give the labels on that scale")
        refused(layout, layout.make(root, rows), *said, f"{low:g} to {high:g}")


def test_an_empty_prompt(layout, tmp_path):
    if not layout.prompted:
        pytest.skip("there are no prompts")
    rows = layout.rows()
    rows.loc[5, "prompt"] = ""
    refused(layout, layout.make(tmp_path, rows), "is empty in data row")


def test_white_space_around_prompts_is_counted(layout, tmp_path):
    if not layout.prompted:
        pytest.skip("there are no prompts")
    rows = layout.rows()
    rows.loc[5, "prompt"] = " a boat "
    samples, card = collect_samples(layout.benchmark, layout.make(tmp_path, rows))
    assert samples["prompt"][5] == "a boat"
    defect = next(d for d in card["defects"] if "white space" in d["what"])
    assert (defect["count"], defect["examples"]) == (1, (" a boat ",))


def test_a_repeated_row_is_kept_once(layout, tmp_path):
    if not layout.named:
        pytest.skip("rows are numbered")
    rows = layout.rows()
    layout.make(tmp_path, pd.concat([rows, rows[5:6]], ignore_index=True))
    samples, card = collect_samples(layout.benchmark, tmp_path)
    assert list(samples["image"]) == list(layout.names)
    if layout.kind != "json":  # whose records are repeated by design
        assert [(d["what"], d["count"]) for d in card["defects"]] == [("label rows repeated with equal values", 1)]


def test_rows_that_contradict_each_other_are_both_excluded(layout, tmp_path):
    if not layout.named:
        pytest.skip("rows are numbered")
    rows = layout.rows()
    target = layout.benchmark.targets[0]
    contrary = rows[5:6].assign(**{target: rows[target][5] * 1.01})
    layout.make(tmp_path, pd.concat([rows, contrary], ignore_index=True))
    samples, card = collect_samples(layout.benchmark, tmp_path)
    assert list(samples["image"]) == [name for name in layout.names if name != layout.names[5]]
    assert card["rows_read"] == 9
    # One defect and no other: the image has label rows, though none that can be used.
    assert [(d["what"], d["count"]) for d in card["defects"]] == [
        ("label rows of one image name with different values", 2)
    ]


def test_a_missing_image(layout, tmp_path):
    layout.make(tmp_path)
    (tmp_path / "images" / layout.names[5]).unlink()
    refused(layout, tmp_path, "1 of 8 labelled images not found", layout.names[5])
    (tmp_path / "images" / layout.names[5]).symlink_to(tmp_path / "gone")
    refused(layout, tmp_path, "1 of 8 labelled images not found", layout.names[5])


@pytest.mark.parametrize("content, said", [(b"", "empty"), (b"<html>", "not a readable image"), (b"\xff\xd8\xff", "")])
def test_an_image_that_is_none(layout, content, said, tmp_path):
    layout.make(tmp_path)
    (tmp_path / "images" / layout.names[5]).write_bytes(content)
    refused(layout, tmp_path, layout.names[5], said, "replace it")


def test_an_image_without_a_label_row_is_counted(layout, tmp_path):
    layout.make(tmp_path)
    write_image(tmp_path / "more" / "extra.png")
    samples, card = collect_samples(layout.benchmark, tmp_path)
    assert len(samples) == 8
    counted = [(d["what"], d["count"], d["examples"]) for d in card["defects"]]
    assert ("images without a label row", 1, ("extra.png",)) in counted


def test_two_images_of_one_name(layout, tmp_path):
    layout.make(tmp_path)
    name = layout.names[5]
    shutil.copytree(tmp_path / "images", tmp_path / "again")
    samples, _ = collect_samples(layout.benchmark, tmp_path)
    assert len(samples) == 8 and set(samples["path"].str.split("/").str[0]) == {"again"}
    write_image(tmp_path / "again" / name, 77)
    refused(layout, tmp_path, f"different images share the name {name}", f"again/{name}, images/{name}")


def test_no_rows(layout, tmp_path):
    rows = layout.rows()[:0]
    if layout.benchmark_name == "aigciqa2023":
        pytest.skip("without rows there is no index sheet to write")
    layout.write(tmp_path, rows)
    refused(layout, tmp_path)


def test_equal_files_give_equal_samples_in_all_layouts(tmp_path):
    """A benchmark's samples do not depend on the layout in which its labels came."""
    seen = {}
    for name, layout in LAYOUTS.items():
        root = tmp_path / name
        root.mkdir()
        samples, _ = collect_samples(layout.benchmark, layout.make(root))
        samples = samples[[column for column in samples if not column.endswith(("_sd", "image_prompt"))]]
        first = seen.setdefault(layout.benchmark_name, samples)
        pd.testing.assert_frame_equal(samples, first, rtol=1e-14)
