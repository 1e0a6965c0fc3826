"""The encoders against open_clip's own calls, and their identity."""

import dataclasses
import json
import pickle
import random
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import sha256
from mstclipiqa.encoders import clip
from mstclipiqa.encoders.clip import Encoder, hash_weights, load_encoder
from mstclipiqa.encoders.open_clip_loader import open_clip

CPU = torch.device("cpu")
END_TOKEN = 49407
TEXTS = ["a corgi", "", "a red boat, below three brown stars; 木", "word " * 100]


@pytest.fixture(scope="module")
def coarse() -> Encoder:
    return load_encoder("mst-small-32", "random:32", CPU)


@pytest.fixture(scope="module")
def fine() -> Encoder:
    return load_encoder("mst-small-16", "random:16", CPU)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Smooth noise, larger and smaller than the encoders' input, wide and tall."""
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)) for _ in range(3)]
    sizes = [(300, 250), (180, 240), (224, 224)]
    return [image.resize(size, Image.Resampling.BICUBIC) for image, size in zip(noise, sizes, strict=True)]


def test_images_are_encoded_as_by_a_model_made_with_open_clip_alone(coarse: Encoder, images: list[Image.Image]):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(32)
        model, _, preprocess = open_clip.create_model_and_transforms("mst-small-32", pretrained=None)
    model.eval().requires_grad_(False)
    expected = model.encode_image(torch.stack([preprocess(image) for image in images]))
    prepared = torch.stack([coarse.preprocess(image) for image in images])
    assert prepared.dtype == torch.uint8 and prepared.shape == (3, 224, 224, 3)
    pixels = clip.normalise(prepared, coarse.identity["preprocessing"])
    assert torch.equal(pixels, torch.stack([preprocess(image) for image in images])), "to the bit"
    features = coarse.encode_images(prepared)
    assert torch.equal(features, coarse.encode_images(pixels)), "ready pixels are taken as they are"
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)
    assert features.dtype == torch.float32 and features.shape == (3, coarse.identity["dim"])
    assert not torch.allclose(features.norm(dim=1), torch.ones(3)), "not normalised"


def test_bfloat16_image_tower_is_its_models_own_call_and_close_to_float32(coarse: Encoder, images: list[Image.Image]):
    rounded = load_encoder("mst-small-32", "random:32", CPU, precision="bfloat16")
    assert {parameter.dtype for parameter in rounded.model.visual.parameters()} == {torch.bfloat16}
    pixels = torch.stack([coarse.preprocess(image) for image in images])
    features = rounded.encode_images(pixels)
    assert features.dtype == torch.float32
    normalised = clip.normalise(pixels, coarse.identity["preprocessing"])
    assert torch.equal(features.bfloat16(), rounded.model.encode_image(normalised.bfloat16()))
    assert torch.cosine_similarity(features, coarse.encode_images(pixels)).min() > 0.999


