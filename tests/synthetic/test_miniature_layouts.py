import re

import numpy as np
import pandas as pd
import pytest
from drawings import images
from PIL import Image
from scipy.io import loadmat

from mstclipiqa.synthetic.studio import FEWEST_PROMPTS


def test_agiqa_1k(suite):
    root = suite("agiqa-1k")
    sheet = pd.read_excel(root / "AIGC_MOS_Zscore.xlsx")
    scores = pd.read_csv(root / "AIGC_all.csv")
    assert list(sheet.columns) == ["Image", "Prompt", "MOS"]
    assert list(scores.columns) == ["Image", "Score"]
    assert b"\r\n" in (root / "AIGC_all.csv").read_bytes()
    assert len(sheet) == len(scores) == len(images(root))
    assert (sheet["MOS"].min(), sheet["MOS"].max()) == (0, 5)
    assert np.allclose(scores["Score"] * 22, np.rint(scores["Score"] * 22), atol=1e-6)
    # One name twice with two MOS, one image without a row, one name cut short.
    twice = sheet[sheet["Image"].duplicated(keep=False)]
    assert len(twice) == 2
    assert twice["MOS"].nunique() == 2
    assert len(images(root) - set(sheet["Image"])) == 1
    assert set(scores["Image"]) - images(root) == {twice["Image"].iloc[0].replace("1.jpg", ".jpg")}
    assert all(re.fullmatch(r"(deepai|dreamStudio)(_\d+){4}\.jpg", file) for file in images(root))
    assert set(sheet.drop_duplicates("Image")["Prompt"].value_counts()) == {1, 2}


def test_agiqa_3k(suite):
    root = suite("agiqa-3k")
    text = (root / "data.csv").read_bytes()
    assert text.startswith(b"name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\r\n")
    table = pd.read_csv(root / "data.csv", keep_default_na=False)
    assert text.count(b"\r\n") == text.count(b"\n") == len(table) + 1
    assert set(table["name"]) == images(root)
    variants = table["name"].str.extract(r"^(.+)_\d{3}\.jpg$")[0]
    assert variants.nunique() == 10
    assert {"sd1.5_lowcorr", "midjourney_lowstep", "xl2.2_normal"} < set(variants)
    assert len(table) == 10 * table["prompt"].nunique() - 4
    assert table[["mos_quality", "mos_align"]].stack().between(0, 5).all()
    assert table[["std_quality", "std_align"]].stack().between(0.2, 2).all()
    assert "" in set(table["style"])
    assert all(row.prompt.endswith(row.style) and row.adj1 in row.prompt for row in table.itertuples())


def test_aigciqa2023(suite):
    root = suite("aigciqa2023")
    index = pd.read_excel(root / "pic-index.xlsx", header=None)
    prompts = pd.read_excel(root / "AIGCIQA2023_Prompts.xlsx", header=None)
    assert images(root) == {f"{i}.png" for i in range(len(index))}
    assert prompts.shape == (FEWEST_PROMPTS, 3)
    assert (prompts[2] != prompts[2].str.strip()).sum() == 1
    assert index[1].str.fullmatch(r"00\d-[1-4]\.png").all()
    assert index.drop_duplicates().shape == index.shape
    assert list(index[0].unique()) == [
        "Controlnet", "DALLE", "Glide", "Lafite", "stable-diffusion", "Unidiffuser",
    ]  # fmt: skip
    for i in (1, 2, 3):
        mos = loadmat(next(root.rglob(f"mosz{i}.mat")))["MOSz"]
        sd = loadmat(next(root.rglob(f"SD{i}.mat")))["SD"]
        assert mos.shape == sd.shape == (len(index), 1)
        assert 15 < mos.min() < 40 < 60 < mos.max() < 85
        assert mos.mean() == pytest.approx(50, abs=1)
        assert sd.min() > 0


def test_aigiqa_20k(suite):
    root = suite("aigiqa-20k")
    train = pd.read_csv(root / "info_train.csv", header=None)
    val = pd.read_csv(root / "info_val.csv", header=None)
    assert (train.shape[1], val.shape[1]) == (3, 2)
    for part, table in (("train", train), ("val", val)):
        assert images(root / part) == set(table[0])
        assert not (root / f"info_{part}.csv").read_bytes().endswith(b"\n")
    generators = train[0].str.rsplit("_", n=1).str[0]
    assert generators.nunique() == 15
    assert {"LCM_SD1.5_0000.png", "SDXL_Turbo_0001.png"} < set(train[0])
    assert train[2].between(0, 5).all()
    assert len(set(train[1]) & set(val[1])) == 2
    words = train[1].str.split().str.len()
    assert 2 <= (words > 90).sum() < 10  # longer than CLIP's 77 tokens
    assert train[1].nunique() == len(train) - 1
    assert len({Image.open(path).size for path in root.rglob("*.png")}) == 4


def test_pku_aigiqa_4k(suite):
    root = suite("pku-aigiqa-4k")
    table = pd.read_excel(root / "annotation.xlsx")
    assert list(table.columns) == ["Image_prompt", "Text_prompt", "Generated_image", "MOS_q", "MOS_a", "MOS_c"]
    assert {path.name for path in (root / "All").iterdir()} == set(table["Generated_image"])
    from_image = table["Image_prompt"].notna()
    assert from_image.is_monotonic_decreasing
    assert table["Generated_image"].str.fullmatch(r"(SD|MJ|DALLE)_(0|10)\d\d_[01][01]\.jpg").all()
    assert table.loc[from_image, "Generated_image"].str.fullmatch(r"(SD|MJ)_0.*").all()
    assert table.loc[~from_image, "Generated_image"].str.contains("_1").all()
    assert all((root / "I2I" / "Image_prompt" / name).exists() for name in table.loc[from_image, "Image_prompt"])
    texts = set(table.loc[from_image, "Text_prompt"])
    assert texts == set(table.loc[~from_image, "Text_prompt"])
    assert len(texts) == table["Image_prompt"].nunique() - 1
    assert table[["MOS_q", "MOS_a", "MOS_c"]].stack().between(0, 5).all()
