"""Scores of image files are the workflow's own predictions, and whatever cannot be scored says why."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

import mstclipiqa
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.clip import Encoder
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.stores import read_store, write_store
from mstclipiqa.scoring.scorer import Scorer, find_images, read_prompts
from mstclipiqa.scoring.trained_head import load_head

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
MODELS = {"coarse": "mst-small-32", "fine": "mst-small-16"}
VARIANTS = {"quality": "mst-clipiqa", "correspondence": "mst-clipiqa-star"}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(*arguments: object) -> Result:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done


class Suite:
    """A drawn benchmark, its features, its runs by the workflow's steps, and a head of each target."""

    def __init__(self, folder: Path):
        self.data, self.results = folder / "data", folder / "results"
        self.benchmark, self.recipe = self.results / "agiqa-3k", RECIPES / "converged.yaml"
        samples, splits = (self.benchmark / f"{name}.parquet" for name in ("samples", "splits"))
        run("draw", "agiqa-3k", "--root", self.data, "--scale", 0.1)
        run("samples", "agiqa-3k", "--root", self.data, "--out", samples)
        run("split", "--samples", samples, "--protocol", "grouped1", "--out", splits)
        stores = {"samples": samples, "splits": splits, "recipe": self.recipe}
        features = self.benchmark / "features"
        coarse = ("--model", MODELS["coarse"], "--weights", "embedded")
        for role in MODELS:
            stores[role] = features / f"{role}.safetensors"
        pair = [word for role, model in MODELS.items() for word in ("--encoder", model, "embedded", stores[role])]
        run("extract", *pair, "--samples", samples, "--root", self.data)
        stores["prompts"] = features / "prompts.safetensors"
        run("encode-texts", *coarse, "--samples", samples, "--out", stores["prompts"])
        stores["levels"] = self.results / "levels" / "converged.safetensors"
        run("encode-texts", *coarse, "--template", "a photo with {} quality", "--out", stores["levels"])
        options = [word for name, path in stores.items() for word in (f"--{name}", path)]
        self.heads, self.runs, self.said = {}, {}, {}
        for target, variant in VARIANTS.items():
            self.runs[target] = folder / f"{target}.parquet"
            named = ("--target", target, "--variant", variant, "--seed", 0)
            run("train", *options, *named, "--out", self.runs[target])
            self.heads[target] = folder / f"{target}.safetensors"
            self.said[target] = run(
                "train-head", "agiqa-3k", "--results", self.results, "--recipe", self.recipe, *named,
                "--protocol", "grouped1", "--selection", "validation", "--out", self.heads[target],
            ).output  # fmt: skip
        self.samples = read_table(samples)[0]
        self.prompts = dict(zip(self.samples["path"], self.samples["prompt"], strict=True))

    def test_predictions(self, target: str) -> pd.Series:
        """By path, what the workflow predicts for its test images."""
        runs = read_table(self.runs[target])[0]
        paths = self.samples.set_index("image")["path"]
        runs = runs[runs["selection"] == "validation"]
        return runs.set_index(runs["image"].map(paths))["prediction"]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    threads = torch.get_num_threads()
    suite = Suite(tmp_path_factory.mktemp("suite"))
    torch.set_num_threads(threads)
    return suite


@pytest.fixture(scope="module")
def scorer(suite: Suite) -> Scorer:
    return mstclipiqa.Scorer(*suite.heads.values())


