"""The frozen encoders, through open_clip and timm, and their identity: everything that decides a feature's bytes.

A model is one of open_clip's architectures by its name, `local-dir:FOLDER` for one that a folder describes as open_clip
saves it (open_clip_config.json, and the tokenizer where it is its own), or `timm:NAME` for a backbone without a text
tower (encoders/timm_backbone). `@N` after a name is another size of patch, of a backbone that of the image.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mstclipiqa.base.device import choose_device, set_products
from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.files import sha256
from mstclipiqa.base.names import AUTO, BFLOAT16, FLOAT32, TF32
from mstclipiqa.encoders import timm_backbone
from mstclipiqa.encoders.architectures import FOLDER, TIMM, portable_name
from mstclipiqa.encoders.compact_weights import EMBEDDED, embedded_file, is_compact, read_weights
from mstclipiqa.encoders.images import Preparation
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.quick_vit import quicken
from mstclipiqa.encoders.text_towers import Tokenizer, read_texts, text_width

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

#: Prefix of a weights specification that stands for seeded random weights, as in `random:32`.
RANDOM = "random:"

#: What an image tower's weights and activations are held in, by its precision. TF32 rounds products, on a GPU alone.
HELD_IN = {FLOAT32: torch.float32, TF32: torch.float32, BFLOAT16: torch.bfloat16}


@dataclass(frozen=True)
class Encoder:
    """A frozen model of images, and of texts where it has a text tower, in evaluation mode. `identity` is
    JSON-serialisable. Encoders that prepare images alike have the same `preprocess`, so that one image serves them all:
    it resizes and crops to uint8 pixels (H, W, 3), which are a quarter of float32's bytes to send to a GPU;
    `encode_images` normalises them there."""

    model: Any
    preprocess: Callable[[Image.Image], Tensor]
    tokenizer: Tokenizer | None
    device: torch.device
    identity: dict[str, Any]

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """The embeddings, float32 (B, D) on the CPU, not normalised, of what `preprocess` gives, uint8 (B, H, W, 3), or
        of pixels that are normalised already, float (B, 3, H, W): a CLIP's projected ones, a backbone's before its
        classifier."""
        precision = self.identity["precision"]
        pixels = pixels.to(self.device, non_blocking=True)
        if pixels.dtype == torch.uint8:
            pixels = normalise(pixels, self.identity["preprocessing"])
        if self.device.type == "cuda":
            set_products(tf32=precision == TF32)
        return self.model.encode_image(pixels.to(HELD_IN[precision]), normalize=False).float().cpu()

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> tuple[list[Tensor], Tensor]:
        """Per text its token states (L, T), from start to end token after the final layer norm, and the pooled,
        projected embeddings (B, D), not normalised. Texts over the context length are truncated to it.

        Raises InputError where there is no text tower, or its tokenizer cannot be had.
        """
        if self.device.type == "cuda":
            set_products(tf32=False)
        tokens = self.tokenize(texts)
        states, pooled = read_texts(self.model, tokens.to(self.device))
        lengths, states = self._own_tokenizer.lengths(texts, tokens), states.float().cpu()
        return (
            [state[:length].clone() for state, length in zip(states, lengths, strict=True)],
            pooled.float().cpu(),
        )

    @property
    def image_size(self) -> int:
        """The pixels of the longer side of an image as it takes it."""
        return max(self.model.visual.image_size)

    @property
    def _own_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise InputError(f"encoder {self.identity['model']}: has no text tower; name another as text_encoder")
        return self.tokenizer

    def tokenize(self, texts: list[str]) -> Tensor:
        """The tokens (B, context) of texts."""
        return self._own_tokenizer(texts)

    def token_counts(self, texts: list[str]) -> list[int]:
        """The tokens of each text, start and end included, however many."""
        return self._own_tokenizer.count(texts)

    def token_letters(self, texts: list[str]) -> list[list[str]]:
        """The tokens of each text whose states `encode_texts` gives, from start to end token, in letters."""
        return self._own_tokenizer.letters(texts)

    @property
    def text_settings(self) -> dict[str, str]:
        """What decides the states of texts beside the identity: a tokenizer that does not come with open_clip."""
        digest = self._own_tokenizer.digest
        return {"tokenizer_sha256": digest} if digest else {}


def check_encoder(full_name: str, weights: str) -> tuple[dict, dict | None, Path | None]:
    """Without loading anything: a model's configuration as open_clip words it, and its weights' pretrained
    configuration or file. That of a backbone has no `text_cfg`.

    Raises InputError for an unknown model or weights, and where the activation differs from the one the weights were
    trained with (OpenAI's need QuickGELU); those of a file are known where it is a published one.
    """
    name = _base_name(full_name)
    config = _describe(full_name, name)
    if random_seed(f"encoder {name}", weights) is not None:
        return config, None, None
    backbone = name.startswith(TIMM)
    tag = timm_backbone.find_tag(name, weights) if backbone else _tags(name).get(weights)
    file = embedded_file(name) if weights == EMBEDDED else Path(weights)
    if not tag and not (file and file.is_file()):
        embedded = [EMBEDDED] if embedded_file(name) else []
        tags = ", ".join([*(timm_backbone.list_tags(name) if backbone else _tags(name)), *embedded]) or "none"
        raise InputError(
            f"encoder {name}: weights {weights!r} are neither a file nor a tag (tags: {tags}); "
            f"{RANDOM}SEED stands for seeded random weights"
        )
    known = tag or (find_published(name, _hash_file(file)) if file and weights != EMBEDDED else None)
    if not backbone and known and known.get("quick_gelu", False) != config.get("quick_gelu", False):
        # open_clip only warns of this, but the features would be another model's.
        trained = "QuickGELU" if known.get("quick_gelu", False) else "GELU"
        plain = name.removesuffix("-quickgelu")
        model = f"{plain}-quickgelu" if trained == "QuickGELU" else plain
        raise InputError(f"encoder {name}: weights {weights!r} were trained with {trained}; use {model}")
    return config, tag or None, None if tag else file


def expected_sizes(config: Mapping) -> tuple[int, int]:
    """Of a suite's configuration, without loading anything, the embedding size of the streams and the width of the
    prompts' token states; the latter a guess where the text tower is one of transformers'. Raises InputError as
    `check_encoder` does."""
    roles = (config["encoders"][role] for role in ("coarse", config["text_encoder"]))
    coarse, text = (check_encoder(encoder["model"], encoder["weights"])[0] for encoder in roles)
    return coarse["embed_dim"], text["text_cfg"].get("width", 768)


def embedding_sizes(encoders: Mapping[str, Mapping]) -> dict[str, int]:
    """The numbers that each encoder of a configuration gives an image, whatever its weights, without loading anything.
    Raises InputError for an unknown model."""
    return {name: check_encoder(one["model"], f"{RANDOM}0")[0]["embed_dim"] for name, one in encoders.items()}


def _base_name(full_name: str) -> str:
    """A model's name without another patch size; a backbone's keeps its size of images, which its weights are for."""
    return full_name if full_name.startswith(TIMM) else full_name.partition("@")[0]


def _describe(full_name: str, name: str) -> dict:
    """The configuration of the model `name`, which the configuration of a suite calls `full_name`."""
    if name.startswith(TIMM):
        return timm_backbone.describe(name)
    try:
        config = open_clip.get_model_config(name)
    except (OSError, ValueError) as error:
        raise InputError(
            f"encoder {name}: {' '.join(str(error).split())}; give a folder with open_clip_config.json"
        ) from None
    if config is None or not re.fullmatch(r"(@[1-9]\d*)?", full_name.removeprefix(name)):
        raise InputError(
            f"encoder {full_name!r}: open_clip knows no such model; see open_clip.list_models(); {TIMM}NAME is timm's"
        )
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise InputError(f"encoder {name}: its open_clip_config.json describes no model; export it with open_clip")
    return config


def _tags(name: str) -> dict[str, dict]:
    """The pretrained configurations of a model, by the tags of their weights."""
    return {tag: open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}


def _hash_file(path: Path) -> str:
    """Hex SHA-256 of a file. Raises InputError for one without rights, of which safetensors would say there is none."""
    try:
        return sha256(path)
    except PermissionError:
        raise no_rights(path) from None


def find_published(name: str, digest: str) -> Mapping | None:
    """The pretrained configuration of a model whose weights were published as the file of a SHA-256, as OpenAI's were:
    the address has it. None for any other file."""
    return next((tag for tag in _tags(name).values() if digest in (tag.get("url") or "").split("/")), None)


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
    """Load the model `name` with `weights`: a pretrained tag, a file, `embedded` or `random:SEED`.

    `name@P` is the model `name`, its weights resized to patches of P pixels (see `retokenise`). `precision`, one of
    PRECISIONS, is the image tower's: bfloat16 rounds its weights once; tf32 rounds what is multiplied, on a GPU, and is
    float32 on a CPU. Texts are few, and stay in float32.

    Images are prepared as the weights' own configuration says. For a file, and for drawn weights, that is what all
    published weights of the architecture have in common, where there are some.

    Raises InputError as `check_encoder` does, and for weights that cannot be had or do not fit.
    """
    device = device or choose_device(AUTO)
    config, tag, file = check_encoder(name, weights)
    full_name, name = name, _base_name(name)
    patch_size = full_name.removeprefix(name).removeprefix("@")
    seed, own_file = random_seed(f"encoder {name}", weights), file if weights != EMBEDDED else None
    with _loading(name, weights, seed or 0):
        digest = _hash_file(own_file) if own_file else None
        if name.startswith(TIMM):
            state = timm_backbone.read_state(own_file) if own_file else None
            model: Any = timm_backbone.create(name, weights if tag else None, state).to(device)
        else:
            model = _create(name, weights, config, tag, file, digest, device)
    if seed is not None:
        _settle(model)
    if patch_size:
        if not isinstance(model.visual, open_clip.transformer.VisionTransformer):
            raise InputError(f"encoder {full_name}: only open_clip's vision transformers take another patch size")
        retokenise(model.visual, int(patch_size), full_name)
    if isinstance(side := model.visual.image_size, int):
        model.visual.image_size = side, side  # of a ResNet, as of the others
    model.eval().requires_grad_(False)
    if name.startswith(TIMM):
        preprocessing = timm_backbone.preprocessing_of(model.visual, name)
        preprocess, tokenizer, texts = timm_backbone.backbone_transform(**preprocessing), None, {}
    else:
        said = sorted(open_clip.get_model_preprocess_cfg(model).items())
        preprocessing = {key: tuple(value) if isinstance(value, list) else value for key, value in said}
        preprocess, tokenizer = image_transform(**preprocessing), Tokenizer(name, config)
        texts = {"text_width": text_width(model), "context_length": tokenizer.context_length}
    pretrained = seed is None
    shown = own_file.name if own_file else weights  # not where the file lies on this machine
    called = portable_name(full_name)
    identity = {
        "model": called,
        "weights": shown,
        "weights_sha256": hash_weights(model),
        "pretrained": pretrained,
        "label": f"{called}, "
        + (f"weights {shown}" if pretrained else f"random weights (seed {seed})")
        + ("" if precision == FLOAT32 else f", {precision}"),
        "activation": next((type(m).__name__ for m in model.modules() if "GELU" in type(m).__name__), None),
        "preprocessing": preprocessing,
        "precision": precision,
        "architecture": _portable(config),
        "dim": config["embed_dim"],
        **texts,
        "versions": {package: version(package) for package in _packages(config)},
    } | ({"file_sha256": digest} if digest else {})
    if HELD_IN[precision] != torch.float32:
        model.visual.to(HELD_IN[precision])  # after the weights are hashed, so that a text store has the same hash
    quicken(model.visual, on_gpu=device.type == "cuda")
    return Encoder(model, preprocess, tokenizer, device, identity)


@contextlib.contextmanager
def _loading(name: str, weights: str, seed: int) -> Iterator[None]:
    """Draw weights from a seed, without open_clip's advice. Raises InputError for what cannot be loaded."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        disabled, deterministic = logging.root.manager.disable, torch.are_deterministic_algorithms_enabled()
        logging.disable(logging.ERROR)
        torch.use_deterministic_algorithms(True, warn_only=True)  # memory that nothing is written into becomes NaN
        try:
            torch.manual_seed(seed)
            yield
        except PermissionError as error:
            raise no_rights(error.filename or f"encoder {name}, weights {weights}") from None
        except InputError:
            raise
        except Exception as error:
            # What torch, pickle and safetensors raise on a damaged file has no narrower base class.
            raise InputError(
                f"encoder {name}, weights {weights}: cannot be loaded ({why_not_loaded(error)})"
            ) from error
        finally:
            logging.disable(disabled)
            torch.use_deterministic_algorithms(deterministic)


def _settle(model: nn.Module) -> None:
    """Put zeros where a constructor leaves whatever is in memory, as open_clip's CoCa does in its decoder, which no
    feature depends on: drawn weights are the seed's alone."""
    with torch.no_grad():
        for value in model.parameters():
            value.nan_to_num_(nan=0.0)


def _create(
    name: str, weights: str, config: dict, tag: dict | None, file: Path | None, digest: str | None, device: torch.device
) -> nn.Module:
    """The open_clip model with its weights, or with those that its constructor draws."""
    compact = file if file and is_compact(file) else None
    source = weights if tag or (file and not compact) else None
    published = find_published(name, digest) if digest else None
    # OpenAI published programs (TorchScript). One is run only if it is theirs to the byte.
    options: dict[str, Any] = {"device": device, "weights_only": published is None, "pretrained_hf": False}
    if name.startswith(FOLDER):
        model = open_clip.create_model(name, load_weights=False, **options)
        if source:
            open_clip.load_checkpoint(model, source)
        return model
    if not tag:
        options["force_preprocess_cfg"] = published_preprocessing(name)
    model = open_clip.create_model(name, pretrained=source, **options)
    if compact:
        model.load_state_dict(read_weights(compact, config["text_cfg"]["vocab_size"]))
    return model


def published_preprocessing(name: str) -> dict[str, Any]:
    """How the published weights of an architecture prepare images, but for the size; nothing where they differ."""
    keys = asdict(open_clip.transform.PreprocessCfg()).keys() - {"size"}
    said = [{key: tag[key] for key in sorted(keys & tag.keys())} for tag in _tags(name).values()]
    return said[0] if said and all(one == said[0] for one in said) else {}


def _portable(config: Mapping) -> dict:
    """An architecture without the places of folders on this machine, from which a text tower or tokenizer may come."""
    text = {
        key: Path(value).name if key.startswith("hf_") and Path(str(value)).is_dir() else value
        for key, value in config.get("text_cfg", {}).items()
    }
    return {**config, "text_cfg": text} if text else {**config}


def _packages(config: Mapping) -> list[str]:
    """The packages whose versions decide the features of an architecture."""
    towers = {**config, **config.get("vision_cfg", {}), **config.get("text_cfg", {})}
    own = ["timm"] if "timm_model_name" in towers else []
    own += ["transformers"] if "hf_model_name" in towers else []
    return ["open_clip_torch", "torch", "torchvision", "pillow", *own]


@functools.cache
def image_transform(**preprocessing: Any) -> Preparation:
    """open_clip's own transform but for its last two steps, which `normalise` does: uint8 pixels (H, W, 3) of an image.
    It is one object for equal preprocessing."""
    config = open_clip.transform.PreprocessCfg(**preprocessing)
    made = open_clip.transform.image_transform_v2(config, is_train=False)
    return Preparation(made.transforms, functools.partial(image_transform, **preprocessing))


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


def random_seed(name: str, weights: str) -> int | None:
    """The seed of drawn weights; None of others. Raises InputError, which begins with `name`, where it is none."""
    if not weights.startswith(RANDOM):
        return None
    seed = weights.removeprefix(RANDOM)
    if not seed.isdecimal():
        raise InputError(f"{name}: weights {weights!r}: the seed after {RANDOM} is a whole number")
    return int(seed)
