"""PKU-AIGIQA-4K (arXiv:2404.18409): 4,000 images of three generators, rated for all three targets.

1,600 are image-to-image, 2,400 text-to-image; the two parts share their text prompts.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels
from mstclipiqa.data.label_files import base_names, find_label_file, read_sheet, to_numbers

OFFICIAL = "annotation.xlsx"
#: Public copies of the two parts, each over several files, in the order of the official sheet's parts.
PARTS = ("i2i_*.txt", "t2i_*.csv")

MOS = {"quality": "MOS_q", "authenticity": "MOS_a", "correspondence": "MOS_c"}
COLUMNS = ["Generated_image", "Text_prompt", *MOS.values()]
#: The image that an image was made from, in the official sheet; empty for text-to-image.
IMAGE_PROMPT = "Image_prompt"
#: The columns of i2i_*.txt, which has no header row.
I2I_COLUMNS = ["Generated_image", *MOS.values(), "Text_prompt"]


def read(root: Path) -> Labels:
    """Labels from annotation.xlsx of the image archive, or else from the copies of its two parts.

    The prompt is the text prompt in both parts. Of image-to-image the official sheet names the image prompt too, which
    the copies lack; no model uses it.
    """
    official = find_label_file(root, OFFICIAL)
    if official is not None:
        files, source = [official], f"{OFFICIAL}, 0-5 as published"
    else:
        parts = [list_files(root, pattern) for pattern in PARTS]
        if not all(parts):
            raise InputError(f"{root}: no {OFFICIAL}, nor both {' and '.join(PARTS)}; put them in this folder")
        files = [path for part in parts for path in part]
        source = f"{' and '.join(PARTS)}, 0-5; rows in their order, not the official one"
    frame = pd.concat([_read_part(path) for path in files], ignore_index=True)
    columns = {target: f"{column} of {source}" for target, column in MOS.items()}
    return Labels(frame, files, columns, official_order=official is not None)


def _read_part(path: Path) -> pd.DataFrame:
    tabs, official = path.suffix == ".txt", path.name == OFFICIAL
    columns = I2I_COLUMNS if tabs else [*COLUMNS, *([IMAGE_PROMPT] if official else [])]
    sheet = read_sheet(path, columns, header=not tabs, blank=[IMAGE_PROMPT])
    image = base_names(sheet["Generated_image"])
    return pd.DataFrame(
        {
            "image": image,
            "prompt": sheet["Text_prompt"],
            "generator": image.str.split("_").str[0],
            **{target: to_numbers(path, column, sheet[column]) for target, column in MOS.items()},
            **({"image_prompt": base_names(sheet[IMAGE_PROMPT])} if official else {}),
        }
    )


def every_fourth_row(rows: int) -> np.ndarray:
    """Which of `rows` label rows (rows,) the laboratory's loader tests: its shuffle is commented out."""
    return np.arange(rows) % 4 == 3


BENCHMARK = Benchmark(
    name="pku-aigiqa-4k",
    title="PKU-AIGIQA-4K",
    paper="arXiv:2404.18409",
    licence="not stated for the data",
    ranges=dict.fromkeys(MOS, (0, 5)),
    read=read,
    images=4000,
    loader=every_fourth_row,
)
