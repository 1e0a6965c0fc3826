"""AGIQA-1K (arXiv:2303.12618): 1,080 images of two generators, rated for quality."""

from pathlib import Path

import pandas as pd

from mstclipiqa.data.benchmarks.benchmark import Benchmark, Defect, Labels, shuffled_rows
from mstclipiqa.data.label_files import find_label_file, read_sheet, require_label_file, to_numbers

CROSS_CHECK = "AIGC_all.csv"
WELL_FORMED = r"(deepai|dreamStudio)(_\d+){4}\.jpg"


def read(root: Path) -> Labels:
    """Labels from AIGC_MOS_Zscore.xlsx.

    AIGC_all.csv, where present, holds mean raw scores, a different target (SRCC 0.81 with the MOS): it is
    only compared by name.
    """
    path = require_label_file(root, "AIGC_MOS_Zscore.xlsx")
    sheet = read_sheet(path, ["Image", "Prompt", "MOS"])
    frame = pd.DataFrame(
        {
            "image": sheet["Image"],
            "prompt": sheet["Prompt"],
            "generator": sheet["Image"].str.split("_").str[0],
            "quality": to_numbers(path, "MOS", sheet["MOS"]),
        }
    )
    labels = Labels(frame, [path], {"quality": f"MOS of {path.name}, 0-5 as published"})
    cross_check = find_label_file(root, CROSS_CHECK)
    if cross_check:
        labels.files.append(cross_check)
        names = read_sheet(cross_check, ["Image", "Score"])["Image"]
        malformed = names[~names.str.fullmatch(WELL_FORMED)]
        unshared = sorted(set(names) ^ set(frame["image"]))
        rule = "none used: the file is only compared by name"
        for what, bad in {
            f"malformed image names in {CROSS_CHECK}": malformed,
            f"image names that only one of {path.name} and {CROSS_CHECK} has": unshared,
        }.items():
            if len(bad):
                labels.defects.append(Defect.of(what, bad, rule))
    return labels


BENCHMARK = Benchmark(
    name="agiqa-1k",
    title="AGIQA-1K",
    paper="arXiv:2303.12618",
    licence="MIT",
    ranges={"quality": (0, 5)},
    read=read,
    images=1078,  # of 1,080: one name stands for two rows, one image for none
    loader=shuffled_rows,
    composed=True,  # 12 subjects, 15 attributes, 2 places, 2 styles
    open_labels=True,
    attribution="Zhang et al., AGIQA-1K (arXiv:2303.12618), MIT; labels of https://github.com/lcysyzxdxc/AGIQA-1k-Database",
)
