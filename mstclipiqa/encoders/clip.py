"""The frozen encoders, through open_clip, and their identity: everything that decides a feature's bytes."""

import functools
import hashlib
import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.device import choose_device, set_products
from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import sha256
from mstclipiqa.base.names import AUTO, BFLOAT16, FLOAT32, TF32
from mstclipiqa.encoders.compact_weights import EMBEDDED, embedded_file, is_compact, read_weights
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.quick_vit import quicken

if TYPE_CHECKING:
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

#: Prefix of a weights specification that stands for seeded random weights, as in `random:32`.
RANDOM = "random:"

#: What an image tower's weights and activations are held in, by its precision. TF32 rounds products, on a GPU alone.
HELD_IN = {FLOAT32: torch.float32, TF32: torch.float32, BFLOAT16: torch.bfloat16}


@dataclass(frozen=True)
class Encoder:
    """A frozen CLIP model in evaluation mode. `identity` is JSON-serialisable. Encoders that prepare images alike have
    the same `preprocess`, so that one image serves them all: it resizes and crops to uint8 pixels (H, W, 3), which are
    a quarter of float32's bytes to send to a GPU; `encode_images` normalises them there."""

    model: "CLIP"
    preprocess: Callable[[Image.Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    token_counts: Callable[[list[str]], list[int]]
    device: torch.device
    identity: dict[str, Any]

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """The projected [CLS] embeddings, float32 (B, D) on the CPU, not normalised, of what `preprocess` gives, uint8
        (B, 224, 224, 3), or of pixels that are normalised already, float (B, 3, 224, 224)."""
        precision = self.identity["precision"]
        pixels = pixels.to(self.device, non_blocking=True)
        if pixels.dtype == torch.uint8:
            pixels = normalise(pixels, self.identity["preprocessing"])
        if self.device.type == "cuda":
            set_products(tf32=precision == TF32)
        return self.model.encode_image(pixels.to(HELD_IN[precision])).float().cpu()

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> tuple[list[Tensor], Tensor]:
        """Per text its token states (L, T), from start to end token after the final layer norm, and the pooled,
        projected embeddings (B, D), not normalised. Texts over the context length are truncated to it."""
        if self.device.type == "cuda":
            set_products(tf32=False)
        tokens = self.tokenize(texts).to(self.device)
        out = self.model.forward_intermediates(
            text=tokens, text_indices=1, normalize_intermediates=True, normalize=False
        )
        # The end token has the highest id; what follows it is padding.
        lengths = tokens.argmax(dim=-1) + 1
        states = out["text_intermediates"][-1].float().cpu()
        return (
            [state[:length].clone() for state, length in zip(states, lengths, strict=True)],
            out["text_features"].float().cpu(),
        )


def check_encoder(full_name: str, weights: str) -> tuple[dict, dict | None, Path | None]:
    """Without loading anything: a model's open_clip configuration, and its weights' pretrained configuration or file.

    Raises InputError for an unknown model or weights, and where the activation differs from the one the weights were
    trained with (OpenAI's need QuickGELU); those of a file are known where it is a published one.
    """
    name = full_name.partition("@")[0]
    config = open_clip.get_model_config(name)
    if config is None or not re.fullmatch(r"(@[1-9]\d*)?", full_name.removeprefix(name)):
        raise InputError(f"encoder {full_name!r}: open_clip knows no such model; see open_clip.list_models()")
    if _random_seed(name, weights) is not None:
        return config, None, None
    tag = open_clip.get_pretrained_cfg(name, weights)
    file = embedded_file(name) if weights == EMBEDDED else Path(weights)
    if not tag and not (file and file.is_file()):
        embedded = [EMBEDDED] if embedded_file(name) else []
        tags = ", ".join([*open_clip.list_pretrained_tags_by_model(name), *embedded]) or "none"
        raise InputError(
            f"encoder {name}: weights {weights!r} are neither a file nor a tag (tags: {tags}); "
            f"{RANDOM}SEED stands for seeded random weights"
        )
    known = tag or (find_published(name, _hash_file(file)) if file and weights != EMBEDDED else None)
    if known and known.get("quick_gelu", False) != config.get("quick_gelu", False):
        # open_clip only warns of this, but the features would be another model's.
        trained = "QuickGELU" if known.get("quick_gelu", False) else "GELU"
        plain = name.removesuffix("-quickgelu")
        model = f"{plain}-quickgelu" if trained == "QuickGELU" else plain
        raise InputError(f"encoder {name}: weights {weights!r} were trained with {trained}; use {model}")
    return config, tag or None, None if tag else file


def _hash_file(path: Path) -> str:
    """Hex SHA-256 of a file. Raises InputError for one without rights, of which safetensors would say there is none."""
    try:
        return sha256(path)
    except PermissionError:
        raise no_rights(path) from None


def find_published(name: str, digest: str) -> Mapping | None:
    """The pretrained configuration of a model whose weights were published as the file of a SHA-256, as OpenAI's were:
    the address has it. None for any other file."""
    tags = (open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name))
    return next((tag for tag in tags if digest in (tag.get("url") or "").split("/")), None)


def find_weights(tag: Mapping, hub: str = HF_HUB_CACHE) -> Path | None:
    """Where open_clip would find the weights of a pretrained configuration without a network; None if nowhere."""
    if not tag.get("hf_hub"):
        path = Path.home() / ".cache" / "clip" / Path(tag["url"]).name
        return path if path.is_file() else None
    repository, name = os.path.split(tag["hf_hub"])
    for file in [name] if name else [open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME]:
        found = huggingface_hub.try_to_load_from_cache(repository, file, cache_dir=hub)
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None


def load_encoder(name: str, weights: str, device: torch.device | None = None, precision: str = FLOAT32) -> Encoder:
    """Load the open_clip model `name` with `weights`: a pretrained tag, a file, `embedded` or `random:SEED`.

    `name@P` is the model `name`, its weights resized to patches of P pixels (see `retokenise`). `precision`, one of
    PRECISIONS, is the image tower's: bfloat16 rounds its weights once; tf32 rounds what is multiplied, on a GPU, and is
    float32 on a CPU. Texts are few, and stay in float32.

    Raises InputError as `check_encoder` does, and for weights that cannot be had or do not fit.
    """
    device = device or choose_device(AUTO)
    config, tag, file = check_encoder(name, weights)
    full_name, (name, _, patch_size) = name, name.partition("@")
    seed = _random_seed(name, weights)
    digest = None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        disabled = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            torch.manual_seed(seed or 0)
            if file and weights != EMBEDDED:
                digest = _hash_file(file)
            compact = file if file and is_compact(file) else None
            source = None if compact or seed is not None else weights
            # OpenAI published programs (TorchScript). One is run only if it is theirs to the byte.
            trusted = digest is not None and find_published(name, digest) is not None
            model = open_clip.create_model(name, pretrained=source, device=device, weights_only=not trusted)
            if compact:
                model.load_state_dict(read_weights(compact, config["text_cfg"]["vocab_size"]))
        except PermissionError as error:
            raise no_rights(error.filename or f"encoder {name}, weights {weights}") from None
        except Exception as error:
            # What torch, pickle and safetensors raise on a damaged file has no narrower base class.
            raise InputError(
                f"encoder {name}, weights {weights}: cannot be loaded ({why_not_loaded(error)})"
            ) from error
        finally:
            logging.disable(disabled)
    if not isinstance(model, open_clip.CLIP):
        raise InputError(
            f"encoder {name}: open_clip's {type(model).__name__}; this project reads the text tower of its CLIP class"
        )
    if patch_size:
        retokenise(model.visual, int(patch_size), full_name)
    model.eval().requires_grad_(False)
    preprocessing = dict(sorted(open_clip.get_model_preprocess_cfg(model).items()))
    tokenizer = open_clip.get_tokenizer(name)
    pretrained = seed is None
    shown = file.name if file and weights != EMBEDDED else weights  # not where the file lies on this machine
    identity = {
        "model": full_name,
        "weights": shown,
        "weights_sha256": hash_weights(model),
        "pretrained": pretrained,
        "label": f"{full_name}, "
        + (f"weights {shown}" if pretrained else f"random weights (seed {seed})")
        + ("" if precision == FLOAT32 else f", {precision}"),
        "activation": type(next(m for m in model.modules() if "GELU" in type(m).__name__)).__name__,
        "preprocessing": preprocessing,
        "precision": precision,
        "architecture": config,
        "dim": config["embed_dim"],
        "text_width": config["text_cfg"]["width"],
        "context_length": tokenizer.context_length,
        "versions": {package: version(package) for package in ("open_clip_torch", "torch", "torchvision", "pillow")},
    } | ({"file_sha256": digest} if digest else {})

    def token_counts(texts: list[str]) -> list[int]:
        return [len(tokenizer.encode(text)) + 2 for text in texts]

    if HELD_IN[precision] != torch.float32:
        model.visual.to(HELD_IN[precision])  # after the weights are hashed, so that a text store has the same hash
    quicken(model.visual, on_gpu=device.type == "cuda")
    return Encoder(model, image_transform(**preprocessing), tokenizer, token_counts, device, identity)


@functools.cache
def image_transform(**preprocessing: Any) -> Callable[[Image.Image], Tensor]:
    """open_clip's own transform but for its last two steps, which `normalise` does: uint8 pixels (H, W, 3) of an image.
    It is one object for equal preprocessing."""
    config = open_clip.transform.PreprocessCfg(**preprocessing)
    *steps, _, _ = open_clip.transform.image_transform_v2(config, is_train=False).transforms

    def prepare(image: Image.Image) -> Tensor:
        for step in steps:
            image = step(image)
        return torch.from_numpy(np.array(image))

    return prepare


def normalise(pixels: Tensor, preprocessing: Mapping[str, Any]) -> Tensor:
    """The pixels, float32 (B, 3, H, W), that open_clip's transform makes of uint8 (B, H, W, 3), to the bit; they stay
    on their device. On a GPU, channels keep the last place in memory, which its convolutions want."""
    whole, mean, deviation = _constants(pixels.device, tuple(preprocessing["mean"]), tuple(preprocessing["std"]))
    order = torch.channels_last if pixels.device.type == "cuda" else torch.contiguous_format
    scaled = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=order)
    return scaled.div_(whole).sub_(mean).div_(deviation)