@pytest.fixture
def folder(suite: Suite, tmp_path: Path) -> Path:
    """Two good images and one that is cut short."""
    for number, path in enumerate(list(suite.prompts)[:2]):
        read_image(suite.data / path).save(tmp_path / f"{number}.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:500])
    return tmp_path


def test_scores_are_the_workflows_predictions(suite: Suite, scorer: Scorer):
    table = scorer.score(suite.data, prompts=suite.prompts, batch_size=7)
    assert list(table.columns) == ["image", *VARIANTS, "synthetic", "unlike_training", "error"]
    assert table["error"].isna().all() and len(table) == len(suite.samples)
    scores = table.set_index(table["image"].map(lambda path: Path(path).relative_to(suite.data).as_posix()))
    for target in VARIANTS:
        expected = suite.test_predictions(target)
        assert len(expected) > 5 and np.ptp(expected) > 0.1
        np.testing.assert_allclose(scores.loc[expected.index, target], expected, rtol=0, atol=1e-4)


def test_the_command_says_what_it_trained(suite: Suite):
    for target, variant in VARIANTS.items():
        assert suite.said[target].startswith(f"{target}: {variant} trained on ")
        assert "AGIQA-3K (synthetic), grouped1 split 0" in suite.said[target]


def test_a_score_depends_on_the_prompt_only_where_the_head_reads_it(scorer: Scorer, folder: Path):
    assert scorer.reads_prompt == ["correspondence"]
    one, other = (scorer.score([folder / "0.png"], prompt) for prompt in ("a red cube", "many people at a market"))
    assert one["quality"].equals(other["quality"]) and not one["correspondence"].equals(other["correspondence"])


def test_padding_does_not_matter(scorer: Scorer, folder: Path):
    images = [folder / "0.png", folder / "1.png"]
    prompts = {"0.png": "a cube", "1.png": "many " * 90}
    together = scorer.score(images, prompts)["correspondence"]
    apart = [scorer.score(image, prompts)["correspondence"][0] for image in images]
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_each_image_is_decoded_once_and_each_encoder_runs_once(scorer: Scorer, folder: Path, monkeypatch):
    read, encoded = [], []
    assert sorted(model for model, *_ in scorer.encoders) == sorted(MODELS.values())
    monkeypatch.setattr("mstclipiqa.scoring.scorer.read_image", lambda path: read.append(path) or read_image(path))
    encode = Encoder.encode_images
    monkeypatch.setattr(Encoder, "encode_images", lambda *given: encoded.append(given) or encode(*given))
    scorer.score([folder / "0.png", folder / "1.png"], "a cube")
    assert len(read) == 2 and len(encoded) == 2


def test_a_broken_image_says_why_and_the_others_are_scored(suite: Suite, folder: Path):
    out = folder / "scores.csv"
    done = invoke("score", folder, "--head", suite.heads["quality"], "--out", out)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == "Error: 1 of 3 images could not be scored; the column `error` says why"
    table = pd.read_csv(out).set_index("image")
    assert table["quality"].notna().tolist() == [True, True, False]
    assert "does not decode" in table["error"].iloc[2] and table["error"].isna().tolist() == [True, True, False]
    assert list(table.index) == [str(folder / name) for name in ("0.png", "1.png", "sub/broken.png")]


def test_all_images_may_be_broken(scorer: Scorer, folder: Path):
    table = scorer.score(folder / "sub", "a cube")
    assert table["quality"].isna().all() and table["error"].notna().all()


def test_json_holds_the_scores_and_what_the_heads_are(suite: Suite, scorer: Scorer, folder: Path, caplog):
    (folder / "prompts.csv").write_text('image,prompt\n0.png,"a cube, red"\n1.png,None\n')
    heads = [word for path in suite.heads.values() for word in ("--head", path)]
    out, images = folder / "scores.json", [folder / "0.png", folder / "1.png"]
    done = run("score", *images, *heads, "--prompts", folder / "prompts.csv", "--out", out)
    assert "score: 1/1 batches (100 %)" in done.stderr and done.stdout == ""
    assert [record.message for record in caplog.records if "quality" in record.message] == [
        f"{suite.heads['quality']} has learned from drawn images: its scores of others say nothing"
    ]
    document = json.loads(out.read_text())
    assert document["heads"]["quality"]["synthetic"] is True
    assert document["heads"]["correspondence"]["test"]["n"] == len(suite.test_predictions("correspondence"))
    expected = scorer.score(images, {"0.png": "a cube, red", "1.png": "None"})
    common = {"synthetic": True, "unlike_training": False, "error": None}
    assert document["scores"] == [
        common | {"image": str(path), **expected.loc[row, list(VARIANTS)].to_dict()} for row, path in enumerate(images)
    ]


def test_without_out_the_scores_go_to_the_standard_output(suite: Suite, folder: Path):
    done = run("score", folder / "0.png", "--head", suite.heads["quality"])
    lines = done.stdout.splitlines()
    assert lines[0] == "image,quality,synthetic,unlike_training,error" and len(lines) == 2


def test_missing_prompts_are_one_line(suite: Suite, folder: Path):
    head = ("--head", suite.heads["correspondence"])
    (folder / "prompts.csv").write_text("image,prompt\n0.png,a cube\n1.png,\n")
    for options, name in (([], "0.png"), (["--prompts", folder / "prompts.csv"], "1.png")):
        done = invoke("score", folder, *head, *options)
        last = done.stderr.splitlines()[-1]
        assert done.exit_code == 1 and done.stdout == ""
        assert last.startswith(f"Error: {folder / name}: no prompt") and "correspondence.safetensors" in last


def test_what_prompts_do_not_reach_is_said(suite: Suite, scorer: Scorer, folder: Path, caplog):
    image = folder / "0.png"
    scorer.score(image, {"0.png": "many " * 90, "9.png": "a cube"})
    Scorer(suite.heads["quality"]).score(image, "a cube")  # says too that it has learned from drawn images
    said = [record.message for record in caplog.records if "drawn" not in record.message]
    assert said == [
        "1 prompts are of no image to score, e.g. 9.png",
        "1 prompts are longer than 77 tokens and were cut, as in training",
        "no head here reads the prompt",
    ]


def test_images_and_arrays_are_scored_as_their_files(suite: Suite, scorer: Scorer, folder: Path):
    paths, prompts = [folder / "0.png", folder / "1.png"], ["a red cube", "many people"]
    expected = scorer.score(paths, prompts)
    pd.testing.assert_frame_equal(expected, scorer.score(paths, {"0.png": prompts[0], "1.png": prompts[1]}))
    images = [Image.open(path).convert("RGB") for path in paths]
    for given in (images, [np.asarray(image) for image in images], [images[0], paths[1]]):
        table = scorer.score(given, prompts)
        pd.testing.assert_frame_equal(table.drop(columns="image"), expected.drop(columns="image"))
    assert scorer.score(images, "a cube")["image"].tolist() == ["[0]", "[1]"]
    assert len(scorer.score(images[0], "a cube")) == 1
    assert scorer.score([np.zeros((30, 40), np.uint8)], "a cube")["error"].isna().all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((30, 40, 3)), r"\[0\]: an array of float64, 30 x 40 x 3; give uint8"),
        (np.zeros((3, 30, 40), np.uint8), r"an array of uint8, 3 x 30 x 40; give uint8"),
        (np.zeros((0, 40, 3), np.uint8), "give uint8"),
        (np.zeros((2, 300, 3), np.uint8), "over 100 times the other"),
        (Image.new("I;16", (30, 30)), "more than 8 bits of grey"),
        (3, "int is no image"),
    ],
)
def test_what_is_no_image_is_one_line(scorer: Scorer, given: object, words: str):
    with pytest.raises(InputError, match=words):
        scorer.score([given], "a cube")


