"""A head's card may come from anyone: whatever is edited in it, the head scores or is refused in one line."""

import copy
import json
import os
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from config_files import RECIPES
from PIL import Image
from safetensors.torch import save_file

from mstclipiqa.base.errors import InputError
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.stores import write_store
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.scoring import scorer
from mstclipiqa.scoring.scorer import Scorer, as_csv
from mstclipiqa.scoring.trained_head import load_head

RECIPE = load_recipe(RECIPES / "released_code.yaml")
load = cache(load_encoder)

#: What an edit puts in the place of a value.
VALUES = [
    None, True, -1, 0, 1.5, 10**30, 1e308, -1e308, float("nan"), float("inf"), "", "x", [], {}, ["x"], {"x": 1},
    "image", "error", "hf-hub:someone/model", "local-dir:/tmp", "/etc/passwd", "../x", "..", "random:x",
    "\x1b[2J", "\ud800", "a\nb", "ViT-B-32", "a" * 10_000,
]  # fmt: skip


FREE = [(name,) for name in ("architecture", "versions", "stated", "preprocessing")]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Encoders are loaded once, and whoever asks for the network fails the test."""

    def connect(*arguments):
        raise AssertionError("a card asked for the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(scorer, "load_encoder", load)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.new("RGB", (40, 30), (200, 10, 10)).save(path)
    return path


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The keys that lead to every value of a document, those inside others included, but for notes of free form."""
    if path:
        yield path
    for key in value if isinstance(value, dict) and path[-1:] not in FREE else ():
        yield from places(value[key], (*path, key))


def edited(card: dict, place: tuple, *value: object) -> dict:
    """The card with a value in a place, or without what is there."""
    card = copy.deepcopy(card)
    *above, last = place
    inner = card
    for key in above:
        inner = inner[key]
    if value:
        inner[last] = value[0]
    else:
        del inner[last]
    return card


def outcome(path: Path, image: Path) -> str:
    """The refusal of a head, or nothing where it scores."""
    try:
        table = Scorer(path).score(image, "a red box")
    except InputError as error:
        return str(error)
    assert list(table.columns) == ["image", load_head(path).target, "synthetic", "unlike_training", "error"]
    assert np.isfinite(table.iloc[0, 1]) or table["error"].notna().all()
    return ""


def test_the_head_scores(parts, image, tmp_path):
    write_store(tmp_path / "head.safetensors", *parts)
    assert outcome(tmp_path / "head.safetensors", image) == ""


def test_every_edit_of_a_card_is_one_line_or_scores(parts, image, tmp_path, monkeypatch):
    """Each place of the card gets some of the values, others than its neighbours; and each is left out once."""
    tensors, card = parts
    path, refused, passed = tmp_path / "head.safetensors", 0, 0
    monkeypatch.chdir(tmp_path)
    for number, place in enumerate(places(card)):
        for value in [(), *((value,) for value in VALUES[number % 7 :: 7])]:
            write_store(path, tensors, edited(card, place, *value))
            try:
                said = outcome(path, image)
            except Exception as error:
                raise AssertionError(f"{place}: {value[:1]!r:.60}") from error
            assert "\n" not in said and (not said or str(path) in said), (place, value, said)
            refused, passed = refused + bool(said), passed + (not said)
    assert refused > 200 and passed > 30  # titles and the like may be anything


