"""GenAI-Bench: records keyed by prompt, several raters, and one base name in a folder for each generator."""

import json

import pytest
from layouts import write_image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.acquisition import inspect_folder
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.benchmarks.genai_bench import read
from mstclipiqa.data.samples import collect_samples

#: As published, github.com/linzhiqiu/t2v_metrics at commit 60ce07b.
MODELS = {
    "DALLE_3": [5, 5, 5], "SDXL_Turbo": [2, 4, 3], "DeepFloyd_I_XL_v1": [4, 3, 3], "Midjourney_6": [3, 3, 3],
    "SDXL_2_1": [3, 2, 2], "SDXL_Base": [3, 3, 2],
}  # fmt: skip
PROMPT = "A baker pulling freshly baked bread out of an oven in a bakery."


def write(root, **records):
    (root / "genai_image.json").write_text(json.dumps(records))


def test_records_as_published(tmp_path):
    write(tmp_path, **{"00001": {"id": "00001", "prompt": PROMPT, "prompt in Chinese": "木", "models": MODELS}})
    frame = read(tmp_path).frame
    assert list(frame["image"]) == [f"{model}/00001.jpeg" for model in MODELS]
    assert list(frame["generator"]) == list(MODELS) and set(frame["prompt"]) == {PROMPT}
    assert list(frame["correspondence"]) == pytest.approx([5, 3, 10 / 3, 3, 7 / 3, 8 / 3])


def test_images_of_one_name_are_told_by_their_folders(tmp_path):
    write(tmp_path, **{"00001": {"prompt": "a", "models": MODELS}, "00002": {"prompt": "b", "models": MODELS}})
    for shade, model in enumerate([*MODELS, "Other"]):
        for number in ("00001", "00002"):
            write_image(tmp_path / "unpacked" / model / f"{number}.jpeg", shade)
    state = inspect_folder(BENCHMARKS["genai-bench"], tmp_path, {"files": []})
    assert (state.labelled, state.images, state.complete) == (12, 12, True)
    samples, card = collect_samples(BENCHMARKS["genai-bench"], tmp_path)
    assert list(samples["path"]) == [f"unpacked/{model}/{n}.jpeg" for n in ("00001", "00002") for model in MODELS]
    (defect,) = [defect for defect in card["defects"] if defect["what"] == "images without a label row"]
    assert defect["examples"] == ("unpacked/Other/00001.jpeg", "unpacked/Other/00002.jpeg")
    (tmp_path / "unpacked" / "SDXL_Base" / "00002.jpeg").unlink()
    with pytest.raises(InputError, match=r"1 of 12 labelled images not found, e.g. SDXL_Base/00002.jpeg"):
        collect_samples(BENCHMARKS["genai-bench"], tmp_path)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "a"}, "record '1' has no models"),
        ({"prompt": "a", "models": {"m": []}}, "models is no list of ratings in data row 1"),
        ({"prompt": "a", "models": {"m": 3}}, "models is no list of ratings in data row 1"),
        ({"prompt": "a", "models": {"n": [2], "m": [3, "x"]}}, "models is 'x' in data row 2"),
        ({"prompt": ["a"], "models": {"m": [3]}}, "prompt of record 1 is a list or an object"),
        ({"models": {"m": [3]}}, "prompt is empty in data row 1"),
        ({"prompt": "a", "models": {}}, "has no records keyed by prompt"),
    ],
)
def test_what_is_no_record_is_refused(record, said, tmp_path):
    write(tmp_path, **{"1": record})
    with pytest.raises(InputError, match=said):
        read(tmp_path)
