"""One small model of each family, of drawn weights, against open_clip's and timm's own calls."""

import json
import logging
from pathlib import Path

import pytest
import torch
from encoder_families import FAMILIES, save_tokenizer, write_hub_model, write_model
from PIL import Image
from safetensors.torch import save_file

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.clip import hash_weights, load_encoder, normalise, published_preprocessing
from mstclipiqa.encoders.extraction import extract_texts
from mstclipiqa.encoders.open_clip_loader import open_clip, timm

CPU = torch.device("cpu")
TEXTS = ["a corgi", "", "word " * 40]
BACKBONES = ["test_vit", "test_convnext", "test_resnet"]


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)  # open_clip says that it draws weights
    yield
    logging.disable(logging.NOTSET)


def picture() -> Image.Image:
    noise = torch.randint(0, 256, (9, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Image.fromarray(noise.numpy()).resize((70, 50), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_encodes_as_open_clip_alone_does(family: str, tmp_path: Path):
    name = write_model(tmp_path / family, family)
    encoder = load_encoder(name, "random:3", CPU)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, _, preprocess = open_clip.create_model_and_transforms(name, load_weights=False)
    model.eval()
    assert encoder.identity["weights_sha256"] == load_encoder(name, "random:3", CPU).identity["weights_sha256"]
    assert hash_weights(encoder.model.visual) == hash_weights(model.visual)
    assert encoder.identity["dim"] == FAMILIES[family][0]["embed_dim"]
    pixels, tokens = preprocess(picture())[None], open_clip.get_tokenizer(name)(TEXTS)
    with torch.no_grad():
        images, texts = model.encode_image(pixels, normalize=False), model.encode_text(tokens, normalize=False)
    assert torch.equal(normalise(encoder.preprocess(picture())[None], encoder.identity["preprocessing"]), pixels)
    torch.testing.assert_close(encoder.encode_images(pixels), images, rtol=1e-4, atol=1e-5)
    states, pooled = encoder.encode_texts(TEXTS)
    torch.testing.assert_close(pooled, texts)
    assert [state.shape for state in states] == [(length, encoder.identity["text_width"]) for length in (4, 2, 16)]


def test_preprocessing_is_the_folders_own_and_in_the_identity(tmp_path: Path):
    encoder = load_encoder(write_model(tmp_path / "siglip", "siglip"), "random:3", CPU)
    said = encoder.identity["preprocessing"]
    assert (said["mean"], said["resize_mode"], said["size"]) == ((0.5, 0.5, 0.5), "squash", (160, 160))
    white = encoder.preprocess(Image.new("RGB", (9, 20), "white"))
    assert normalise(white[None], said).unique().tolist() == [1.0]
    assert encoder.identity["model"] == encoder.identity["label"].partition(",")[0] == "local-dir:siglip"
    assert "timm" in encoder.identity["versions"] and str(tmp_path) not in json.dumps(encoder.identity)


def test_drawn_weights_are_shown_images_as_the_published_ones_of_their_architecture():
    assert published_preprocessing("ViT-B-16-SigLIP")["mean"] == (0.5, 0.5, 0.5)
    assert published_preprocessing("ViT-B-32")["mean"] == open_clip.constants.OPENAI_DATASET_MEAN
    assert published_preprocessing("ViT-L-14") == {}, "its tags differ"
    assert published_preprocessing("mst-small-32") == {}


def test_a_folders_model_takes_its_weights_from_a_file(tmp_path: Path):
    name = write_model(tmp_path / "coca", "coca")
    drawn = load_encoder(name, "random:3", CPU)
    save_file(drawn.model.state_dict(), tmp_path / "coca" / "weights.safetensors")
    loaded = load_encoder(name, str(tmp_path / "coca" / "weights.safetensors"), CPU)
    assert loaded.identity["weights_sha256"] == drawn.identity["weights_sha256"]
    assert loaded.identity["pretrained"] and loaded.identity["weights"] == "weights.safetensors"


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_is_timms_without_its_classifier(name: str, tmp_path: Path):
    encoder = load_encoder(f"timm:{name}", "random:5", CPU)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = timm.create_model(name, num_classes=0).eval()
    own = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    pixels = own(picture())[None]
    assert torch.equal(normalise(encoder.preprocess(picture())[None], encoder.identity["preprocessing"]), pixels)
    with torch.no_grad():
        features = model(pixels)
    torch.testing.assert_close(encoder.encode_images(pixels), features)
    identity = json.loads(json.dumps(encoder.identity))
    assert (identity["dim"], identity["model"]) == (features.shape[1], f"timm:{name}")
    assert {"mean", "std", "interpolation", "input_size", "crop_pct"} <= identity["preprocessing"].keys()
    assert "text_width" not in identity and identity["versions"]["timm"] == timm.__version__


def test_a_backbone_takes_its_weights_from_a_file_with_a_classifier(tmp_path: Path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole = timm.create_model("test_vit").eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    encoder = load_encoder("timm:test_vit", str(tmp_path / "weights.pt"), CPU)
    pixels = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(pixels), pre_logits=True)
    torch.testing.assert_close(encoder.encode_images(pixels), expected)
    assert encoder.identity["file_sha256"] and encoder.identity["pretrained"]


@pytest.mark.parametrize(("name", "options"), [("test_vit", {"img_size": 96}), ("test_convnext", {})])
def test_a_backbone_may_be_shown_images_of_another_size(name: str, options: dict, tmp_path: Path):
    """A transformer's positions are resized as timm does it; a convolution has none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole = timm.create_model(name).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    overlay = {"state_dict": torch.load(tmp_path / "weights.pt"), "custom_load": False}
    smaller = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, **options)
    encoder = load_encoder(f"timm:{name}@96", str(tmp_path / "weights.pt"), CPU)
    pixels = encoder.preprocess(picture())[None]
    assert pixels.shape == (1, 96, 96, 3) and encoder.image_size == 96
    with torch.no_grad():
        expected = smaller.eval()(normalise(pixels, encoder.identity["preprocessing"]))
    torch.testing.assert_close(encoder.encode_images(pixels), expected)
    identity = encoder.identity
    assert (identity["model"], identity["architecture"]["image_size"]) == (f"timm:{name}@96", 96)
    assert identity["preprocessing"]["input_size"] == (3, 96, 96)
    assert identity["weights_sha256"] == hash_weights(encoder.model)


def test_a_backbone_reads_no_texts():
    encoder = load_encoder("timm:test_vit", "random:5", CPU)
    for read in (encoder.encode_texts, encoder.token_counts):
        with pytest.raises(InputError, match="timm:test_vit: has no text tower; name another as text_encoder"):
            read(["a corgi"])


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        ("timm:nope", "random:1", "timm knows no such model"),
        ("timm:test_vit@100", "random:1", "patches of 16 do not tile 100 x 100 pixels"),
        ("RN50@16", "random:1", "only open_clip's vision transformers take another patch size"),
        ("timm:test_vit", "openai", "neither a file nor a tag .tags: r160_in1k"),
        ("local-dir:nowhere", "random:1", "nowhere/open_clip_config.json'; give a folder with open_clip_config.json"),
    ],
)
def test_what_cannot_be_an_encoder_is_one_line(model: str, weights: str, said: str):
    with pytest.raises(InputError, match=said) as error:
        load_encoder(model, weights, CPU)
    assert "\n" not in str(error.value)


def test_damaged_weights_of_a_backbone_are_one_line(tmp_path: Path):
    (tmp_path / "weights.pt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"weights.pt: cannot be loaded") as error:
        load_encoder("timm:test_vit", str(tmp_path / "weights.pt"), CPU)
    assert "\n" not in str(error.value)


# Text towers and tokenizers of transformers, which is an extra


def test_without_transformers_a_tokenizer_of_its_is_refused_when_texts_are_read(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    encoder = load_encoder(write_model(tmp_path / "siglip", "siglip", hf_tokenizer_name="its own"), "random:3", CPU)
    assert encoder.encode_images(torch.zeros(1, 3, 160, 160)).shape == (1, 96), "images need no tokenizer"
    with pytest.raises(InputError, match=r"its own needs transformers; pip install 'mstclipiqa\[texts\]'"):
        encoder.encode_texts(["a corgi"])


def test_a_tokenizer_of_a_folder_says_what_it_is(tmp_path: Path):
    pytest.importorskip("transformers", reason="an extra: pip install 'mstclipiqa[texts]'")
    name = write_model(tmp_path / "siglip", "siglip", hf_tokenizer_name="its own", vocab_size=7)
    save_tokenizer(tmp_path / "siglip")
    encoder = load_encoder(name, "random:3", CPU)
    assert encoder.token_counts(TEXTS) == [4, 2, 42]
    states, pooled = encoder.encode_texts(TEXTS)
    assert [len(state) for state in states] == [4, 2, 16]
    assert encoder.token_letters(TEXTS)[:2] == [["<s>", "a", "corgi", "</s>"], ["<s>", "</s>"]]
    with torch.no_grad():
        torch.testing.assert_close(pooled, encoder.model.encode_text(open_clip.get_tokenizer(name)(TEXTS)))
    assert len(encoder.text_settings["tokenizer_sha256"]) == 64


@pytest.mark.parametrize("family", ["xlm-roberta", "nllb"])
def test_a_multilingual_text_tower_gives_its_last_hidden_states(family: str, tmp_path: Path):
    pytest.importorskip("transformers", reason="an extra: pip install 'mstclipiqa[texts]'")
    name = write_hub_model(tmp_path / family, family)
    encoder = load_encoder(name, "random:3", CPU)
    states, pooled = encoder.encode_texts(TEXTS)
    tokens = encoder.tokenize(TEXTS)
    with torch.no_grad():
        expected = encoder.model.text.transformer(tokens, attention_mask=(tokens != 1).long()).last_hidden_state
        torch.testing.assert_close(pooled, encoder.model.encode_text(tokens))
    for state, whole, length in zip(states, expected, (4, 2, 16), strict=True):
        torch.testing.assert_close(state, whole[:length])
    assert encoder.identity["text_width"] == 32 and encoder.identity["versions"]["transformers"]
    assert str(tmp_path) not in json.dumps(encoder.identity)
    for threads in (1, 4):  # transformers' tokenizers keep the settings of a call in themselves
        extract_texts(encoder, ["word " * count for count in range(40)], tmp_path / f"{threads}", 2, threads)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "4").read_bytes()