MALICE = {
    "a hub": (("encoders", "coarse", "model"), "hf-hub:someone/model", "does not match"),
    "a folder": (("encoders", "coarse", "model"), "local-dir:/a/model", "does not match"),
    "an unknown architecture": (("encoders", "coarse", "model"), "ViT-Z-1", "open_clip knows no such model"),
    "tiny patches": (("encoders", "coarse", "model"), "mst-small-32@1", "does not match"),
    "an absolute path": (("encoders", "coarse", "weights"), "/etc/passwd", "does not match"),
    "a path outside": (("encoders", "coarse", "weights"), "../x", "does not match"),
    "a file of the working folder": (("encoders", "coarse", "weights"), "image.png", "do not lie beside the head"),
    "the image's column": (("target",), "image", "is not one of"),
    "the error's column": (("target",), "error", "is not one of"),
    "an endless scale": (("high",), 1e308, "greater than the maximum"),
    "a scale of nothing": (("high",), 0.0, "its scale of 0 to 0 is none"),
    "a scale of NaN": (("high",), float("nan"), "is none"),
    "a gate larger than memory": (("recipe", "gate_hidden"), 10**9, "the weights do not fit"),
    "another size": (("encoders", "coarse", "context_length"), 7, "its card says context_length 7"),
}


@pytest.mark.parametrize(("place", "value", "said"), MALICE.values(), ids=MALICE)
def test_what_a_card_may_not_ask_for(place, value, said, parts, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heads").mkdir()
    path = tmp_path / "heads" / "head.safetensors"
    write_store(path, parts[0], edited(parts[1], place, value))
    assert said in outcome(path, image)


def test_a_card_downloads_nothing(parts, image, tmp_path, monkeypatch):
    """A pretrained tag is loaded where its weights are on this machine, or where one asks for them by name."""
    monkeypatch.setattr(scorer, "find_weights", lambda tag: None)
    path = tmp_path / "head.safetensors"
    identity = parts[1]["encoders"]["coarse"] | {"model": "ViT-B-32-quickgelu", "weights": "openai"}
    write_store(path, parts[0], edited(parts[1], ("encoders", "coarse"), identity))
    assert "--weights ViT-B-32-quickgelu=openai downloads them" in outcome(path, image)
    with pytest.raises(AssertionError, match="loaded openai"):
        monkeypatch.setattr(scorer, "load_encoder", lambda model, weights, *rest: pytest.fail(f"loaded {weights}"))
        try:
            Scorer(path, weights={"ViT-B-32-quickgelu": "openai"})
        except pytest.fail.Exception as failed:
            raise AssertionError(str(failed)) from None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value, parts, image, tmp_path):
    tensors = {name: array.copy() for name, array in parts[0].items()}
    tensors["fusion.W_g.bias"][3] = value
    path = tmp_path / "head.safetensors"
    write_store(path, tensors, parts[1])
    done = CliRunner().invoke(main, ["score", str(image), "--head", str(path), "--prompt", "a box"])
    assert done.exit_code == 1 and done.output.count("\n") == 1
    assert f"{path}: fusion.W_g.bias holds what is no finite number" in done.output


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64, torch.bfloat16, torch.float8_e4m3fn])
def test_weights_of_another_kind_are_refused(kind, parts, tmp_path):
    tensors = {name: torch.tensor(array) for name, array in parts[0].items()}
    tensors["head.alpha"] = tensors["head.alpha"].to(kind)
    path = tmp_path / "head.safetensors"
    save_file(tensors, path, {"mstclipiqa": json.dumps(parts[1])})
    with pytest.raises(InputError, match=rf"^{path}: "):
        load_head(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"a": NaN}', "[]", "1", '"x"'])
def test_a_card_that_is_none_is_refused(text, parts, tmp_path):
    path = tmp_path / "head.safetensors"
    save_file({"x": torch.ones(1)}, path, {"mstclipiqa": text})
    with pytest.raises(InputError, match=rf"^{path}: "):
        load_head(path)


