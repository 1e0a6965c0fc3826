"""AIGIQA-20K (arXiv:2404.03407): 20,000 images of fifteen generators, 14,000 of them with public MOS."""

from pathlib import Path

import pandas as pd

from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.text import printable
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Defect, Labels
from mstclipiqa.data.label_files import find_label_file, first_row, read_sheet, require_label_file, to_numbers

#: Parts whose MOS the challenge keeps back; their files list names and prompts.
WITHHELD = ("info_val.csv", "info_test.csv")


def read(root: Path) -> Labels:
    """Labels from info_train.csv, the only part with public MOS. The other parts are counted."""
    path = require_label_file(root, "info_train.csv")
    sheet, _ = _read_part(path, ["name", "prompt", "mos"])
    frame = pd.DataFrame(
        {
            "image": sheet["name"],
            "prompt": sheet["prompt"],
            "generator": sheet["name"].str.rsplit("_", n=1).str[0],  # names such as SDXL_Turbo_0000.png
            "quality": to_numbers(path, "mos", sheet["mos"]),
        }
    )
    column = f"mos of {path.name}, 0-5 as published: one overall score, which the paper takes as quality"
    labels = Labels(frame, [path], {"quality": column})
    for other in filter(None, (find_label_file(root, name) for name in WITHHELD)):
        part, header = _read_part(other, ["name", "prompt"])
        labels.files.append(other)
        labels.withheld += list(part["name"])
        what = f"rows of {other.name}, a part without public MOS"
        if more := [printable(name) for name in header if name not in part]:
            what += f": the columns {', '.join(more)} of this copy were never published"
        labels.defects.append(Defect(what, len(part), "not used, nor their images"))
        shared = len(set(part["prompt"]) & set(frame["prompt"]))
        if shared:
            what = f"prompts of {other.name} that {path.name} has too"
            labels.defects.append(Defect(what, shared, "none: that part is not used"))
    return labels


def _read_part(path: Path, columns: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """One part and its header, which some copies lack: a first cell that names no image is a header."""
    first = first_row(path)
    header = Path("".join(first[:1]).strip()).suffix.lower() not in IMAGE_FORMATS
    return read_sheet(path, columns, header), first if header else []


BENCHMARK = Benchmark(
    name="aigiqa-20k",
    title="AIGIQA-20K",
    paper="arXiv:2404.03407",
    licence="Apache-2.0 (as tagged where the data are hosted)",
    ranges={"quality": (0, 5)},
    read=read,
    images=14000,  # of 20,000: those with public MOS
    open_labels=True,
    attribution="Li et al., AIGIQA-20K (arXiv:2404.03407), Apache-2.0 as tagged where the data are hosted",
)
