"""TIFA160: records keyed by image."""

import json

import pytest
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.tifa160 import read

#: As published, github.com/Yushi-Hu/tifa at commit d20b200.
PUBLISHED = {
    "partiprompt_753_mini_dalle": (5, 5), "partiprompt_753_stable_diffusion_v1_1": (5, 5),
    "partiprompt_753_stable_diffusion_v1_5": (5, 5), "partiprompt_753_stable_diffusion_v2_1": (5, 5),
    "partiprompt_753_vq_diffusion": (2, 3),
}  # fmt: skip


def test_records_as_published(tmp_path):
    records = {
        key: {
            "text_id": "partiprompt_753", "image_path": f"{key}.jpg", "text": "an aerial photo of a baseball stadium",
            "human_scores": list(scores), "human_avg": sum(scores) / 2, "clipscore_vitb32": 33.5,
        }
        for key, scores in PUBLISHED.items()
    }  # fmt: skip
    (tmp_path / "human_annotations_with_scores.json").write_text(json.dumps(records))
    frame = read(tmp_path).frame
    assert list(frame["correspondence"]) == [5, 5, 5, 5, 2.5] and frame["prompt"].nunique() == 1
    assert list(frame["generator"]) == [key.removeprefix("partiprompt_753_") for key in PUBLISHED]
    assert list(frame["image"]) == [f"{key}.jpg" for key in PUBLISHED]


@pytest.mark.parametrize("change", [{"image_path": "other.jpg"}, {"text_id": "coco_1"}])
def test_a_record_that_contradicts_its_key_is_refused(change, tmp_path):
    path = LAYOUTS["tifa160"].make(tmp_path) / "human_annotations.json"
    records = json.loads(path.read_text())
    records["drawbench_8_mini_dalle"] |= change
    path.write_text(json.dumps(records))
    with pytest.raises(InputError, match="record 'drawbench_8_mini_dalle' has text"):
        read(tmp_path)
