"""AIGCIQA2023 (arXiv:2307.00211): 2,400 images of six generators, rated for all three targets.

The same labels circulate in three layouts and on three scales; each is read onto the official 0-100 and
into the official order, in which row i of the index sheet is the image i.png.
"""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat, whosmat

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files
from mstclipiqa.base.names import TARGETS
from mstclipiqa.data.benchmarks.benchmark import Benchmark, Defect, Labels, shuffled_rows
from mstclipiqa.data.label_files import (
    base_names,
    check_size,
    find_label_file,
    parsing,
    read_sheet,
    require_label_file,
    to_numbers,
)

INDEX = "pic-index.xlsx"
PROMPTS = "AIGCIQA2023_Prompts.xlsx"
JSON = "AIGIQA2023.json"
CSV = "all_set.csv"


def read(root: Path) -> Labels:
    """Labels from the first layout found: the authors' MATLAB files, MINT-IQA's JSON, IPCE's CSV.

    Each needs the index sheet, and must have all its images: row i names the generator of i.png.
    """
    if list_files(root, "mosz[123].mat"):
        layout = _read_official
    elif find_label_file(root, JSON):
        layout = _read_json
    elif find_label_file(root, CSV):
        layout = _read_csv
    else:
        raise InputError(f"{root}: no mosz1.mat, {JSON} or {CSV} found; put one anywhere in this folder")
    path = require_label_file(root, INDEX)
    index = read_sheet(path, ["model", "image_name"], header=False)
    twice = index[index.duplicated()]
    if len(twice):
        model, name = twice.iloc[0]
        raise InputError(f"{path}: {name!r} of {model!r} stands twice; rows number the images, replace it")
    labels = layout(root, index)
    labels.files.append(path)
    return labels


def _read_official(root: Path, index: pd.DataFrame) -> Labels:
    """mosz1..3.mat, and SD1..3.mat where present: one value per row of the index sheet. 007-2.png is of the prompt in
    row 7, from 0; every row is some image's, so that a row too many, which shifts the others, is noticed."""
    path = require_label_file(root, PROMPTS)
    prompts = read_sheet(path, ["challenge", "category", "prompt"], header=False)["prompt"]
    if prompts.iloc[0].strip().casefold() == "prompt":  # a header row, as in IPCE's copy
        prompts = prompts.iloc[1:]
    prompt = index["image_name"].str.extract(r"^(\d{1,6})-")[0].astype(float)
    unknown = index["image_name"][~(prompt < len(prompts))]
    if len(unknown):
        raise InputError(
            f"{path}: {len(prompts)} prompts, and none for image name {unknown.iloc[0]!r} of {INDEX} "
            f"({len(unknown)} such names); replace both from the source"
        )
    unused = prompts[~np.isin(np.arange(len(prompts)), prompt)]
    if len(unused):
        raise InputError(
            f"{path}: {len(prompts)} prompts, and {unused.iloc[0][:200]!r} is of no image name of {INDEX} "
            f"({len(unused)} such prompts); a row too many shifts the prompts of all images, take it out"
        )
    frame = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(len(index))],
            "prompt": prompts.iloc[prompt.astype(int)].to_numpy(),
            "generator": index["model"],
        }
    )
    labels = Labels(frame, [path], {})
    repeated = prompts[prompts.duplicated(keep=False)]
    if len(repeated):
        what = f"rows of {PROMPTS} that have the same prompt"
        labels.defects.append(Defect.of(what, repeated, "each is used for its own images"))
    for i, target in enumerate(TARGETS, start=1):
        path = require_label_file(root, f"mosz{i}.mat")
        frame[target] = _read_mat(path, "MOSz", len(index))
        labels.columns[target] = f"MOSz of {path.name}, 0-100 as published"
        labels.files.append(path)
        spread = find_label_file(root, f"SD{i}.mat")
        if spread:
            frame[f"{target}_sd"] = _read_mat(spread, "SD", len(index))
            labels.columns[target] += f"; SD of {spread.name}, as published (scale not stated)"
            labels.files.append(spread)
    return labels


