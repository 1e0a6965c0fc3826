import pandas as pd
import pytest
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.agiqa_3k import BENCHMARK
from mstclipiqa.data.samples import collect_samples

LAYOUT = LAYOUTS["agiqa-3k"]


def test_real_labels(real_labels):
    """Facts computed from the authors' repository lcysyzxdxc/AGIQA-3k-Database at commit 30ded2b."""
    real = real_labels("agiqa-3k")
    assert (real.rows, len(real.usable), real.prompts, real.groups) == (2982, 2982, 300, 300)
    assert real.generators == {
        "AttnGAN": 300,
        "DALLE2": 290,
        "GLIDE": 300,
        "Midjourney": 592,
        "SD1.5": 1200,
        "SDXL2.2": 300,
    }
    assert real.mos == {"quality": (0.0, 4.48874, 2.50042), "correspondence": (0.02146, 4.2862, 2.5)}
    assert real.images_per_prompt == {10: 287, 9: 9, 8: 3, 7: 1}
    assert real.defects == {}
    # The SD over raters: measured here, no outside figure.
    assert (real.frame["quality_sd"].min(), real.frame["quality_sd"].max()) == (0.108312025, 1.452292988)
    assert (real.frame["correspondence_sd"].min(), real.frame["correspondence_sd"].max()) == (
        0.108741359,
        1.93353151,
    )


def test_real_images(shared_data):
    root = shared_data / "agiqa-3k"
    if not (root / "images").is_dir():
        pytest.skip("no images beside the labels")
    samples, card = collect_samples(BENCHMARK, root)
    assert len(samples) == samples["image"].nunique() == 2982
    assert samples["prompt"].nunique() == samples["prompt_group"].nunique() == 300
    assert set(samples["width"]) == set(samples["height"]) == {512}
    assert samples["authenticity"].isna().all() and samples["quality"].notna().all()
    # That 18 of 3,000 images were never made is no defect. That 19 pictures stand under two or three names
    # was found here: eight Midjourney pairs, and one plain black picture for three prompts of two generators.
    assert [defect["count"] for defect in card["defects"]] == [19]
    twins = samples[samples["sha256"].duplicated(keep=False)].groupby("sha256")
    assert sorted(twins.size()) == [2] * 8 + [3]
    assert (twins["prompt"].nunique() == twins.size()).all()
    black = samples.set_index("image").loc[["DALLE2_normal_253.jpg", "glide_normal_101.jpg", "glide_normal_263.jpg"]]
    assert black["sha256"].nunique() == 1 and (black["quality"] == 0).all()
    # The label file is the published one, byte for byte.
    assert card["label_files"] == {"data.csv": "4b1945c2137e196d9378b9cf4a114de2267b97a4724f0743e260287eb2ddd6c0"}


def test_deviations_are_read(tmp_path):
    samples, card = collect_samples(BENCHMARK, LAYOUT.make(tmp_path))
    assert (samples[["quality_sd", "correspondence_sd"]] == 0.5).all(axis=None)
    assert card["columns"]["correspondence"] == "mos_align of data.csv, 0-5 as published; SD std_align"


@pytest.mark.parametrize("column", ["name", "prompt", "mos_quality", "std_quality", "mos_align", "std_align"])
def test_a_missing_column(column, tmp_path):
    LAYOUT.write(tmp_path, LAYOUT.rows())
    path = tmp_path / "data.csv"
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(InputError, match=f"data.csv: missing column {column}; found "):
        BENCHMARK.read(tmp_path)
