"""GenAI-Bench (arXiv:2406.13743): images of six generators for the same prompts, rated for correspondence alone.

The images of a prompt have one name, in a folder for each generator.
"""

from pathlib import Path

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels
from mstclipiqa.data.label_files import as_sheet, read_json, require_label_file, to_means


def read(root: Path) -> Labels:
    """genai_image.json, as github.com/linzhiqiu/t2v_metrics has it: a record for each prompt, keyed by its number, with
    the raters' scores for each generator. The image is GENERATOR/NUMBER.jpeg."""
    path = require_label_file(root, "genai_image.json")
    document = read_json(path)
    records, ratings = [], []
    for number, record in document.items() if isinstance(document, dict) else ():
        models = record.get("models") if isinstance(record, dict) else None
        if not isinstance(models, dict):
            raise InputError(f"{path}: record {number[:200]!r} has no models; replace it from the source")
        for model, scores in models.items():
            records.append({"image": f"{model}/{number}.jpeg", "prompt": record.get("prompt"), "model": model})
            ratings.append(scores)
    if not records:
        raise InputError(f"{path}: has no records keyed by prompt; replace it from the source")
    sheet = as_sheet(path, pd.DataFrame(records, dtype=object), ["image", "prompt", "model"])
    frame = sheet.rename(columns={"model": "generator"})
    frame["correspondence"] = to_means(path, "models", ratings)
    return Labels(frame, [path], {"correspondence": f"mean of the raters' scores in {path.name}, 1-5 as published"})


BENCHMARK = Benchmark(
    name="genai-bench",
    title="GenAI-Bench",
    paper="arXiv:2406.13743",
    licence="not stated for the data",
    ranges={"correspondence": (1, 5)},
    read=read,
)