def test_precision_is_part_of_the_identity_and_texts_stay_in_float32(coarse: Encoder):
    rounded = load_encoder("mst-small-32", "random:32", CPU, precision="bfloat16")
    changed = {key for key in coarse.identity if rounded.identity[key] != coarse.identity[key]}
    assert changed == {"label", "precision"}, "weights are hashed as they were loaded, so texts are of the same CLIP"
    assert rounded.identity["label"] == f"{coarse.identity['label']}, bfloat16"
    for mine, theirs in zip(rounded.encode_texts(TEXTS), coarse.encode_texts(TEXTS), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_encoders_that_prepare_images_alike_share_the_transform(coarse: Encoder, fine: Encoder):
    assert coarse.preprocess is fine.preprocess
    other = clip.image_transform(**coarse.identity["preprocessing"] | {"interpolation": "bilinear"})
    assert clip.image_transform(**coarse.identity["preprocessing"]) is coarse.preprocess is not other


def test_pooled_texts_are_the_models_own(coarse: Encoder):
    tokens = open_clip.get_tokenizer("mst-small-32")(TEXTS)
    with torch.no_grad():
        assert torch.equal(coarse.encode_texts(TEXTS)[1], coarse.model.encode_text(tokens))


def test_token_states_are_what_the_final_layer_norm_gives(coarse: Encoder):
    seen = []
    hook = coarse.model.ln_final.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        coarse.model.encode_text(open_clip.get_tokenizer("mst-small-32")(TEXTS))
    hook.remove()
    states, _ = coarse.encode_texts(TEXTS)
    for mine, all_positions in zip(states, seen[0], strict=True):
        assert mine.shape[1] == coarse.identity["text_width"]
        torch.testing.assert_close(mine, all_positions[: len(mine)])


def test_projected_end_token_is_the_pooled_text(coarse: Encoder):
    states, pooled = coarse.encode_texts(TEXTS)
    for state, expected in zip(states, pooled, strict=True):
        torch.testing.assert_close(state[-1] @ coarse.model.text_projection, expected)


def test_lengths_count_start_and_end_token_and_stop_at_the_context(coarse: Encoder):
    tokenizer = open_clip.get_tokenizer("mst-small-32")
    counts = [len(tokenizer.encode(text)) + 2 for text in TEXTS]
    assert counts[:2] == [4, 2] and counts[-1] == 102
    assert coarse.token_counts(TEXTS) == counts
    assert [len(state) for state in coarse.encode_texts(TEXTS)[0]] == [min(count, 77) for count in counts]


def test_tokens_are_said_in_letters(coarse: Encoder):
    texts = ["a red cube", "photorealistic"]
    letters = coarse.token_letters(texts)
    assert letters[0][1:-1] == ["a", "red", "cube"] and "".join(letters[1][1:-1]) == "photorealistic"
    assert [len(row) for row in letters] == [len(states) for states in coarse.encode_texts(texts)[0]]


def test_truncated_text_ends_with_the_end_token(coarse: Encoder):
    tokens = coarse.tokenize([TEXTS[-1]])
    assert tokens.shape == (1, 77) and tokens[0, -1] == END_TOKEN
    longer, _ = coarse.encode_texts([TEXTS[-1] + "and nothing of this is read"])
    torch.testing.assert_close(longer[0], coarse.encode_texts([TEXTS[-1]])[0][0])


def test_states_do_not_depend_on_the_other_texts_of_the_batch(coarse: Encoder):
    together, together_pooled = coarse.encode_texts(TEXTS)
    for text, state, pooled in zip(TEXTS, together, together_pooled, strict=True):
        alone, alone_pooled = coarse.encode_texts([text])
        torch.testing.assert_close(alone[0], state)
        torch.testing.assert_close(alone_pooled[0], pooled)


def test_small_pair_has_the_papers_architecture(coarse: Encoder, fine: Encoder):
    assert coarse.identity["dim"] == fine.identity["dim"]
    for encoder, patch in ((coarse, 32), (fine, 16)):
        assert encoder.model.visual.patch_size == (patch, patch)
        assert encoder.model.visual.image_size == (224, 224)
        assert encoder.identity["context_length"] == 77
        activations = {type(module).__name__ for module in encoder.model.modules() if "GELU" in type(module).__name__}
        assert activations == {"QuickGELU"} == {encoder.identity["activation"]}


def test_encoder_is_frozen_and_evaluating(coarse: Encoder):
    assert not coarse.model.training
    assert not any(parameter.requires_grad for parameter in coarse.model.parameters())


def test_identity_is_json_and_records_the_preprocessing(coarse: Encoder):
    recorded = json.loads(json.dumps(coarse.identity))
    assert recorded["preprocessing"]["size"] == [224, 224]
    assert recorded["preprocessing"]["interpolation"] == "bicubic"
    assert recorded["preprocessing"]["resize_mode"] == "shortest"
    assert recorded["preprocessing"]["mean"] == list(open_clip.constants.OPENAI_DATASET_MEAN)
    assert recorded["preprocessing"]["std"] == list(open_clip.constants.OPENAI_DATASET_STD)
    assert recorded["precision"] == "float32" and recorded["pretrained"] is False
    assert {"torch", "torchvision", "open_clip_torch", "pillow"} <= recorded["versions"].keys()


def test_identity_is_the_seeds(coarse: Encoder):
    assert load_encoder("mst-small-32", "random:32", CPU).identity == coarse.identity
    other = load_encoder("mst-small-32", "random:33", CPU).identity
    assert other["weights_sha256"] != coarse.identity["weights_sha256"]
    same = other.keys() - {"weights", "weights_sha256", "label"}
    assert all(other[key] == coarse.identity[key] for key in same)


def test_weights_hash_moves_with_one_weight_and_with_a_name():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    second.load_state_dict(first.state_dict())
    assert hash_weights(first) == hash_weights(second)
    with torch.no_grad():
        second.weight[0, 0] += 1e-3
    assert hash_weights(first) != hash_weights(second)
    assert hash_weights(torch.nn.Sequential(first)) != hash_weights(first)


def test_loading_leaves_the_callers_random_numbers_alone():
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    load_encoder("mst-small-32", "random:1", CPU)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]


