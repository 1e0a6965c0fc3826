"""A checkpoint in the released code's names scores as that code's equations do, one image per batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.clip import normalise
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.scoring.released import RECIPE, load_released
from mstclipiqa.scoring.scorer import Scorer

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
DIM, HEADS, LAYERS, CONTEXT, VOCABULARY = 64, 2, 2, 77, 49408
PROMPTS = ["a red cube", "Many people at a market, 35mm film"]


def layers(prefix: str) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for start in (f"{prefix}encoder.layers.{number}." for number in range(LAYERS)):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"{start}self_attn.{name}.weight"] = (DIM, DIM)
        for name, shape in (("fc1", (4 * DIM, DIM)), ("fc2", (DIM, 4 * DIM))):
            shapes[f"{start}mlp.{name}.weight"] = shape
        shapes |= {f"{start}layer_norm{number}.weight": (DIM,) for number in (1, 2)}
    return shapes


def vision(prefix: str, patch: int) -> dict[str, tuple[int, ...]]:
    model, tokens = f"{prefix}vision_model.", (224 // patch) ** 2 + 1
    return {
        f"{model}embeddings.class_embedding": (DIM,),
        f"{model}embeddings.patch_embedding.weight": (DIM, 3, patch, patch),
        f"{model}embeddings.position_embedding.weight": (tokens, DIM),
        f"{model}pre_layrnorm.weight": (DIM,),
        **layers(model),
        f"{model}post_layernorm.weight": (DIM,),
        f"{prefix}visual_projection.weight": (DIM, DIM),
    }


def make_state(variant: str, text_model: str = "text_model.", seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with the released model's names; a bias beside every weight but those that have none there."""
    text = f"head.text_encoder.{text_model}"
    shapes = {
        **vision("mstfe.encoder_coarse.", 32),
        **vision("mstfe.encoder_fine.", 16),
        **{f"gff.{name}.weight": shape for name, shape in (("W_h", (128, 2 * DIM)), ("W_g", (DIM, 128)))},
        **{f"gff.{name}.weight": (DIM, DIM) for name in ("W_c", "W_f")},
        f"{text}embeddings.token_embedding.weight": (VOCABULARY, DIM),
        f"{text}embeddings.position_embedding.weight": (CONTEXT, DIM),
        **layers(text),
        f"{text}final_layer_norm.weight": (DIM,),
    }
    if variant == "A":
        shapes |= {"head.text_encoder.text_projection.weight": (DIM, DIM), "head.text_features": (5, DIM)}
    else:
        shapes |= {f"head.{name}.weight": shape for name, shape in (("W_1", (DIM, DIM)), ("W_2", (DIM, DIM)))}
        shapes |= {"head.w_o.weight": (1, DIM), "head.cross_attn.out_proj.weight": (DIM, DIM)}
        shapes |= {"head.cross_attn.in_proj_weight": (3 * DIM, DIM), "head.cross_attn.in_proj_bias": (3 * DIM,)}
    unbiased = ("patch_embedding", "position_embedding", "token_embedding", "projection")
    for name, shape in list(shapes.items()):
        if name.endswith(".weight") and not any(word in name for word in unbiased):
            shapes[name.replace(".weight", ".bias")] = shape[:1]
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        # large enough that every tensor shows in the score
        state[name] = torch.randn(shape, generator=generator) * (0.5 if len(shape) == 1 else shape[-1] ** -0.5)
        if "norm" in name and name.endswith("weight"):
            state[name] += 1
    if variant == "A":
        state["head.text_features"] = F.normalize(state["head.text_features"], dim=-1)
        state |= {"head.temperature": torch.tensor(20.0), "head.quality_scores": torch.arange(1.0, 6.0)}
    else:
        state["head.alpha"] = torch.tensor(0.7)
    return state


def affine(x: torch.Tensor, state: dict, name: str) -> torch.Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(x: torch.Tensor, state: dict, name: str) -> torch.Tensor:
    return F.layer_norm(x, (DIM,), state[f"{name}.weight"], state[f"{name}.bias"])


def transform(x: torch.Tensor, state: dict, prefix: str, causal: bool) -> torch.Tensor:
    """The layers of a CLIP tower, on x (L, D)."""
    for start in (f"{prefix}encoder.layers.{number}." for number in range(LAYERS)):
        h = norm(x, state, f"{start}layer_norm1")
        parts = [affine(h, state, f"{start}self_attn.{part}_proj").unflatten(-1, (HEADS, -1)) for part in "qkv"]
        mixed = F.scaled_dot_product_attention(*(part.transpose(0, 1) for part in parts), is_causal=causal)
        x = x + affine(mixed.transpose(0, 1).flatten(1), state, f"{start}self_attn.out_proj")
        h = affine(norm(x, state, f"{start}layer_norm2"), state, f"{start}mlp.fc1")
        x = x + affine(h * torch.sigmoid(1.702 * h), state, f"{start}mlp.fc2")
    return x


def image_feature(pixels: torch.Tensor, state: dict, prefix: str, patch: int) -> torch.Tensor:
    model = f"{prefix}vision_model."
    patches = F.conv2d(pixels[None], state[f"{model}embeddings.patch_embedding.weight"], stride=patch)
    x = torch.cat([state[f"{model}embeddings.class_embedding"][None], patches[0].flatten(1).T])
    x = norm(x + state[f"{model}embeddings.position_embedding.weight"], state, f"{model}pre_layrnorm")
    x = norm(transform(x, state, model, causal=False)[0], state, f"{model}post_layernorm")
    return affine(x, state, f"{prefix}visual_projection")


