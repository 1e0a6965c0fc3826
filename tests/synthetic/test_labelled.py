"""Drawn images under the names of a benchmark's own label files."""

import shutil

import pandas as pd
import pytest
from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.synthetic.labelled import SIDE
from mstclipiqa.synthetic.miniature import draw_benchmark


@pytest.fixture
def labels(tmp_path):
    """The label file of three images of two generators."""
    names = ["AttnGAN_normal_000.jpg", "sd1.5_normal_000.jpg", "sd1.5_normal_001.jpg"]
    table = pd.DataFrame({"name": names, "prompt": ["a cat", "a cat", "a dog, at night"], "adj1": "", "adj2": ""})
    table = table.assign(style="", mos_quality=[1.5, 3.0, 2.0], std_quality=0.2, mos_align=[2.5, 1, 2], std_align=0.3)
    (tmp_path / "labels").mkdir()
    table.to_csv(tmp_path / "labels" / "data.csv", index=False)
    return tmp_path / "labels"


def test_names_prompts_and_mos_are_the_label_files_and_the_images_are_drawn(labels, tmp_path):
    root = tmp_path / "agiqa-3k"
    draw_benchmark("agiqa-3k", root, 0, labels=labels)
    samples, card = collect_samples(get_benchmark("agiqa-3k"), root)
    assert card["synthetic"] and card["label_files"].keys() == {"data.csv"}
    assert (root / "data.csv").read_bytes() == (labels / "data.csv").read_bytes()
    assert samples["prompt"].tolist() == ["a cat", "a cat", "a dog, at night"]
    assert samples["quality"].tolist() == [1.5, 3.0, 2.0] and samples["sha256"].nunique() == 3
    assert {Image.open(root / path).size for path in samples["path"]} == {(SIDE, SIDE)}

    before = {path.name: path.read_bytes() for path in (root / "images").iterdir()}
    shutil.rmtree(root)
    draw_benchmark("agiqa-3k", root, 0, labels=labels)
    assert {path.name: path.read_bytes() for path in (root / "images").iterdir()} == before


def test_a_share_of_label_files_is_refused_and_nothing_is_left_of_bad_ones(labels, tmp_path):
    root = tmp_path / "agiqa-3k"
    with pytest.raises(InputError, match="scale 0.5 of agiqa-3k with label files"):
        draw_benchmark("agiqa-3k", root, 0, 0.5, labels)
    (labels / "data.csv").write_text("name,prompt\n")
    with pytest.raises(InputError, match="data.csv"):
        draw_benchmark("agiqa-3k", root, 0, labels=labels)
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