def _read_json(root: Path, index: pd.DataFrame) -> Labels:
    """AIGIQA2023.json: one record per question about an image, in an order of its own; MOS on 0-1."""
    path = require_label_file(root, JSON)
    sheet = read_sheet(path, ["img", "prompt", "moz1", "moz2", "moz3"])
    image = base_names(sheet["img"])
    number = image.str.extract(r"^(\d{1,6})\.png$")[0].astype(float)
    if number.isna().any():
        raise InputError(f"{path}: img {sheet['img'][number.isna()].iloc[0]!r} is not <number>.png; correct it")
    if set(number) != set(range(len(index))):
        raise InputError(
            f"{path}: {number.nunique()} images up to {number.max():g}.png, "
            f"but {INDEX} has {len(index)} rows; replace both"
        )
    number = number.astype(int)
    generator = index["model"].iloc[number].to_numpy()
    frame = pd.DataFrame({"image": image, "prompt": sheet["prompt"], "generator": generator})
    columns = {}
    for i, target in enumerate(TARGETS, start=1):
        frame[target] = to_numbers(path, f"moz{i}", sheet[f"moz{i}"]) * 100
        columns[target] = f"moz{i} of {path.name}, 0-1, times 100; rows put in the order of {INDEX}"
    in_order = frame.iloc[np.argsort(number, kind="stable")]
    return Labels(in_order.drop_duplicates(ignore_index=True), [path], columns)


def _read_csv(root: Path, index: pd.DataFrame) -> Labels:
    """all_set.csv: MOS divided by 20, in the order of the index sheet; prompts in an extra pair of quotes."""
    path = require_label_file(root, CSV)
    sheet = read_sheet(path, ["model", "image_name", "mosz1", "mosz2", "mosz3", "prompt"])
    if not sheet[["model", "image_name"]].equals(index):
        raise InputError(f"{path}: rows are not those of {INDEX}, which number the images; replace both")
    image = [f"{row}.png" for row in range(len(sheet))]
    prompt = sheet["prompt"].str.replace(r'^"(.*)"$', r"\1", regex=True)
    number = sheet["image_name"].str.split("-").str[0]  # of the prompt, which all models share
    strange = prompt[prompt != prompt.groupby(number).transform("first")]
    if len(strange):
        raise InputError(
            f"{path}: the prompt of {sheet['image_name'][strange.index[0]]!r} in data row {strange.index[0] + 1} is "
            f"another than that of the same number before ({len(strange)} such rows); replace it from the source"
        )
    frame = pd.DataFrame({"image": image, "prompt": prompt, "generator": sheet["model"]})
    columns, defects = {}, []
    for i, target in enumerate(TARGETS, start=1):
        frame[target] = to_numbers(path, f"mosz{i}", sheet[f"mosz{i}"]) * 20
        columns[target] = f"mosz{i} of {path.name}, 0-5, times 20"
    quoted = sheet["prompt"][prompt != sheet["prompt"]]
    if len(quoted):
        what = f"label rows of {CSV} whose prompt stands in literal quotes"
        defects.append(Defect.of(what, quoted, "quotes removed"))
    return Labels(frame, [path], columns, defects)


def _read_mat(path: Path, key: str, rows: int) -> np.ndarray:
    check_size(path)
    with parsing(path):
        shapes = {name: shape for name, shape, _ in whosmat(str(path))}
    if key not in shapes:
        raise InputError(f"{path}: no variable {key}, found {', '.join(shapes) or 'none'}; replace it from the source")
    count = math.prod(shapes[key])
    if count != rows:
        raise InputError(f"{path}: {count} values, but {INDEX} has {rows} rows; replace both from the source")
    with parsing(path):
        values = pd.Series(np.ravel(loadmat(str(path), variable_names=[key])[key]))
    return to_numbers(path, key, values).to_numpy()


BENCHMARK = Benchmark(
    name="aigciqa2023",
    title="AIGCIQA2023",
    paper="arXiv:2307.00211",
    licence="not stated by the authors' repository",
    ranges=dict.fromkeys(TARGETS, (0, 100)),
    read=read,
    images=2400,
    loader=shuffled_rows,
)