def save_pickled(encoder: Encoder, path: Path) -> None:
    torch.save(encoder.model.state_dict(), path)


def save_as_training_does(encoder: Encoder, path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": encoder.model.state_dict()}, path)


def save_safetensors(encoder: Encoder, path: Path) -> None:
    save_file(encoder.model.state_dict(), path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("weights.pt", save_pickled),
        ("weights.pt", save_as_training_does),
        ("weights.safetensors", save_safetensors),
    ],
)
def test_weights_file_gives_the_encoder_it_was_saved_from(
    name: str, save: Callable[[Encoder, Path], None], coarse: Encoder, images: list[Image.Image], tmp_path: Path
):
    save(coarse, tmp_path / name)
    loaded = load_encoder("mst-small-32", str(tmp_path / name), CPU)
    assert loaded.identity["weights_sha256"] == coarse.identity["weights_sha256"]
    assert loaded.identity["pretrained"] is True and loaded.identity["weights"] == name
    pixels = torch.stack([coarse.preprocess(image) for image in images])
    assert torch.equal(torch.stack([loaded.preprocess(image) for image in images]), pixels)
    assert torch.equal(loaded.encode_images(pixels), coarse.encode_images(pixels))


def test_identity_does_not_tell_where_the_weights_lie(coarse: Encoder, tmp_path: Path):
    save_pickled(coarse, tmp_path / "weights.pt")
    (tmp_path / "elsewhere").mkdir()
    save_pickled(coarse, tmp_path / "elsewhere" / "weights.pt")
    here, there = (
        load_encoder("mst-small-32", str(folder / "weights.pt"), CPU) for folder in (tmp_path, tmp_path / "elsewhere")
    )
    assert here.identity == there.identity
    assert str(tmp_path) not in json.dumps(here.identity)


class Part(torch.nn.Module):
    """Of a program with a state dict; OpenAI's weights come as one."""

    def forward(self) -> int:
        return 0


def save_program(encoder: Encoder, path: Path) -> None:
    whole = Part()
    for name, value in encoder.model.state_dict().items():
        *parents, last = name.split(".")
        part = whole
        for parent in parents:
            if parent not in dict(part.named_children()):
                part.add_module(parent, Part())
            part = part.get_submodule(parent)
        part.register_buffer(last, value)
    torch.jit.script(whole).save(path)


def test_openais_file_is_run_only_where_it_is_theirs_to_the_byte(
    coarse: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "theirs.pt"
    save_program(coarse, path)
    published = {"url": f"https://host/clip/models/{sha256(path)}/theirs.pt", "quick_gelu": True}
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: ["openai"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: published if tag == "openai" else {})
    loaded = load_encoder("mst-small-32", str(path), CPU)
    assert loaded.identity["weights_sha256"] == coarse.identity["weights_sha256"]
    assert loaded.identity["file_sha256"] == sha256(path) and "file_sha256" not in coarse.identity
    monkeypatch.setitem(published, "quick_gelu", False)
    with pytest.raises(InputError, match="were trained with GELU; use mst-small-32"):
        load_encoder("mst-small-32", str(path), CPU)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="damaged, or more than tensors is in it"):
        load_encoder("mst-small-32", str(path), CPU)


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("ViT-B-32", "openai", ["ViT-B-32", "openai", "QuickGELU", "use ViT-B-32-quickgelu"]),
        ("ViT-B-16", "openai", ["ViT-B-16", "openai", "QuickGELU", "use ViT-B-16-quickgelu"]),
        ("ViT-B-33", "random:0", ["ViT-B-33"]),
        ("", "random:0", ["model"]),
        ("mst-small-32", "openai", ["mst-small-32", "openai", "random:SEED"]),
        ("ViT-B-32-quickgelu", "opneai", ["opneai", "openai"]),
        ("mst-small-32", "random:x", ["random:x", "whole number"]),
        ("mst-small-32", "random:", ["random:", "whole number"]),
        ("mst-small-32", "random:-1", ["random:-1", "whole number"]),
        ("mst-small-32", f"random:{2**70}", [f"random:{2**70}"]),
        ("mst-small-32", "no/such/file.pt", ["no/such/file.pt", "file"]),
    ],
)
def test_bad_name_or_weights_is_one_line_before_any_download(
    name: str, weights: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: asked.append(arguments))
    with pytest.raises(InputError) as error:
        load_encoder(name, weights)
    assert "\n" not in str(error.value)
    assert [word for word in expected if word not in str(error.value)] == []
    assert asked == []


def other_architecture(path: Path) -> None:
    torch.save(load_encoder("mst-small-16", "random:0", CPU).model.state_dict(), path)


