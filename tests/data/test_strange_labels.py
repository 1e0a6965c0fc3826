"""Label files as they circulate, and as nobody should write them: read right, said loudly, or refused in one line."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts import LAYOUTS, write_image
from openpyxl import load_workbook

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.text import MOST_CHARACTERS, find_fault, printable
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK, Benchmark, Labels
from mstclipiqa.data.label_files import read_sheet
from mstclipiqa.data.samples import check_labels, collect_samples

OFFICIAL, CSV, JSON = (LAYOUTS[f"aigciqa2023 {kind}"] for kind in ("official", "csv", "json"))
PROMPTS = "AIGCIQA2023_Prompts.xlsx"


def refusal(benchmark: Benchmark, root: Path, *words: str) -> str:
    with pytest.raises(InputError) as error:
        collect_samples(benchmark, root)
    message = str(error.value)
    assert "\n" not in message and message.isprintable()
    assert [word for word in words if word not in message] == [], message
    return message


def whats(card: dict) -> dict[str, int]:
    return {defect["what"]: defect["count"] for defect in card["defects"]}


def rewrite(path: Path, change) -> None:
    sheet = pd.read_excel(path, header=None, dtype=str, keep_default_na=False)
    change(sheet).to_excel(path, index=False, header=False)


# Item 1: every prompt is used, and only once


def insert(row: int, *cells: str):
    return lambda sheet: pd.concat([sheet[:row], pd.DataFrame([cells]), sheet[row:]])


def test_prompts_with_a_header_row_are_not_shifted(tmp_path):
    expected, _ = collect_samples(OFFICIAL.benchmark, OFFICIAL.make(tmp_path))
    rewrite(tmp_path / PROMPTS, insert(0, "Style", "Object", "prompt"))
    samples, _ = collect_samples(OFFICIAL.benchmark, tmp_path)
    pd.testing.assert_frame_equal(samples, expected)


@pytest.mark.parametrize("row", [0, 3, 8])
def test_a_prompt_row_too_many_is_refused_wherever_it_is(row, tmp_path):
    rewrite(OFFICIAL.make(tmp_path) / PROMPTS, insert(row, "Style", "Object", "Text of the prompt"))
    refusal(
        OFFICIAL.benchmark, tmp_path, PROMPTS, "9 prompts, and ", "is of no image name of pic-index.xlsx", "take it out"
    )


def test_a_prompt_that_stands_twice_is_counted(tmp_path):
    _, card = collect_samples(OFFICIAL.benchmark, OFFICIAL.make(tmp_path))
    assert whats(card) == {f"rows of {PROMPTS} that have the same prompt": 2}


def test_an_image_that_the_index_names_twice_is_refused(tmp_path):
    for layout in (OFFICIAL, CSV, JSON):
        root = tmp_path / layout.kind
        root.mkdir()
        rewrite(layout.make(root) / "pic-index.xlsx", lambda sheet: pd.concat([sheet[:7], sheet[:1]]))
        refusal(layout.benchmark, root, "pic-index.xlsx: '000-1.png' of 'Controlnet' stands twice")


def test_prompts_that_are_shifted_in_the_csv_are_refused(tmp_path):
    """All models share the prompt of a number."""
    CSV.make(tmp_path)
    rewrite(tmp_path / "pic-index.xlsx", lambda sheet: pd.DataFrame({0: sheet[0], 1: number(sheet)}))
    table = pd.read_csv(tmp_path / "all_set.csv", dtype=str)
    table["image_name"] = number(table)
    table["prompt"] = np.tile(['"a"', '"b"'], 4)
    table.to_csv(tmp_path / "all_set.csv", index=False)
    collect_samples(CSV.benchmark, tmp_path)
    table["prompt"] = ['"prompt"', *table["prompt"][:3], *table["prompt"][4:]]
    table.to_csv(tmp_path / "all_set.csv", index=False)
    refusal(CSV.benchmark, tmp_path, "all_set.csv: the prompt of '000-2.png' in data row 3 is another than")


def number(table: pd.DataFrame) -> list[str]:
    """Two prompts, four images of each."""
    return [f"{row % 2:03d}-{row // 2 + 1}.png" for row in range(len(table))]


def test_the_copy_that_circulates_with_a_header_is_read_as_the_authors(shared_data, tmp_path):
    source = shared_data / "aigciqa2023"
    own = read_sheet(source / PROMPTS, ["challenge", "category", "prompt"], header=False)
    for name in ("pic-index.xlsx", PROMPTS):
        shutil.copy(source / name, tmp_path)
    for target in range(1, 4):
        from scipy.io import savemat

        savemat(tmp_path / f"mosz{target}.mat", {"MOSz": np.linspace(27, 74, 2400).reshape(-1, 1)})
    benchmark = BENCHMARKS["aigciqa2023"]
    expected = benchmark.read(tmp_path).frame
    assert list(expected["prompt"][:4]) == ["a corgi"] * 4 and set(expected["prompt"]) == set(own["prompt"])
    rewrite(tmp_path / PROMPTS, insert(0, "Style", "Object", "prompt"))
    pd.testing.assert_frame_equal(benchmark.read(tmp_path).frame, expected)


# Item 2: scales


@pytest.mark.parametrize("highest", [4.9, 5.0])
@pytest.mark.parametrize("divisor", [5, 20, 100])
def test_mos_of_another_scale_is_refused_also_at_the_boundary(divisor, highest, tmp_path):
    layout = LAYOUTS["agiqa-1k"]
    rows = layout.rows()
    rows.loc[3, "quality"] = highest
    rows["quality"] /= divisor
    refusal(layout.benchmark, layout.make(tmp_path, rows), f"no quality MOS is above {highest / divisor:g}", "scale")


def test_the_published_sheet_divided_by_five_is_refused(shared_data, tmp_path):
    """Its highest MOS is 5, which becomes 1.0 exactly."""
    path = tmp_path / "AIGC_MOS_Zscore.xlsx"
    sheet = pd.read_excel(shared_data / "agiqa-1k" / path.name)
    assert sheet["MOS"].max() == 5
    sheet.assign(MOS=sheet["MOS"] / 5).to_excel(path, index=False)
    benchmark = BENCHMARKS["agiqa-1k"]
    with pytest.raises(InputError, match="no quality MOS is above 1; the scale of AGIQA-1K is 0 to 5"):
        check_labels(benchmark, benchmark.read(tmp_path))


def test_an_sd_below_zero_is_refused(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    path = layout.make(tmp_path) / "data.csv"
    path.write_bytes(path.read_bytes().replace(b",0.5", b",-0.5", 1))
    refusal(layout.benchmark, tmp_path, "SD -0.5 of quality is below 0")


# Item 3: the published number of images


@pytest.mark.parametrize("name", ["agiqa-1k", "agiqa-3k", "aigciqa2023", "aigiqa-20k", "pku-aigiqa-4k"])
def test_every_benchmark_says_how_many_images_its_labels_name(name, shared_data):
    benchmark = BENCHMARKS[name]
    assert benchmark.images == len(check_labels(benchmark, benchmark.read(shared_data / name)))


def test_another_number_of_labels_is_said_loudly(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    _, card = collect_samples(replace(layout.benchmark, images=8), layout.make(tmp_path))
    assert card["defects"] == []
    _, card = collect_samples(BENCHMARKS["agiqa-3k"], tmp_path)
    assert card["defects"] == [
        {
            "what": "images with labels, where the published labels have 2,982",
            "count": 8,
            "rule": "used, BUT THESE ARE NOT THE PUBLISHED LABELS",
            "examples": (),
        }
    ]


@pytest.mark.parametrize("place", [".", "some/where"])
def test_drawn_labels_are_not_meant_to_be_the_published(place, tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    (layout.make(tmp_path) / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / SYNTHETIC_MARK).touch()
    _, card = collect_samples(BENCHMARKS["agiqa-3k"], tmp_path)
    assert card["synthetic"] and card["defects"] == []


def test_a_withheld_part_with_mos_is_not_called_as_published(tmp_path):
    layout = LAYOUTS["aigiqa-20k header"]
    layout.make(tmp_path)
    (tmp_path / "info_val.csv").write_text("name,prompt,mos\nDALLE2_0001.png,a boat,3.5\n")
    _, card = collect_samples(layout.benchmark, tmp_path)
    what = "rows of info_val.csv, a part without public MOS: the columns mos of this copy were never published"
    assert whats(card) == {what: 1}
    (tmp_path / "info_val.csv").write_text("DALLE2_0001.png,a boat,3.5\n")
    refusal(layout.benchmark, tmp_path, "info_val.csv: 3 columns; expected 2: name, prompt")


# What the reader excludes is said of


def test_excluded_images_are_in_the_card_with_the_reason(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    rows = layout.rows()
    layout.make(tmp_path, pd.concat([rows, rows[5:6].assign(quality=1.25)]))
    _, card = collect_samples(layout.benchmark, tmp_path)
    reason = "label rows of one image name with different values, and nothing says which is right"
    assert card["excluded"] == {layout.names[5]: reason}
    json.dumps(card)


# Item 21: names, prompts and generators that a terminal or a file cannot take

UNFIT = {
    "an ANSI escape": ("a\x1b[31mb", "holds a control character", r"'a\x1b[31mb'"),
    "a bell": ("a\x07b", "holds a control character", r"'a\x07b'"),
    "a C1 escape": ("a\x9b31mb", "holds a control character", r"'a\x9b31mb'"),
    "NUL": ("a\0b", "holds a control character", r"'a\x00b'"),
    "half a surrogate pair": ("a\ud83db", "is not UTF-8", r"'a\ud83db'"),
    "a byte that is not UTF-8": (os.fsdecode(b"a\xffb"), "is not UTF-8", r"'a\udcffb'"),
}


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("column", ["image", "prompt", "generator"])
def test_text_that_no_terminal_takes_is_refused_at_the_read(kind, column, tmp_path):
    text, fault, shown = UNFIT[kind]
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "prompt": "a boat", "generator": "G", "quality": 3.0})
    frame[column] = pd.Series(["c", text], dtype=object)
    labels = Labels(frame, [tmp_path / "labels.csv"], {})
    with pytest.raises(InputError) as error:
        check_labels(Benchmark("toy", "Toy", "arXiv:0", "CC0", {"quality": (1, 5)}, lambda root: labels), labels)
    assert f"{column} {shown} in data row 2 {fault}; correct it" in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("kind", UNFIT)
@pytest.mark.parametrize("suffix", [".json", ".csv", ".xlsx", ".txt"])
def test_cells_are_refused_where_they_are_read(kind, suffix, tmp_path):
    text, fault, shown = UNFIT[kind]
    path = tmp_path / f"labels{suffix}"
    surrogate = any(0xD800 <= ord(character) < 0xE000 for character in text)
    if suffix == ".json":
        path.write_text(json.dumps([{"name": "a.png"}, {"name": text}]))
    elif surrogate or (suffix == ".xlsx" and "\0" in text):
        pytest.skip("this format has no such text")
    elif suffix == ".xlsx":
        pd.DataFrame({"name": ["a.png", "b.png"]}).to_excel(path, index=False)
        book = load_workbook(path)
        book.active["A3"] = "".join(f"_x{ord(c):04X}_" if not c.isprintable() else c for c in text)
        book.save(path)
        if read_sheet(path, ["name"])["name"][1].startswith("a_x"):
            pytest.skip("openpyxl leaves escapes of these as they are")
    else:
        path.write_text(f"name\na.png\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_sheet(path, ["name"])
    assert str(error.value) == f"{path}: name {shown} in data row 2 {fault} (1 such rows); correct it"


def test_a_prompt_may_have_lines_and_a_name_may_not(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    rows = layout.rows()
    rows.loc[5, "prompt"] = "first line\nsecond\tline"
    samples, _ = collect_samples(layout.benchmark, layout.make(tmp_path, rows))
    assert samples["prompt"][5] == "first line\nsecond\tline"
    rows.loc[5, "image"] = "a\nb.jpg"
    layout.write(tmp_path, rows)
    refusal(layout.benchmark, tmp_path, r"image 'a\nb.jpg' in data row 6 holds a tab or a line end")


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_paths_that_are_not_utf_8(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    layout.make(tmp_path)
    spare = tmp_path / os.fsdecode(b"caf\xe9.png")
    write_image(spare)
    _, card = collect_samples(layout.benchmark, tmp_path)
    assert [defect["examples"] for defect in card["defects"]] == [(r"caf\udce9.png",)]
    json.dumps(card, ensure_ascii=False).encode()
    spare.unlink()
    os.rename(tmp_path / "images", tmp_path / os.fsdecode(b"im\xe9ges"))
    refusal(layout.benchmark, tmp_path, r"the path 'im\udce9ges/AttnGAN_normal_000.jpg' is not UTF-8; rename it")
    os.rename(tmp_path / os.fsdecode(b"im\xe9ges"), tmp_path / "images")
    (tmp_path / "\x1b[31m").mkdir()
    os.rename(tmp_path / "data.csv", tmp_path / "\x1b[31m" / "data.csv")
    refusal(layout.benchmark, tmp_path, r"the path '\x1b[31m/data.csv' holds a control character; rename it")


# Item 24: what is too long


def test_a_prompt_that_tokenises_for_a_minute_is_refused(tmp_path):
    layout = LAYOUTS["agiqa-3k"]
    rows = layout.rows()
    rows.loc[5, "prompt"] = "a" * 40_000
    message = refusal(
        layout.benchmark, layout.make(tmp_path, rows), "data row 6 has 40,000 characters, more than 4,000"
    )
    assert len(message) < 500
    rows.loc[5, "prompt"] = "a" * MOST_CHARACTERS
    layout.write(tmp_path, rows)
    assert len(collect_samples(layout.benchmark, tmp_path)[0]) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a.png": 1}', 'is no list of records; give it as [{"name": ...}, ...]'),
        (
            '{"a.png": {"name": "a"}, "a.png": {"name": "b"}}',
            "cannot be read (ValueError: the key 'a.png' stands twice)",
        ),
        ('[{"name": "a", "name": "b"}]', "cannot be read (ValueError: the key 'name' stands twice)"),
        ('["a.png"]', "is no list of records"),
        ('[{"name": ["a.png"]}]', "name of record 1 is a list or an object; give text or a number"),
        ('[{"name": null}]', "name is empty in data row 1"),
        ("[{}]", "missing column name; found "),
        ("1" * 5000, "cannot be read (ValueError: Exceeds the limit"),
    ],
)
def test_json_of_another_shape(text, said, tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_sheet(path, ["name"])
    assert str(error.value).startswith(f"{path}: {said}")


def test_cells_far_out_without_a_value_are_no_columns(tmp_path):
    """A row that was formatted to its end: some programs write its cells."""
    path = tmp_path / "labels.xlsx"
    pd.DataFrame({"name": ["a.png"]}).to_excel(path, index=False)
    book = load_workbook(path)
    for column in range(1, 16_385):
        book.active.cell(1, column).number_format = "0.00"
    book.save(path)
    assert list(read_sheet(path, ["name"])["name"]) == ["a.png"]


def test_a_file_that_may_not_be_read_is_not_to_be_replaced(tmp_path, monkeypatch):
    path = tmp_path / "labels.csv"
    path.write_text("name\na\n")

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(InputError, match="labels.csv: may not be read; give yourself the right to$"):
        read_sheet(path, ["name"])


# How text is shown


def test_printable():
    for plain in ("a corgi", "木, 'x'", "naïve café\u00a0«»", "👩‍🚀"):
        assert printable(plain) == plain and find_fault(plain) is None
    for text, fault, shown in UNFIT.values():
        assert printable(text) == shown.strip("'") and find_fault(text) == fault
        printable(text).encode()
    assert printable("a\nb") == r"a\nb" and find_fault("a\nb") is None and find_fault("a\nb", one_line=True)