def test_prompts_in_a_list_are_one_for_each_image(scorer: Scorer, folder: Path):
    with pytest.raises(InputError, match="1 prompts for 2 images"):
        scorer.score([folder / "0.png", folder / "1.png"], ["a cube"])


def test_explained_scores_are_the_scores(suite: Suite, scorer: Scorer, folder: Path):
    """Levels add up to the score, tokens are the prompt's, and a broken image has no explanation."""
    table = scorer.score(folder, "a red cube", explain=True).set_index("image")
    assert table["explanation"].isna().tolist() == [False, False, True]
    found = table.loc[str(folder / "0.png")]
    levels, card = found["explanation"]["quality"]["levels"], scorer.heads["quality"].card
    score = sum(number * share for number, share in enumerate(levels.values(), 1))
    assert list(levels) == ["bad", "poor", "fair", "good", "perfect"]
    assert sum(levels.values()) == pytest.approx(1, abs=1e-5)
    assert card["low"] + (score - 1) * (card["high"] - card["low"]) / 4 == pytest.approx(found["quality"], abs=1e-4)
    quality, correspondence = (found["explanation"][target] for target in ("quality", "correspondence"))
    assert "attention" not in quality and "levels" not in correspondence
    assert quality["gate"] == pytest.approx(np.mean(quality["gates"]), abs=1e-5)
    words, weights = zip(*correspondence["attention"], strict=True)
    assert words[1:-1] == ("a", "red", "cube") and sum(weights) == pytest.approx(1, abs=1e-5)
    out = folder / "scores.json"
    run("score", folder / "0.png", "--head", suite.heads["quality"], "--explain", "--out", out)
    again = json.loads(out.read_text())["scores"][0]["explanation"]["quality"]["levels"]
    assert again == pytest.approx(levels, abs=1e-5)
    assert invoke("score", folder, "--head", suite.heads["quality"], "--explain").exit_code == 2


def test_images_unlike_the_training_images_are_flagged(suite: Suite, scorer: Scorer):
    """A page of text, stripes and a blank image are; of the benchmark's held-out images at most 5 % and one."""
    page, blank = Image.new("RGB", (300, 400), "white"), Image.new("RGB", (200, 200), "white")
    for y in range(0, 400, 12):
        ImageDraw.Draw(page).text((5, y), "the quick brown fox jumps over the lazy dog", fill="black")
    stripes = np.tile(np.array([0, 255], np.uint8), (200, 100))
    assert scorer.score([page, blank, stripes], "a cube")["unlike_training"].tolist() == [True] * 3
    held_out = [suite.data / path for path in suite.test_predictions("quality").index]
    flags = scorer.score(held_out, "a cube")["unlike_training"]
    assert flags.dtype == "boolean" and flags.sum() <= 1 + 0.05 * len(flags)


