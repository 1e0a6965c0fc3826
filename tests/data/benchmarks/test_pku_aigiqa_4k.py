import pandas as pd
import pytest
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.pku_aigiqa_4k import BENCHMARK
from mstclipiqa.data.samples import collect_samples

OFFICIAL = LAYOUTS["pku-aigiqa-4k official"]
PARTS = LAYOUTS["pku-aigiqa-4k parts"]


def test_real_labels(real_labels):
    """Copies of the two parts: TanSongBai/AMFF-Net at 278b033, Buka-Xing/CMIM-AIGIQA at 89c4168."""
    real = real_labels("pku-aigiqa-4k")
    assert (real.rows, len(real.usable), real.frame["image"].nunique()) == (4000, 4000, 4000)
    assert real.generators == {"SD": 1600, "MJ": 1600, "DALLE": 800}
    assert real.defects == {}
    image_to_image, text_to_image = real.frame[:1600], real.frame[1600:]
    assert set(image_to_image["image"].str.len()) == {len("SD_000_00.jpg")}
    assert (text_to_image["image"].str.split("_").str[1].astype(int) >= 1000).all()
    assert image_to_image["generator"].value_counts().to_dict() == {"SD": 800, "MJ": 800}
    facts = {
        "quality": [0.6988, 4.618, 3.12725],
        "authenticity": [0.4411, 4.81, 2.68768],
        "correspondence": [0.676, 4.9844, 3.56394],
    }
    for target, (low, high, mean) in facts.items():
        mos = image_to_image[target]
        assert (mos.min(), mos.max(), round(mos.mean(), 5)) == (low, high, mean)


def test_the_official_sheet_names_image_prompts(tmp_path):
    samples, _ = collect_samples(OFFICIAL.benchmark, OFFICIAL.make(tmp_path))
    from_images = samples["image"].str.split("_").str[1].astype(int) < 1000
    assert 0 < from_images.sum() < len(samples)
    assert (samples["image_prompt"] == from_images.map({True: "000.jpg", False: ""})).all()


def test_copies_name_none(tmp_path):
    assert "image_prompt" not in collect_samples(PARTS.benchmark, PARTS.make(tmp_path))[0]


def test_real_labels_all_4000(real_labels):
    """Figures of the whole benchmark, and of its text-to-image part: measured here, no outside figure."""
    real = real_labels("pku-aigiqa-4k")
    assert real.mos == {
        "quality": (0.6988, 4.618, 3.13372),
        "authenticity": (0.4411, 4.81, 2.74479),
        "correspondence": (0.676, 4.9844, 3.61024),
    }
    assert real.frame[1600:][list(BENCHMARK.targets)].mean().round(5).to_list() == [3.13804, 2.78287, 3.64111]
    # Every text serves both parts, with 8 and 12 images; one text stands for two image prompts.
    assert (real.prompts, real.groups) == (199, 199)
    assert real.images_per_prompt == {20: 198, 40: 1}
    assert set(real.frame["prompt"][:1600]) == set(real.frame["prompt"][1600:])


def test_the_official_sheet_comes_first(tmp_path):
    PARTS.write(tmp_path, PARTS.rows())
    assert "t2i_*.csv" in BENCHMARK.read(tmp_path).columns["quality"]
    OFFICIAL.write(tmp_path, OFFICIAL.rows())
    labels = BENCHMARK.read(tmp_path)
    assert labels.columns["quality"] == "MOS_q of annotation.xlsx, 0-5 as published"
    assert labels.files == [tmp_path / "annotation.xlsx"]


def test_prompts_group_across_the_parts(tmp_path):
    rows = PARTS.rows()
    rows["prompt"] = [" A corgi", "A corgi", "a  Corgi", "a cat", "a corgi", "a corgi ", "a cat", "A Cat"]
    samples, card = collect_samples(BENCHMARK, PARTS.make(tmp_path, rows))
    assert list(samples["prompt_group"]) == ["a corgi"] * 3 + ["a cat"] + ["a corgi"] * 2 + ["a cat"] * 2
    assert (card["prompts"], card["prompt_groups"]) == (5, 2)


@pytest.mark.parametrize("column", ["Generated_image", "Text_prompt", "MOS_q", "MOS_a", "MOS_c"])
def test_a_missing_column(column, tmp_path):
    OFFICIAL.write(tmp_path, OFFICIAL.rows())
    path = tmp_path / "annotation.xlsx"
    pd.read_excel(path).drop(columns=column).to_excel(path, index=False)
    with pytest.raises(InputError, match=f"annotation.xlsx: missing column {column}"):
        BENCHMARK.read(tmp_path)


def test_a_part_with_too_few_columns_is_named(tmp_path):
    PARTS.write(tmp_path, PARTS.rows())
    (tmp_path / "i2i_part2.txt").write_text("All/SD_003_00.jpg\t1.0\t1.0\ta cat\n")
    with pytest.raises(InputError, match="i2i_part2.txt: 4 columns; expected 5: Generated_image, MOS_q"):
        BENCHMARK.read(tmp_path)
