"""The shipped weights: their file format, and that they do what their card says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.encoders.clip import load_encoder
from mstclipiqa.encoders.compact_weights import (
    EMBEDDED,
    FOLDER,
    UNKNOWN,
    embedded_file,
    is_compact,
    read_weights,
    write_weights,
)
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.synthetic.artefacts import ARTEFACTS
from mstclipiqa.synthetic.corpus import Corpus, draw_example
from mstclipiqa.synthetic.pretraining import examine

CPU = torch.device("cpu")
PAIR = ("mst-small-32", "mst-small-16")
VOCABULARY = 49408


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return open_clip.create_model("mst-small-32")


@pytest.fixture(scope="module")
def shown() -> torch.Tensor:
    return torch.unique(open_clip.get_tokenizer("mst-small-32")(["two red balls", "a blurry picture"]))


def test_what_is_written_is_read_to_float16(model, shown, tmp_path: Path):
    write_weights(tmp_path / "w.safetensors", model, shown)
    state, expected = read_weights(tmp_path / "w.safetensors", VOCABULARY), model.state_dict()
    assert state.keys() == expected.keys()
    table, original = state.pop("token_embedding.weight"), expected.pop("token_embedding.weight")
    for name, tensor in state.items():
        assert torch.equal(tensor, expected[name].half().float()), name
    known = torch.zeros(VOCABULARY, dtype=torch.bool).index_fill(0, shown.long(), True)
    assert torch.equal(table[known], original[known].half().float())
    assert torch.equal(table[~known], original[UNKNOWN].half().float().expand(int((~known).sum()), -1))


def test_no_text_gives_the_token_of_unknown_words():
    """It would need its rare two characters as one word; whatever else a prompt holds gives other tokens."""
    tokenize = open_clip.get_tokenizer("mst-small-32")
    texts = ["".join(map(chr, range(start, start + 40))) for start in range(32, 0x3000, 40)]
    assert UNKNOWN not in tokenize(texts)


def test_compact_files_are_told_from_plain_ones(model, shown, tmp_path: Path):
    write_weights(tmp_path / "compact.safetensors", model, shown)
    save_file(model.state_dict(), tmp_path / "plain.safetensors")
    assert is_compact(tmp_path / "compact.safetensors") and not is_compact(tmp_path / "plain.safetensors")
    assert not is_compact(tmp_path / "weights.pt")
    hashes = [load_encoder("mst-small-32", str(tmp_path / f"{name}.safetensors"), CPU).identity["weights_sha256"]
              for name in ("compact", "plain")]  # fmt: skip
    assert hashes[0] != hashes[1]


def test_compact_file_of_another_model_is_refused(model, shown, tmp_path: Path):
    write_weights(tmp_path / "w.safetensors", model, shown)
    with pytest.raises(InputError, match="size mismatch") as error:
        load_encoder("mst-small-16", str(tmp_path / "w.safetensors"), CPU)
    assert "\n" not in str(error.value)


def test_a_model_without_embedded_weights_says_so():
    with pytest.raises(InputError, match="'embedded' are neither a file nor a tag"):
        load_encoder("ViT-B-32", EMBEDDED, CPU)


# What ships


def test_the_pair_ships_with_its_card_in_ten_megabytes():
    files = [embedded_file(name) for name in PAIR]
    assert all(files) and sum(path.stat().st_size for path in files) <= 10_000_000
    card = (FOLDER / "README.md").read_text()
    for name in PAIR:
        assert load_encoder(name, EMBEDDED, CPU).identity["weights_sha256"] in card
        assert sha256(embedded_file(name)) in card
        assert (FOLDER / f"{name}.csv").is_file()


def test_the_pair_has_one_embedding_size_and_two_patch_sizes():
    coarse, fine = (load_encoder(name, EMBEDDED, CPU) for name in PAIR)
    assert coarse.identity["dim"] == fine.identity["dim"]
    assert [encoder.model.visual.patch_size for encoder in (coarse, fine)] == [(32, 32), (16, 16)]
    assert coarse.identity["pretrained"] and coarse.identity["label"] == "mst-small-32, weights embedded"
    assert coarse.identity["activation"] == "QuickGELU"


@pytest.fixture(scope="module")
def unseen() -> Corpus:
    """640 examples of a seed that neither training nor its examination used."""
    examples = [draw_example(77, index) for index in range(640)]
    labels = [
        {"content": e.content, "quality": e.quality} | dict.fromkeys(ARTEFACTS, 0.0) | e.strengths for e in examples
    ]
    return Corpus(
        [np.stack([np.asarray(e.image) for e in examples[i : i + 500]]) for i in (0, 500)], pd.DataFrame(labels)
    )


@pytest.mark.parametrize("name", PAIR)
def test_the_pair_does_on_unseen_drawings_what_its_card_says(name, unseen):
    """64-way retrieval of captions and zero-shot quality, with the sign as it comes."""
    found = examine(load_encoder(name, EMBEDDED, CPU).model, unseen)
    assert found["retrieval"] >= 0.85
    assert found["zero_shot_quality"] >= 0.65