def test_a_head_that_keeps_no_training_features_cannot_tell(suite: Suite, folder: Path):
    tensors, card = read_store(suite.heads["quality"])
    kept = {name: tensors.pop(name) for name in ("training.features", "training.distances")}
    write_store(folder / "old.safetensors", tensors, card)
    assert Scorer(folder / "old.safetensors").score(folder / "0.png")["unlike_training"].isna().all()
    kept["training.distances"] = kept["training.distances"][::-1].copy()
    write_store(folder / "bad.safetensors", tensors | kept, card)
    with pytest.raises(InputError, match="bad.safetensors: its training features are not as a head keeps them"):
        Scorer(folder / "bad.safetensors")


def altered(suite: Suite, folder: Path, **changes: object) -> Path:
    """The quality head with another identity of its fine encoder."""
    tensors, card = read_store(suite.heads["quality"])
    card["encoders"]["fine"] |= changes
    write_store(folder / "altered.safetensors", tensors, card)
    return folder / "altered.safetensors"


def test_the_wrong_encoder_is_refused(suite: Suite, folder: Path):
    with pytest.raises(InputError, match=r"trained on features of mst-small-16, weights embedded.*seed 3"):
        Scorer(suite.heads["quality"], weights={"mst-small-16": "random:3"})
    with pytest.raises(InputError, match="altered.*trained on features of .*but these weights are others"):
        Scorer(altered(suite, folder, weights_sha256="0" * 64))
    own = load_head(suite.heads["quality"]).card["encoders"]["fine"]["preprocessing"]
    with pytest.raises(InputError, match="altered.*prepares images otherwise"):
        Scorer(altered(suite, folder, preprocessing=own | {"interpolation": "bilinear"}))


def test_weights_are_found_beside_the_head_or_where_one_says(suite: Suite, scorer: Scorer, folder: Path):
    head = altered(suite, folder, weights="fine.safetensors")
    weights = Path(mstclipiqa.__file__).parent / "encoders" / "weights" / "mst-small-16.safetensors"
    with pytest.raises(InputError, match="altered.*fine.safetensors.*--weights mst-small-16=FILE"):
        Scorer(head)
    (key,) = [key for key in scorer.encoders if key[0] == "mst-small-16"]
    assert key in Scorer(head, weights={"mst-small-16": str(weights)}).encoders
    (folder / "fine.safetensors").symlink_to(weights)
    assert key in Scorer(head).encoders


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--head", "quality", "--head", "quality"], "a second head of quality"),
        ([], "no head to score with"),
        (["--head", "quality", "--weights", "ViT-B-32=openai"], "ViT-B-32: no head uses it"),
        (["--head", "quality", "--weights", "openai"], "give MODEL=PLACE"),
        (["--head", "quality", "--out", "scores.xlsx"], "scores.xlsx: scores are written as .csv or .json"),
    ],
)
def test_mistaken_options_are_one_line(suite: Suite, folder: Path, options: list[str], words: str):
    options = [suite.heads.get(word, word) for word in options]
    done = invoke("score", folder, *options)
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("Error: ") and words in done.stderr.splitlines()[-1]


def test_folders_stand_for_the_images_below_them(tmp_path: Path):
    for name in ("b/2.PNG", "b/1.jpg", "a.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name, "png")
    found = find_images([tmp_path / "b" / "2.PNG", tmp_path])
    assert {path.relative_to(tmp_path).as_posix(): inside for path, inside in found.items()} == {
        "b/2.PNG": "b/2.PNG", "a.jpeg": "a.jpeg", "b/1.jpg": "b/1.jpg",
    }  # fmt: skip
    (tmp_path / "empty").mkdir()
    for path, words in ((tmp_path / "empty", "no image below it"), (tmp_path / "absent.png", "no such file")):
        with pytest.raises(InputError, match=words):
            find_images([path])


def test_prompts_are_read_as_they_stand(tmp_path: Path):
    path = tmp_path / "prompts.csv"
    path.write_text('prompt,image,generator\n"a, b",1.png,x\nNA,2.png,y\n007,3.png,z\n')
    assert read_prompts(path) == {"1.png": "a, b", "2.png": "NA", "3.png": "007"}
    bad = {
        "image,text\n": "no column prompt",
        "image,prompt\na,b\na,c\n": "a stands there twice",
        "image,prompt\na,b,c\n": "not a CSV file",  # a comma that is not quoted
        "image,prompt" + ",x" * 1000 + "\n": "1,002 columns",
        "\ufeffimage,prompt\na,b\na,c\n": "a stands there twice",
    }
    for text, words in bad.items():
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_prompts(path)


def test_importing_the_package_loads_no_torch():
    code = "import sys, mstclipiqa; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="Scores"):
        mstclipiqa.Scores  # noqa: B018
