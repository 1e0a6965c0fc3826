import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.synthetic import miniature
from mstclipiqa.synthetic.artefacts import ARTEFACTS
from mstclipiqa.synthetic.miniature import draw_benchmark
from mstclipiqa.synthetic.miniature_layouts import MINIATURES
from mstclipiqa.synthetic.studio import FEWEST_PROMPTS, GROUND_TRUTH

SEED, SCALE = 5, 0.3


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """A function that draws a benchmark on its first use and returns its folder."""
    data_root = tmp_path_factory.mktemp("miniature")

    def folder(name):
        root = data_root / name
        if not root.exists():
            draw_benchmark(name, root, SEED, SCALE)
        return root

    return folder


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def images(root):
    return {path.name for path in root.rglob("*") if path.suffix in (".jpg", ".png")}


def overall(name, truth):
    """What each target's raters saw: the latent factor of its name, or AIGIQA-20K's mixture."""
    mixture = 0.6 * truth["quality"] + 0.4 * truth["correspondence"]
    return truth.assign(quality=mixture) if name == "aigiqa-20k" else truth


@pytest.mark.parametrize("name", MINIATURES)
def test_equal_arguments_give_equal_bytes(name, suite, tmp_path):
    draw_benchmark(name, tmp_path / "again", SEED, SCALE)
    first, again = contents(suite(name)), contents(tmp_path / "again")
    assert first.keys() == again.keys()
    assert [file for file in first if first[file] != again[file]] == []


def test_nothing_written_tells_the_time(suite):
    dated = re.compile(rb"20[1-9]\d-\d\d-\d\d|Created on")
    for name in ("agiqa-1k", "aigciqa2023", "pku-aigiqa-4k"):
        for file in [*suite(name).rglob("*.mat"), *suite(name).rglob("*.xlsx")]:
            assert not dated.search(file.read_bytes())


def test_the_seed_matters(suite, tmp_path):
    draw_benchmark("agiqa-1k", tmp_path / "other", SEED + 1, SCALE)
    first, other = contents(suite("agiqa-1k")), contents(tmp_path / "other")
    assert first.keys() == other.keys()
    assert [file for file in first if first[file] == other[file]] == []


@pytest.mark.parametrize("name", MINIATURES)
def test_readers_read_what_was_drawn(name, suite):
    samples, card = collect_samples(get_benchmark(name), suite(name))
    truth = pd.read_csv(suite(name) / GROUND_TRUTH, index_col="image").loc[samples["image"]]
    assert card["synthetic"]
    assert card["prompt_groups"] >= FEWEST_PROMPTS
    assert len(samples) >= 40
    assert (samples["prompt"] == truth["prompt"].str.strip().to_numpy()).all()
    assert samples[["width", "height"]].isin([224, 240, 256]).all(axis=None)
    for target in get_benchmark(name).targets:
        latent = overall(name, truth)[target].to_numpy()
        assert samples[target].corr(pd.Series(latent), method="spearman") > 0.9


@pytest.mark.parametrize("name", MINIATURES)
def test_the_folder_says_what_it_is(name, suite):
    root = suite(name)
    notice = (root / SYNTHETIC_MARK).read_text()
    assert f"Synthetic: not {name}" in notice
    assert f"seed {SEED}" in notice
    truth = pd.read_csv(root / GROUND_TRUTH)
    labelled = {file for file in images(root) if not re.fullmatch(r"\d{3}\.jpg", file)}
    assert set(truth["image"]) == labelled
    factors = truth[[*ARTEFACTS, "quality", "authenticity", "correspondence"]]
    assert factors.to_numpy().min() >= 0
    assert factors.to_numpy().max() <= 1
    assert (truth[list(ARTEFACTS)] > 0).any().all(), "an artefact never occurs"
    assert truth["faults"].notna().any()
    faultless = truth[truth["faults"].isna() & (truth[list(ARTEFACTS)].sum(axis=1) == 0)]
    assert (faultless[["quality", "authenticity", "correspondence"]] == 1).all(axis=None)


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


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_every_scale_can_be_planned(scale, tmp_path, monkeypatch):
    """Layouts at the ends of the scale, with blank pictures in place of drawn ones."""
    monkeypatch.setattr(miniature, "draw", lambda scene, size, rng: Image.new("RGB", (8, 8)))
    monkeypatch.setattr(miniature, "degrade", lambda image, strengths, rng: image)
    total = 0
    for name in MINIATURES:
        draw_benchmark(name, tmp_path / name, SEED, scale)
        samples, card = collect_samples(get_benchmark(name), tmp_path / name)
        assert card["prompt_groups"] >= FEWEST_PROMPTS
        total += len(images(tmp_path / name))
        if scale == 1:
            assert 200 <= len(samples) <= 240
    assert total == 1177 if scale == 1 else total < 480


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("agiqa-9k", 1, "no miniature of 'agiqa-9k'"),
        ("agiqa-3k", 0, "scale 0"),
        ("agiqa-3k", 1.5, "scale 1.5"),
        ("agiqa-3k", float("nan"), "scale nan"),
    ],
)
def test_wrong_arguments_are_refused(name, scale, message, tmp_path):
    with pytest.raises(InputError, match=message):
        draw_benchmark(name, tmp_path / name, SEED, scale)
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_never_replaced(tmp_path):
    root = tmp_path / "agiqa-3k"
    root.mkdir()
    (root / "data.csv").write_text("the real labels")
    with pytest.raises(InputError, match="not drawn here"):
        draw_benchmark("agiqa-3k", root, SEED)
    assert contents(root) == {"data.csv": b"the real labels"}


def test_an_interrupted_drawing_leaves_what_was_there(suite, tmp_path, monkeypatch):
    root = tmp_path / "agiqa-1k"

    def interrupted(studio):
        (studio.folder / "data.csv").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setitem(MINIATURES, "agiqa-1k", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_benchmark("agiqa-1k", root, SEED)
    assert not list(tmp_path.iterdir())

    root.mkdir()
    (root / SYNTHETIC_MARK).write_text("an earlier drawing")
    with pytest.raises(KeyboardInterrupt):
        draw_benchmark("agiqa-1k", root, SEED)
    assert contents(tmp_path) == {f"agiqa-1k/{SYNTHETIC_MARK}": b"an earlier drawing"}


def test_a_drawing_replaces_an_earlier_one_and_what_a_killed_one_left(suite, tmp_path):
    root = tmp_path / "agiqa-1k"
    for folder in (root, tmp_path / ".agiqa-1k.draft", tmp_path / ".agiqa-1k.old"):
        folder.mkdir()
        (folder / "stale.txt").touch()
    (root / SYNTHETIC_MARK).touch()
    draw_benchmark("agiqa-1k", root, SEED, SCALE)
    assert contents(root) == contents(suite("agiqa-1k"))
    assert list(tmp_path.iterdir()) == [root]
