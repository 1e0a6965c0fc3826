import numpy as np
import pandas as pd
import pytest
from layouts import LAYOUTS, write_image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.agiqa_1k import BENCHMARK
from mstclipiqa.data.samples import collect_samples

LAYOUT = LAYOUTS["agiqa-1k"]


def test_real_labels(real_labels):
    """Facts computed from the authors' repository lcysyzxdxc/AGIQA-1k-Database at commit 7a8d9f2."""
    real = real_labels("agiqa-1k")
    assert (real.rows, len(real.usable), real.prompts, real.groups) == (1080, 1078, 720, 720)
    assert real.generators == {"deepai": 720, "dreamStudio": 360}
    assert real.mos == {"quality": (0.0, 5.0, 2.50089)}
    assert real.images_per_prompt == {1: 361, 2: 358, 3: 1}
    assert real.defects == {
        "malformed image names in AIGC_all.csv": 1,
        "image names that only one of AIGC_MOS_Zscore.xlsx and AIGC_all.csv has": 3,
        "label rows of one image name with different values": 2,
    }
    examples = [defect.examples for defect in real.labels.defects]
    assert examples[0] == ("dreamStudio_8_9_1_.jpg",)
    assert examples[1] == ("dreamStudio_8_5_0_0.jpg", "dreamStudio_8_9_1_.jpg", "dreamStudio_8_9_1_1.jpg")
    twice = real.frame[real.frame["image"] == "dreamStudio_8_9_1_1.jpg"]
    assert list(twice["quality"].round(6)) == [0.441416, 2.084116]
    assert "dreamStudio_8_9_1_1.jpg" not in set(real.usable["image"])
    assert list(real.usable["row"][:3]) == [0, 1, 2]  # rows keep their number in the file


def test_the_raw_scores_are_never_the_labels(tmp_path):
    rows = LAYOUT.rows()
    pd.DataFrame({"Image": rows["image"], "Score": 5 - rows["quality"]}).to_csv(tmp_path / "AIGC_all.csv")
    samples, card = collect_samples(LAYOUT.benchmark, LAYOUT.make(tmp_path))
    np.testing.assert_allclose(samples["quality"], rows["quality"])
    assert set(card["label_files"]) == {"AIGC_MOS_Zscore.xlsx", "AIGC_all.csv"}
    assert card["defects"] == []


def test_names_of_the_raw_scores_are_compared(tmp_path):
    names = [*LAYOUT.names[:7], "dreamStudio_8_9_3_.jpg"]
    pd.DataFrame({"Image": names, "Score": 1.5}).to_csv(tmp_path / "AIGC_all.csv", index=False)
    _, card = collect_samples(LAYOUT.benchmark, LAYOUT.make(tmp_path))
    assert [(defect["count"], defect["examples"]) for defect in card["defects"]] == [
        (1, ("dreamStudio_8_9_3_.jpg",)),
        (2, ("dreamStudio_8_9_3_.jpg", LAYOUT.names[7])),
    ]


def test_an_excluded_image_is_not_called_unlabelled(tmp_path):
    rows = LAYOUT.rows()
    LAYOUT.make(tmp_path, pd.concat([rows, rows[7:].assign(quality=1.0)], ignore_index=True))
    write_image(tmp_path / "images" / "dreamStudio_8_5_0_0.jpg")
    _, card = collect_samples(LAYOUT.benchmark, tmp_path)
    counted = {defect["what"]: defect["examples"] for defect in card["defects"]}
    assert counted["images without a label row"] == ("dreamStudio_8_5_0_0.jpg",)


def test_a_sheet_without_mos(tmp_path):
    LAYOUT.write(tmp_path, LAYOUT.rows())
    path = tmp_path / "AIGC_MOS_Zscore.xlsx"
    pd.read_excel(path).rename(columns={"MOS": "Score"}).to_excel(path, index=False)
    with pytest.raises(InputError, match="missing column MOS; found 'Image', 'Prompt', 'Score'$"):
        BENCHMARK.read(tmp_path)
