"""Checkpoints trained by the released code (github.com/YMlinfeng/MST-CLIPIQA), as heads that bring their encoders.

That code saves the bare state dict of its whole model: the two frozen image towers, the text tower of its head (both in
the names of the transformers library), the fusion and the head. Names and shapes are those of its modules `gff`,
`mstfe` and `heads`. Its scores depend on which prompts share a batch; ours are those of one image per batch.
"""

import pickle
import re
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.encoders.clip import Encoder, hash_weights, load_encoder, why_not_loaded
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.scoring.trained_head import Head, make_head

#: The open_clip models that have the architecture of its two encoders; the text tower is the coarse one's.
MODELS = {"coarse": "ViT-B-32-quickgelu", "fine": "ViT-B-16-quickgelu"}

#: What decides the architecture, as config/recipes/released_code.yaml has it; a test holds them equal.
RECIPE = Recipe(
    name="released_code", title="Released code", source="github.com/YMlinfeng/MST-CLIPIQA at commit 9737ca8", stated={},
    fine_stream="fine", optimiser="adam", learning_rate=5e-6, weight_decay=1e-3, batch_size=8, epochs=20,
    schedule="constant", warm_up_epochs=0, final_learning_rate=0, ranking_weight=1.0, ranking_margin=0.1,
    gate_sparsity=0, gate_hidden=128, projection_bias=True, template="a photo with {} quality", learnable_levels=False,
    temperature=100.0, learnable_temperature=True, attention_heads=8, attention_norm=False, regression_hidden=None,
    regression_skip=True, regression_dropout=0, augmentation=None, views=0, trained_scale="mos",
)  # fmt: skip

#: Beginnings of its fusion's and head's names -> ours.
HEAD_NAMES = {
    "gff.W_h.": "fusion.W_h.",
    "gff.W_g.": "fusion.W_g.",
    "gff.W_c.": "fusion.phi_c.",
    "gff.W_f.": "fusion.phi_f.",
    "head.cross_attn.": "head.attention.",
    "head.text_features": "head.levels",
    "head.quality_scores": "head.scores",
    "head.": "head.",
}

#: Patterns of transformers' names of a CLIP tower -> open_clip's. Some of its versions leave out the first.
TOWER_NAMES = (
    (r"(?:vision|text)_model\.", ""),
    (r"embeddings\.patch_embedding\.", "conv1."),
    (r"embeddings\.class_embedding", "class_embedding"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"embeddings\.token_embedding\.", "token_embedding."),
    (r"pre_layrnorm\.", "ln_pre."),
    (r"post_layernorm\.", "ln_post."),
    (r"final_layer_norm\.", "ln_final."),
    (r"encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm([12])\.", r"ln_\1."),
    (r"mlp\.fc1\.", "mlp.c_fc."),
    (r"mlp\.fc2\.", "mlp.c_proj."),
    (r"self_attn\.out_proj\.", "attn.out_proj."),
    (r"visual_projection\.weight", "proj"),
    (r"text_projection\.weight", "text_projection"),
)


def load_released(path: Path | str, target: str = "quality", device: torch.device | None = None) -> Head:
    """Read a checkpoint of the released code, as its training writes it or as its evaluation expects it.

    `target` is what its MOS rated, which the checkpoint does not say. Scores are on that code's own scale, the MOS of
    its label file: 1..5 by construction for its variant A. Raises InputError where the file is no such checkpoint.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's advice to load it otherwise
            state = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise no_rights(path) from None
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: torch cannot read it ({why_not_loaded(error)})") from None
    state = state.get("model_state_dict", state) if isinstance(state, dict) else {}
    if not all(f"gff.{layer}.weight" in state for layer in ("W_h", "W_g", "W_c", "W_f")):
        raise InputError(f"{path}: no checkpoint of the released code; it has no gff.W_h, gff.W_g, gff.W_c, gff.W_f")
    if strange := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise InputError(f"{path}: {strange[0]} is no tensor; the checkpoint of another code")
    state = {name: tensor.float() for name, tensor in state.items() if not name.endswith("position_ids")}
    reads_prompt = "head.alpha" in state
    images = {role: _part(state, f"mstfe.encoder_{role}.") for role in MODELS}
    text = _part(state, "head.text_encoder.") if reads_prompt else {}  # variant A's has become its level embeddings
    coarse = _encoder(path, MODELS["coarse"], images["coarse"], text, device)
    fine = _encoder(path, MODELS["fine"], images["fine"], {}, device)
    tensors = {}
    for name, tensor in state.items():
        if not name.startswith(("mstfe.", "head.text_encoder.")):
            theirs = next((prefix for prefix in HEAD_NAMES if name.startswith(prefix)), "")
            tensors[HEAD_NAMES.get(theirs, "") + name.removeprefix(theirs)] = tensor.numpy()
    card = {
        "benchmark": None,
        "target": target,
        "synthetic": False,
        "variant": "mst-clipiqa-star" if reads_prompt else "mst-clipiqa",
        "recipe": asdict(RECIPE),
        "encoders": {"coarse": coarse.identity, "fine": fine.identity},
        "text_encoder": coarse.identity,
        "low": 1.0,  # scores of 1..5 as they are
        "high": 5.0,
    }
    return make_head(str(path), tensors, card, (coarse, fine))


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def tower(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP tower's state dict in open_clip's names and layout, from transformers'."""
    renamed = {}
    for name, tensor in state.items():
        for pattern, ours in TOWER_NAMES:
            name = re.sub(rf"(?:^|(?<=\.)){pattern}", ours, name)
        renamed[name] = tensor.T.contiguous() if name in ("proj", "text_projection") else tensor
    for name in [name for name in renamed if ".q_proj." in name]:
        parts = [renamed.pop(name.replace(".q_proj.", f".{part}_proj.")) for part in "qkv"]
        renamed[re.sub(r"self_attn\.q_proj\.", "attn.in_proj_", name)] = torch.cat(parts)
    return renamed


def _encoder(
    path: Path, model: str, image: dict[str, Tensor], text: dict[str, Tensor], device: torch.device | None
) -> Encoder:
    """The encoder of a checkpoint. What no head of it uses is zero, such as a text tower that it does not have."""
    encoder = load_encoder(model, "random:0", device)
    state = {f"visual.{name}": tensor for name, tensor in tower(image).items()} | tower(text)
    expected = encoder.model.state_dict()
    unused = ("logit_scale", "text_projection")
    needed = [name for name in expected if name.startswith("visual.") or (text and name not in unused)]
    if absent := [name for name in needed if name not in state]:
        raise InputError(f"{path}: no {absent[0]} of {model}; the checkpoint of another model")
    try:
        encoder.model.load_state_dict({name: torch.zeros_like(value) for name, value in expected.items()} | state)
    except RuntimeError as error:
        raise InputError(f"{path}: its encoder is no {model} ({' '.join(str(error).split())[:200]})") from None
    identity = {
        "weights": path.name,
        "weights_sha256": hash_weights(encoder.model),
        "pretrained": True,
        "label": f"{model}, weights {path.name}",
    }
    return replace(encoder, identity=encoder.identity | identity)
