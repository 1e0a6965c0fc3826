import json
import shutil

import numpy as np
import pandas as pd
import pytest
from layouts import LAYOUTS
from scipy.io import savemat

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.aigciqa2023 import BENCHMARK
from mstclipiqa.data.samples import collect_samples

OFFICIAL = LAYOUTS["aigciqa2023 official"]
JSON = LAYOUTS["aigciqa2023 json"]
CSV = LAYOUTS["aigciqa2023 csv"]


def refused(root, *said):
    with pytest.raises(InputError) as caught:
        BENCHMARK.read(root)
    for text in said:
        assert text in str(caught.value)


def test_real_labels(real_labels):
    """Facts computed from wangjiarui153/AIGCIQA2023 at 9c8486a and pf0607/IPCE at 10642fc."""
    real = real_labels("aigciqa2023")
    assert (real.rows, len(real.usable), real.prompts, real.groups) == (2400, 2400, 100, 100)
    models = ["Controlnet", "DALLE", "Glide", "Lafite", "stable-diffusion", "Unidiffuser"]
    assert real.generators == dict.fromkeys(models, 400)
    # The facts are written to six digits, hence one less behind the point.
    assert {target: tuple(round(value, 4) for value in mos) for target, mos in real.mos.items()} == {
        "quality": (26.6273, 72.1104, 49.9227),
        "authenticity": (28.4179, 73.7191, 49.7669),
        "correspondence": (27.6926, 72.3931, 49.8679),
    }
    assert real.images_per_prompt == {24: 100}
    assert real.defects == {
        "label rows of all_set.csv whose prompt stands in literal quotes": 2400,
        "prompts with white space at an edge": 2,
    }
    assert real.columns["quality"] == "mosz1 of all_set.csv, 0-5, times 20"


def test_the_official_files_with_the_real_sheets(shared_data, tmp_path, real_labels):
    """The two real sheets, joined by MATLAB files made of the CSV's MOS, give what the CSV gives."""
    source = shared_data / "aigciqa2023"
    for name in ("pic-index.xlsx", "AIGCIQA2023_Prompts.xlsx"):
        shutil.copy(source / name, tmp_path)
    expected = real_labels("aigciqa2023").frame
    for i, target in enumerate(BENCHMARK.targets, start=1):
        savemat(tmp_path / f"mosz{i}.mat", {"MOSz": expected[[target]].to_numpy()})
    labels = BENCHMARK.read(tmp_path)
    pd.testing.assert_frame_equal(labels.frame, expected, check_dtype=False)


def test_layouts_are_tried_in_order(tmp_path):
    for layout, source in ((CSV, "all_set.csv"), (JSON, "AIGIQA2023.json"), (OFFICIAL, "mosz1.mat")):
        layout.write(tmp_path, layout.rows())
        assert f" of {source}" in BENCHMARK.read(tmp_path).columns["quality"]


def test_deviations_are_read_where_present(tmp_path):
    samples, _ = collect_samples(BENCHMARK, OFFICIAL.make(tmp_path))
    deviations = ["quality_sd", "authenticity_sd", "correspondence_sd"]
    assert samples[deviations].drop_duplicates().to_numpy().tolist() == [[11.0, 12.0, 13.0]]
    (tmp_path / "SD2.mat").unlink()
    samples, card = collect_samples(BENCHMARK, tmp_path)
    assert [column for column in samples if column.endswith("_sd")] == ["quality_sd", "correspondence_sd"]
    assert "SD" not in card["columns"]["authenticity"] and "SD1.mat" in card["columns"]["quality"]


@pytest.mark.parametrize("name, key", [("mosz2.mat", "MOSz"), ("SD3.mat", "SD")])
def test_a_matlab_file_that_does_not_fit(name, key, tmp_path):
    OFFICIAL.write(tmp_path, OFFICIAL.rows())
    values = np.full((8, 1), 40.0)
    savemat(tmp_path / name, {key: values[:7]})
    refused(tmp_path, name, "7 values, but pic-index.xlsx has 8 rows")
    savemat(tmp_path / name, {"scores": values})
    refused(tmp_path, name, f"no variable {key}, found scores")
    savemat(tmp_path / name, {key: np.array([["good"]] * 8, dtype=object)})
    refused(tmp_path, name, "in data row 1 (8 such rows)")
    savemat(tmp_path / name, {key: values.T})  # a row instead of a column is no other value
    BENCHMARK.read(tmp_path)


def test_sheets_that_do_not_fit(tmp_path):
    OFFICIAL.write(tmp_path, OFFICIAL.rows())
    path = tmp_path / "AIGCIQA2023_Prompts.xlsx"
    sheet = pd.read_excel(path, header=None, keep_default_na=False)
    sheet[:7].to_excel(path, index=False, header=False)
    refused(tmp_path, "AIGCIQA2023_Prompts.xlsx: 7 prompts, and none for image name '007-1.png'")
    sheet[[0, 2]].to_excel(path, index=False, header=False)
    refused(tmp_path, "2 columns; expected 3: challenge, category, prompt")


@pytest.mark.parametrize("img", ["007-1.png", "7.jpg", "x.png", 7, "12345678901234567890.png"])
def test_json_names_that_are_no_number(img, tmp_path):
    JSON.write(tmp_path, JSON.rows())
    path = tmp_path / "AIGIQA2023.json"
    records = json.loads(path.read_text())
    records[5]["img"] = img
    path.write_text(json.dumps(records))
    refused(tmp_path, f"{str(img)!r} is not <number>.png")


def test_json_names_with_folders(tmp_path):
    JSON.write(tmp_path, JSON.rows())
    path = tmp_path / "AIGIQA2023.json"
    records = json.loads(path.read_text())
    for i, record in enumerate(records):
        record["img"] = ("allimg/", "Image\\allimg\\", "")[i % 3] + record["img"]
    path.write_text(json.dumps(records))
    assert list(BENCHMARK.read(tmp_path).frame["image"]) == [f"{i}.png" for i in range(8)]


@pytest.mark.parametrize("document", [{}, [], 3, {"a": 1}, [1, 2], [{"img": "0.png"}], None])
def test_json_that_is_no_list_of_records(document, tmp_path):
    JSON.write(tmp_path, JSON.rows())
    (tmp_path / "AIGIQA2023.json").write_text(json.dumps(document))
    refused(tmp_path, "AIGIQA2023.json: ")


def test_json_that_lacks_an_image(tmp_path):
    JSON.write(tmp_path, JSON.rows())
    path = tmp_path / "AIGIQA2023.json"
    records = [record for record in json.loads(path.read_text()) if record["img"] != "3.png"]
    path.write_text(json.dumps(records))
    refused(tmp_path, "7 images up to 7.png, but pic-index.xlsx has 8 rows")


def test_csv_rows_that_are_not_those_of_the_index(tmp_path):
    """Row i is i.png: a row taken out would give every later image its neighbour's labels."""
    CSV.write(tmp_path, CSV.rows())
    path = tmp_path / "all_set.csv"
    sheet = pd.read_csv(path, keep_default_na=False)
    for changed in (sheet.drop(index=3), sheet[::-1], sheet.replace("Lafite", "DALLE")):
        changed.to_csv(path, index=False)
        refused(tmp_path, "all_set.csv: rows are not those of pic-index.xlsx")


def test_csv_quotes_are_counted(tmp_path):
    _, card = collect_samples(CSV.benchmark, CSV.make(tmp_path))
    (defect,) = card["defects"]
    assert defect["count"] == 8 and defect["rule"] == "quotes removed"