@functools.cache
def _constants(device: torch.device, mean: tuple[float, ...], deviation: tuple[float, ...]) -> tuple[Tensor, ...]:
    """255, the mean and the standard deviation of each channel on a device. A GPU multiplies by the inverse of a number
    of Python's, which is another in the last bit; it divides by a tensor."""
    values = torch.tensor(255.0), torch.tensor(mean)[:, None, None], torch.tensor(deviation)[:, None, None]
    return tuple(value.to(device) for value in values)


def retokenise(visual: "VisionTransformer", patch_size: int, name: str) -> None:
    """Give a vision transformer another patch size, in place, as the paper's appendix does with its one ViT-B/32.

    The grid of position embeddings is interpolated bicubically (7 x 7 -> 14 x 14). The appendix does not say how the
    patch embedding is resized; here a small patch gives the token of the same patch with every pixel enlarged to the
    old size (weights are summed over areas). Raises InputError where the patches do not tile the image.
    """
    old, (height, width) = visual.conv1, visual.image_size
    if height % patch_size or width % patch_size:
        raise InputError(f"encoder {name}: patches of {patch_size} do not tile {height} x {width} pixels")
    ratio = old.kernel_size[0] / patch_size
    kernel = F.interpolate(old.weight.detach(), size=(patch_size, patch_size), mode="area")
    visual.conv1 = nn.Conv2d(3, old.out_channels, patch_size, patch_size, bias=False, device=kernel.device)
    visual.conv1.weight = nn.Parameter(kernel * ratio**2)
    grid = (height // patch_size, width // patch_size)
    first, rest = visual.positional_embedding.detach().split([1, visual.grid_size[0] * visual.grid_size[1]])
    rest = F.interpolate(rest.T.reshape(1, -1, *visual.grid_size), size=grid, mode="bicubic", antialias=ratio < 1)
    visual.positional_embedding = nn.Parameter(torch.cat([first, rest.flatten(2)[0].T]))
    visual.patch_size, visual.grid_size = (patch_size, patch_size), grid


def why_not_loaded(error: Exception) -> str:
    """What torch says of a file in one line (it names what does not fit in the lines after the first), but for its
    advice, which is to run the code that may be in the file."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "damaged, or more than tensors is in it"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def hash_weights(model: torch.nn.Module) -> str:
    """Hex SHA-256 over the names and bytes of a model's parameters and buffers."""
    state = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()


def _random_seed(name: str, weights: str) -> int | None:
    if not weights.startswith(RANDOM):
        return None
    seed = weights.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise InputError(f"encoder {name}: weights {weights!r}: the seed after {RANDOM} is a whole number")
    return int(seed)
