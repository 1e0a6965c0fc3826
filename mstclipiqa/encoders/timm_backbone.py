"""Backbones of timm, which have an image tower and no text tower: DINOv2, ConvNeXt and others.

A backbone is called `timm:NAME`, as in `timm:vit_small_patch14_dinov2`; its features are those before its classifier.
`timm:NAME@224` is shown images of 224 x 224 pixels in place of its own size.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.architectures import TIMM
from mstclipiqa.encoders.images import Preparation
from mstclipiqa.encoders.open_clip_loader import open_clip, timm


class Backbone(nn.Module):
    """A timm model without its classifier, in the place of a CLIP model."""

    def __init__(self, visual: Any, image_size: tuple[int, int]):
        super().__init__()
        self.visual = visual
        self.visual.image_size = image_size  # as open_clip's towers say it

    def encode_image(self, pixels: Tensor, normalize: bool = False) -> Tensor:
        """The features (B, D) of pixels (B, 3, H, W)."""
        features = self.visual(pixels)
        return nn.functional.normalize(features, dim=-1) if normalize else features


def _parts(name: str) -> tuple[str, int | None]:
    """timm's own name of a backbone, and the pixels of an image's side where the name says them."""
    bare, _, pixels = name.removeprefix(TIMM).partition("@")
    return bare, int(pixels) if pixels else None


def _architecture(name: str) -> str:
    """The name without a tag of weights."""
    return _parts(name)[0].partition(".")[0]


def find_tag(name: str, weights: str) -> dict | None:
    """The pretrained configuration of a tag of weights, in open_clip's words; None where timm has no such tag."""
    architecture = _architecture(name)
    tag = timm.models.get_pretrained_cfg(f"{architecture}.{weights}") if weights in list_tags(name) else None
    if tag is None:
        return None
    hub = f"{tag.hf_hub_id}/{tag.hf_hub_filename or 'model.safetensors'}" if tag.hf_hub_id else ""
    return {"hf_hub": hub, "url": tag.url or ""}


def list_tags(name: str) -> list[str]:
    """The tags of a backbone's published weights."""
    return [found.partition(".")[2] for found in timm.list_pretrained(f"{_architecture(name)}.*")]


@functools.cache
def describe(name: str) -> dict:
    """The architecture of a backbone in open_clip's words, without weights. Raises InputError for an unknown one, and
    for images that its patches do not tile."""
    bare, pixels = _parts(name)
    if not timm.is_model(bare):
        raise InputError(f"encoder {name!r}: timm knows no such model; see timm.list_models()")
    with torch.device("meta"):  # shapes alone
        model = timm.create_model(bare, num_classes=0)
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1,))
    if pixels and any(pixels % side for side in patch):
        raise InputError(f"encoder {name}: patches of {patch[0]} do not tile {pixels} x {pixels} pixels")
    described = {"embed_dim": model.head_hidden_size, "timm_model_name": bare}
    return described | ({"image_size": pixels} if pixels else {})


def create(name: str, weights: str | None, state: Mapping[str, Tensor] | None = None) -> Backbone:
    """The backbone with published weights (a tag), with those of a state dict, or as its constructor draws them."""
    bare, pixels = _parts(name)
    # A transformer's positions are resized to the image; a convolution takes images of any size.
    known = timm.models.get_pretrained_cfg(_architecture(name))
    resized = pixels and known and known.fixed_input_size
    options: dict[str, Any] = {"num_classes": 0} | ({"img_size": pixels} if resized else {})
    if state is not None:
        # timm renames what the authors' files call otherwise, and leaves the classifier out
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(state), "custom_load": False}}
    elif weights:
        bare, options["pretrained"] = f"{_architecture(name)}.{weights}", True
    visual = timm.create_model(bare, **options)
    return Backbone(visual, preprocessing_of(visual, name)["input_size"][1:])


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a weights file, of which nothing is run."""
    return open_clip.factory.load_state_dict(str(path), weights_only=True)


def preprocessing_of(visual: nn.Module, name: str) -> dict[str, Any]:
    """How the backbone's own configuration prepares images: size, unless its name says it, crop, interpolation, mean
    and standard deviation."""
    return dict(sorted(timm.data.resolve_data_config({"img_size": _parts(name)[1]}, model=visual).items()))


@functools.cache
def backbone_transform(**preprocessing: Any) -> Preparation:
    """timm's own transform but for its last two steps, as clip's `image_transform`."""
    made = timm.data.create_transform(**preprocessing, is_training=False)
    return Preparation(made.transforms, functools.partial(backbone_transform, **preprocessing))
