"""TIFA160 (arXiv:2303.11897): 800 images of five generators for 160 prompts, rated for correspondence alone."""

from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels
from mstclipiqa.data.label_files import read_sheet, require_label_file, to_numbers


def read(root: Path) -> Labels:
    """human_annotations.json of github.com/Yushi-Hu/tifa, or the same with metrics' scores: a record for each image,
    keyed by it. A name is the text's id, then the generator."""
    path = require_label_file(root, "human_annotations.json", "human_annotations_with_scores.json")
    sheet = read_sheet(path, ["key", "text_id", "image_path", "text", "human_avg"])
    for key, text, image in zip(sheet["key"], sheet["text_id"], sheet["image_path"], strict=True):
        if image != f"{key}.jpg" or not key.startswith(f"{text}_"):
            raise InputError(f"{path}: record {key!r} has text {text!r}, image {image!r}; replace it from the source")
    generator = [key.removeprefix(f"{text}_") for key, text in zip(sheet["key"], sheet["text_id"], strict=True)]
    frame = pd.DataFrame({"image": sheet["image_path"], "prompt": sheet["text"], "generator": generator})
    frame["correspondence"] = to_numbers(path, "human_avg", sheet["human_avg"])
    return Labels(frame, [path], {"correspondence": f"human_avg of {path.name}, 1-5 as published: of two raters"})


BENCHMARK = Benchmark(
    name="tifa160",
    title="TIFA160",
    paper="arXiv:2303.11897",
    licence="not stated for the data",
    ranges={"correspondence": (1, 5)},
    read=read,
    images=800,
)
