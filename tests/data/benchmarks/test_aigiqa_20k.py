import pandas as pd
import pytest
from layouts import LAYOUTS, write_image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.aigiqa_20k import BENCHMARK
from mstclipiqa.data.samples import collect_samples

LAYOUT = LAYOUTS["aigiqa-20k headerless"]


def test_real_labels(real_labels):
    """Facts computed from pf0607/IPCE at commit 10642fc (info_train.csv without a header, info_val.csv)."""
    real = real_labels("aigiqa-20k")
    assert (real.rows, len(real.usable), real.prompts) == (14000, 14000, 13624)
    big = ["Dream", "Pixart", "Playground", "SD1.4", "SD1.5", "SDXL", "SSD1B"]
    middle = ["LCM_Pixart", "LCM_SD1.5", "LCM_SDXL", "SDXL_Turbo"]
    small = ["DALLE2", "DALLE3", "IF", "MJ"]
    # 70 per cent of 2,000, 1,000 and 500 images.
    assert real.generators == {
        **dict.fromkeys(big, 1400),
        **dict.fromkeys(middle, 700),
        **dict.fromkeys(small, 350),
    }
    assert real.mos == {"quality": (0.12229, 4.98136, 3.86385)}
    assert real.defects == {
        "rows of info_val.csv, a part without public MOS": 2000,
        "prompts of info_val.csv that info_train.csv has too": 82,
    }
    assert len(real.labels.withheld) == 2000
    # Measured here, no outside figure.
    assert real.groups == 13624
    assert real.images_per_prompt == {1: 13289, 2: 308, 3: 18, 4: 4, 5: 5}
    assert real.frame["prompt"].str.split().str.len().max() == 169


@pytest.mark.parametrize("header", [False, ["name", "prompt"]])
def test_parts_without_mos(header, tmp_path):
    """Counted once as rows; their images are no surprise, whether present or not."""
    LAYOUT.make(tmp_path)
    for name, count in {"info_val.csv": 2, "info_test.csv": 3}.items():
        images = [f"{name[:-4]}_{i:04d}.png" for i in range(count)]
        prompts = ["a corgi", "a ship, at sea", "null"][:count]
        pd.DataFrame({"name": images, "prompt": prompts}).to_csv(tmp_path / name, index=False, header=header)
        write_image(tmp_path / "images" / images[0])
    write_image(tmp_path / "images" / "stray_0000.png")
    samples, card = collect_samples(LAYOUT.benchmark, tmp_path)
    assert list(samples["image"]) == list(LAYOUT.names)
    assert {defect["what"]: defect["count"] for defect in card["defects"]} == {
        "rows of info_val.csv, a part without public MOS": 2,
        "prompts of info_val.csv that info_train.csv has too": 1,
        "rows of info_test.csv, a part without public MOS": 3,
        "prompts of info_test.csv that info_train.csv has too": 2,
        "images without a label row": 1,
    }
    assert set(card["label_files"]) == {"info_train.csv", "info_val.csv", "info_test.csv"}


def test_one_overall_score_is_said_to_be_one(tmp_path):
    _, card = collect_samples(BENCHMARK, LAYOUT.make(tmp_path))
    assert "one overall score" in card["columns"]["quality"]


def test_columns_that_do_not_fit(tmp_path):
    path = tmp_path / "info_train.csv"
    path.write_text("SD1.4_0000.png,a boat\n")
    with pytest.raises(InputError, match="2 columns; expected 3: name, prompt, mos"):
        BENCHMARK.read(tmp_path)
    path.write_text("SD1.4_0000.png,a boat,3.5\nSD1.4_0001.png,a boat, unquoted,3.5\n")
    with pytest.raises(InputError, match="info_train.csv: cannot be read .*Expected 3 fields in line 2, saw 4"):
        BENCHMARK.read(tmp_path)
    path.write_text("name,prompt,score\nSD1.4_0000.png,a boat,3.5\n")
    with pytest.raises(InputError, match="missing column mos"):
        BENCHMARK.read(tmp_path)
    path.write_bytes("SD1.4_0000.png,un café,3.5\n".encode("latin-1"))
    with pytest.raises(InputError, match="info_train.csv: cannot be read .UnicodeDecodeError"):
        BENCHMARK.read(tmp_path)
