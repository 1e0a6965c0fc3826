"""Small models of each family of encoders, as folders that open_clip reads."""

import json
from pathlib import Path

SIZE = 32

VIT = {"image_size": SIZE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
SIGLIP_VISION = {
    "image_size": 160,
    "timm_model_name": "test_vit3",
    "timm_model_pretrained": False,
    "timm_pool": "map",
    "timm_proj": "none",
}
SIGLIP_TEXT = TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"}
SIGLIP_PREPROCESSING = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "squash",
}

#: By family, open_clip's configuration of a small model and how it prepares images.
FAMILIES: dict[str, tuple[dict, dict]] = {
    "clip-vit": ({"embed_dim": 48, "vision_cfg": VIT, "text_cfg": TEXT}, {}),
    "clip-resnet": (
        {"embed_dim": 48, "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 8}, "text_cfg": TEXT},
        {},
    ),
    "siglip": (
        {
            "embed_dim": 96,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": SIGLIP_VISION,
            "text_cfg": SIGLIP_TEXT,
        },
        SIGLIP_PREPROCESSING,
    ),
    "coca": (
        {
            "embed_dim": 48,
            "vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
            "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
            "multimodal_cfg": TEXT | {"mlp_ratio": 4, "dim_head": 16},
            "custom_text": True,
        },
        {},
    ),
    "eva": (
        {
            "embed_dim": 48,
            "vision_cfg": {
                "image_size": 224,
                "timm_model_name": "eva02_tiny_patch14_224",
                "timm_model_pretrained": False,
                "timm_pool": "token",
                "timm_proj": None,
            },
            "text_cfg": TEXT,
            "custom_text": True,
        },
        {},
    ),
}


def write_model(folder: Path, family: str, **text: object) -> str:
    """A folder that describes a family's small model, and the model's name; `text` are entries of its text tower."""
    folder.mkdir(parents=True, exist_ok=True)
    model, preprocessing = FAMILIES[family]
    model = model | {"text_cfg": model["text_cfg"] | text}
    described = {"model_cfg": model, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return f"local-dir:{folder}"


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of three words, as transformers saves one."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "corgi", "word"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def write_hub_model(folder: Path, family: str) -> str:
    """As `write_model`, of a model whose text tower is one of transformers': the folder has that one's description."""
    import transformers

    sizes = {"vocab_size": 7, "max_position_embeddings": 40}
    if family == "nllb":
        halves = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
        halves = {f"{half}_{key}": value for half in ("encoder", "decoder") for key, value in halves.items()}
        config = transformers.M2M100Config(d_model=32, **halves, **sizes)
    else:
        sizes |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        config = transformers.XLMRobertaConfig(**sizes)
    config.save_pretrained(folder)
    save_tokenizer(folder)
    text = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "hf_proj_type": "mlp", "context_length": 16}
    model = {"embed_dim": 48, "vision_cfg": VIT, "text_cfg": text | {"hf_pooler_type": "mean_pooler"}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    return f"local-dir:{folder}"
