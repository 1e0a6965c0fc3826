"""AGIQA-3K (arXiv:2306.04717): 2,982 images of six generators, rated for quality and correspondence."""

from pathlib import Path

import pandas as pd

from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels, shuffled_rows
from mstclipiqa.data.label_files import read_sheet, require_label_file, to_numbers

#: An image is called {variant}_{prompt number}.jpg; a variant is a generator in one setting.
GENERATORS = {
    "AttnGAN_normal": "AttnGAN",
    "DALLE2_normal": "DALLE2",
    "glide_normal": "GLIDE",
    "midjourney_lowstep": "Midjourney",
    "midjourney_normal": "Midjourney",
    "sd1.5_highcorr": "SD1.5",
    "sd1.5_lowcorr": "SD1.5",
    "sd1.5_lowstep": "SD1.5",
    "sd1.5_normal": "SD1.5",
    "xl2.2_normal": "SDXL2.2",
}

#: The file calls correspondence `align`: MOS in mos_align, the SD over raters in std_align.
COLUMNS = {"quality": "quality", "correspondence": "align"}


def read(root: Path) -> Labels:
    """Labels from data.csv. A variant that is none of the ten is its own generator."""
    path = require_label_file(root, "data.csv")
    numeric = [f"{kind}_{column}" for column in COLUMNS.values() for kind in ("mos", "std")]
    sheet = read_sheet(path, ["name", "prompt", *numeric])
    variant = sheet["name"].str.rsplit("_", n=1).str[0]
    frame = pd.DataFrame(
        {
            "image": sheet["name"],
            "prompt": sheet["prompt"],
            "generator": variant.map(GENERATORS).fillna(variant),
        }
    )
    columns = {}
    for target, column in COLUMNS.items():
        mos, std = f"mos_{column}", f"std_{column}"
        frame[target] = to_numbers(path, mos, sheet[mos])
        frame[f"{target}_sd"] = to_numbers(path, std, sheet[std])
        columns[target] = f"{mos} of {path.name}, 0-5 as published; SD {std}"
    return Labels(frame, [path], columns)


BENCHMARK = Benchmark(
    name="agiqa-3k",
    title="AGIQA-3K",
    paper="arXiv:2306.04717",
    licence="MIT",
    ranges={"quality": (0, 5), "correspondence": (0, 5)},
    read=read,
    images=2982,
    loader=shuffled_rows,
    open_labels=True,
    open_images=True,
    attribution=(
        "Li et al., AGIQA-3K (arXiv:2306.04717), MIT; labels of https://github.com/lcysyzxdxc/AGIQA-3k-Database; a "
        "copy of the images at Hugging Face is tagged CC-BY-SA-4.0"
    ),
)