def expected_score(pixels: torch.Tensor, prompt: str, state: dict, text_model: str) -> float:
    f_c = image_feature(pixels, state, "mstfe.encoder_coarse.", 32)
    f_f = image_feature(pixels, state, "mstfe.encoder_fine.", 16)
    gate = torch.sigmoid(affine(torch.relu(affine(torch.cat([f_c, f_f]), state, "gff.W_h")), state, "gff.W_g"))
    z = gate * affine(f_c, state, "gff.W_c") + (1 - gate) * affine(f_f, state, "gff.W_f")
    if "head.alpha" not in state:
        similarity = state["head.text_features"] @ F.normalize(z, dim=-1)
        return float(torch.softmax(state["head.temperature"] * similarity, dim=-1) @ state["head.quality_scores"])
    text = f"head.text_encoder.{text_model}"
    (ids,) = open_clip.get_tokenizer("released-32")([prompt])
    ids = ids[: ids.argmax() + 1]
    x = state[f"{text}embeddings.token_embedding.weight"][ids]
    x = transform(x + state[f"{text}embeddings.position_embedding.weight"][: len(ids)], state, text, causal=True)
    tokens = norm(x, state, f"{text}final_layer_norm")[:, None]
    attended, _ = F.multi_head_attention_forward(
        z[None, None], tokens, tokens, DIM, 8, state["head.cross_attn.in_proj_weight"],
        state["head.cross_attn.in_proj_bias"], None, None, False, 0.0, state["head.cross_attn.out_proj.weight"],
        state["head.cross_attn.out_proj.bias"],
    )  # fmt: skip
    z = z + state["head.alpha"] * attended[0, 0]
    return float(affine(F.gelu(affine(z, state, "head.W_1")) + affine(z, state, "head.W_2"), state, "head.w_o"))


@pytest.fixture(autouse=True)
def small_encoders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Encoders of the released architecture at an eighth of its width."""
    folder = tmp_path_factory.mktemp("configs")
    for patch in (32, 16):
        vision_cfg = {
            "image_size": 224,
            "layers": LAYERS,
            "width": DIM,
            "head_width": DIM // HEADS,
            "patch_size": patch,
        }
        text_cfg = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": DIM, "heads": HEADS, "layers": LAYERS}
        config = {"embed_dim": DIM, "quick_gelu": True, "vision_cfg": vision_cfg, "text_cfg": text_cfg}
        (folder / f"released-{patch}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    monkeypatch.setattr("mstclipiqa.scoring.released.MODELS", {"coarse": "released-32", "fine": "released-16"})


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    for number, size in enumerate([(224, 224), (300, 260)]):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.parametrize("text_model", ["text_model.", ""], ids=["transformers 4", "transformers 5"])
@pytest.mark.parametrize("variant", ["A", "B"])
def test_scores_are_those_of_the_released_equations(tmp_path, images, variant, text_model):
    state = make_state(variant, text_model)
    torch.save(state, tmp_path / "best_model.pth")
    head = load_released(tmp_path / "best_model.pth")
    scores = Scorer(head).score(images, dict(zip(map(str, images), PROMPTS, strict=True)))["quality"]
    encoder = head.encoders[0]
    pixels = normalise(
        torch.stack([encoder.preprocess(Image.open(path)) for path in images]), encoder.identity["preprocessing"]
    )
    expected = [expected_score(own, prompt, state, text_model) for own, prompt in zip(pixels, PROMPTS, strict=True)]
    assert abs(expected[0] - expected[1]) > 0.01
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert head.model.uses_prompt == (variant == "B")


def test_every_tensor_is_the_checkpoints(tmp_path):
    for variant in "AB":
        state = make_state(variant)
        torch.save({"model_state_dict": state}, tmp_path / "wrapped.pth")  # as its evaluation reads it
        head = load_released(tmp_path / "wrapped.pth", target="authenticity")
        assert head.target == "authenticity" and (head.card["low"], head.card["high"]) == (1, 5)
        ours = sum(value.numel() for value in head.model.state_dict().values())
        theirs = sum(value.numel() for name, value in state.items() if not name.startswith(("mstfe.", "head.text_enc")))
        assert ours == theirs


def test_the_recipe_is_the_one_of_the_configuration():
    assert RECIPE.values == load_recipe(RECIPES / "released_code.yaml").values


def test_what_is_no_such_checkpoint_is_one_line(tmp_path):
    path, state = tmp_path / "model.pth", make_state("A")
    fine = "mstfe.encoder_fine.vision_model.post_layernorm.weight"
    spoilt = {
        "no checkpoint of the released code": {"conv1.weight": torch.zeros(1)},
        "no visual.ln_post.weight of released-16": {name: value for name, value in state.items() if name != fine},
        "its encoder is no released-16": state | {fine: torch.zeros(3)},
        "do not fit mst-clipiqa": state | {"gff.W_g.bias": torch.zeros(3)},
    }
    for words, document in spoilt.items():
        torch.save(document, path)
        with pytest.raises(InputError, match=words) as raised:
            load_released(path)
        assert "\n" not in str(raised.value)
    path.write_text("weights")
    with pytest.raises(InputError, match="torch cannot read it"):
        load_released(path)


def test_a_checkpoint_runs_no_code(tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harm",)

    torch.save({"gff.W_h.weight": Payload()}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="torch cannot read it"):
        load_released(tmp_path / "model.pth")
    assert not (tmp_path / "harm").exists()