def test_a_score_that_is_not_finite_is_an_error_of_its_image(parts, image, tmp_path):
    """Weights that are finite, and overflow: the other head's score stays, and the exit status is 1."""
    tensors = {
        name: np.full_like(array, 1e38) if name == "head.w_o.weight" else array for name, array in parts[0].items()
    }
    bad, good = tmp_path / "bad.safetensors", tmp_path / "good.safetensors"
    write_store(bad, tensors, parts[1])
    write_store(good, parts[0], edited(parts[1], ("target",), "correspondence"))
    out = tmp_path / "scores.json"
    heads = ["--head", str(bad), "--head", str(good), "--prompt", "a box"]
    done = CliRunner().invoke(main, ["score", str(image), *heads, "--out", str(out)])
    assert done.exit_code == 1 and "1 of 1 images could not be scored" in done.output
    document = json.loads(out.read_text(), parse_constant=lambda text: pytest.fail(text))
    (row,) = document["scores"]
    assert row["quality"] is None and np.isfinite(row["correspondence"])
    assert "the quality score is" in row["error"] and "bad.safetensors cannot score this image" in row["error"]


def test_a_card_whose_test_metrics_are_not_finite_is_json(parts, image, tmp_path):
    path, out = tmp_path / "head.safetensors", tmp_path / "scores.json"
    write_store(path, parts[0], edited(parts[1], ("test", "krcc"), float("nan")))
    done = CliRunner().invoke(main, ["score", str(image), "--head", str(path), "--prompt", "a", "--out", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(out.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert document["heads"]["quality"]["test"]["krcc"] is None


STRANGE_NAMES = {
    "bytes that are no UTF-8": (b"a\xff.png", "a\\udcff.png"),
    "a terminal's escape": (b"\x1b[2Jb.png", "\\x1b[2Jb.png"),
    "two lines": (b"a\nb.png", "a\\nb.png"),
    "turned text": ("a\u202egnp.png".encode(), "a\\u202egnp.png"),
    "a formula": (b"=1+1.png", "'=1+1.png"),
}


@pytest.mark.parametrize("out", ["scores.csv", "scores.json", None])
@pytest.mark.parametrize(("name", "shown"), STRANGE_NAMES.values(), ids=STRANGE_NAMES)
def test_names_of_any_bytes_are_scored_and_shown(name, shown, out, parts, image, tmp_path, monkeypatch):
    """Computed to the end and not lost; a picture that cannot be read is named too."""
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path(os.fsdecode(name)).write_bytes(image.read_bytes())
    Path(os.fsdecode(b"bad" + name)).write_bytes(b"no image")
    path = tmp_path / "head.safetensors"
    write_store(path, *parts)
    options = ["--head", str(path), "--prompt", "a box", *(["--out", str(tmp_path / out)] if out else [])]
    done = CliRunner().invoke(main, ["score", os.fsdecode(name), os.fsdecode(b"bad" + name), *options])
    assert done.exit_code == 1 and "Traceback" not in done.output, done.output
    assert isinstance(done.exception, SystemExit) and "1 of 2 images" in done.output
    assert "\x1b" not in done.output and "\u202e" not in done.output
    if out == "scores.json":
        rows = json.loads((tmp_path / out).read_text())["scores"]
        assert os.fsencode(rows[0]["image"]) == name and os.fsdecode(b"bad" + name) in rows[1]["error"]
    else:
        text = (tmp_path / out).read_text() if out else done.output
        lines = [line for line in text.splitlines() if ".png" in line]
        assert len(lines) == 2 and lines[0].startswith(shown) and f"bad{shown.removeprefix(chr(39))}" in lines[1]


@pytest.mark.parametrize("prompt, said", [("a \udcff box", "is not UTF-8"), ("x" * 40_000, "has 40,000 characters")])
def test_a_prompt_that_is_none_is_refused(prompt, said, parts, image, tmp_path):
    path = tmp_path / "head.safetensors"
    write_store(path, *parts)
    with pytest.raises(InputError, match=rf"^{image}: its prompt {said}"):
        Scorer(path).score(image, prompt)


def test_plain_scores_are_as_pandas_writes_them(parts, image, tmp_path):
    path = tmp_path / "head.safetensors"
    write_store(path, *parts)
    table = Scorer(path).score(image, "a box")
    assert as_csv(table) == table.to_csv(index=False)