def half(path: Path) -> None:
    state = {f"tensor{i}": torch.zeros(1000) for i in range(3)}
    torch.save(state, path) if path.suffix == ".pt" else save_file(state, path)
    path.write_bytes(path.read_bytes()[:6000])


#: What a weights file may turn out to be.
GARBAGE: dict[str, Callable[[Path], object]] = {
    "note.txt": lambda path: path.write_text("hello world"),
    "empty.pt": lambda path: path.write_bytes(b""),
    "noise.pt": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "page.pt": lambda path: path.write_text("<!DOCTYPE html><html>Quota exceeded</html>"),
    "list.pt": lambda path: torch.save([1, 2], path),
    "nothing.pt": lambda path: torch.save({}, path),
    "whole_module.pt": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "half.safetensors": half,
    "note.safetensors": lambda path: path.write_text("hello world"),
    "empty.safetensors": lambda path: path.write_bytes(b""),
    "half.pt": half,
    "pickle.pt": lambda path: path.write_bytes(pickle.dumps({"answer": 42}, protocol=2)),
    "other_names.pt": lambda path: torch.save({"weight": torch.zeros(2)}, path),
    "other_architecture.pt": other_architecture,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_weights_file_is_one_line(name: str, tmp_path: Path):
    GARBAGE[name](tmp_path / name)
    with pytest.raises(InputError) as error:
        load_encoder("mst-small-32", str(tmp_path / name), CPU)
    assert "\n" not in str(error.value)
    assert name in str(error.value) and "mst-small-32" in str(error.value)


def test_weights_of_another_architecture_say_what_does_not_fit(tmp_path: Path):
    other_architecture(tmp_path / "other.pt")
    with pytest.raises(InputError, match="size mismatch"):
        load_encoder("mst-small-32", str(tmp_path / "other.pt"), CPU)


def test_papers_encoder_is_openais_architecture():
    encoder = load_encoder("ViT-B-32-quickgelu", "random:0", CPU)
    assert sum(parameter.numel() for parameter in encoder.model.parameters()) == 151_277_313  # as OpenAI's
    assert encoder.identity["activation"] == "QuickGELU"
    assert (encoder.identity["dim"], encoder.identity["text_width"]) == (512, 512)
    assert encoder.encode_images(torch.zeros(1, 3, 224, 224)).shape == (1, 512)
    states, pooled = encoder.encode_texts(["a corgi"])
    assert states[0].shape == (4, 512) and pooled.shape == (1, 512)


def test_encoder_cannot_be_changed_by_accident(coarse: Encoder):
    with pytest.raises(dataclasses.FrozenInstanceError):
        coarse.identity = {}


# Another patch size


def test_retokenised_encoder_has_the_other_patches_and_the_same_text_tower(coarse: Encoder):
    retokenised = load_encoder("mst-small-32@16", "random:32", CPU)
    visual = retokenised.model.visual
    assert visual.conv1.weight.shape[-2:] == (16, 16) and visual.positional_embedding.shape[0] == 1 + 14 * 14
    assert retokenised.identity["label"] == "mst-small-32@16, random weights (seed 32)"
    assert retokenised.identity["weights_sha256"] != coarse.identity["weights_sha256"]
    assert torch.equal(retokenised.encode_texts(TEXTS)[1], coarse.encode_texts(TEXTS)[1])
    assert not [parameter for parameter in retokenised.model.parameters() if parameter.requires_grad]


def test_a_small_patch_gives_the_token_of_the_same_patch_enlarged(coarse: Encoder):
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    retokenised = load_encoder("mst-small-32@16", "random:32", CPU)
    enlarged = pixels.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    expected, found = coarse.model.visual.conv1(enlarged), retokenised.model.visual.conv1(pixels)
    assert found.shape[-2:] == (14, 14)
    assert torch.allclose(found, expected, atol=1e-4)


def test_its_own_patch_size_changes_nothing(coarse: Encoder, images: list[Image.Image]):
    same = load_encoder("mst-small-32@32", "random:32", CPU)
    pixels = torch.stack([coarse.preprocess(image) for image in images])
    assert torch.allclose(same.encode_images(pixels), coarse.encode_images(pixels), atol=1e-5)


@pytest.mark.parametrize("name", ["mst-small-32@", "mst-small-32@x", "mst-small-32@0", "mst-small-32@15"])
def test_a_patch_size_that_cannot_be_is_one_line(name: str):
    with pytest.raises(InputError, match=name) as error:
        load_encoder(name, "random:32", CPU)
    assert "\n" not in str(error.value)
