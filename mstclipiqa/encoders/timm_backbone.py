"""Backbones of timm, which have an image tower and no text tower: DINOv2, ConvNeXt and others.

A backbone is called `timm:NAME`, as in `timm:vit_small_patch14_dinov2`; its features are those before its classifier.
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


def find_tag(name: str, weights: str) -> dict | None:
    """The pretrained configuration of a tag of weights, in open_clip's words; None where timm has no such tag."""
    architecture = name.removeprefix(TIMM).partition(".")[0]
    tag = timm.models.get_pretrained_cfg(f"{architecture}.{weights}") if weights in list_tags(name) else None
    if tag is None:
        return None
    hub = f"{tag.hf_hub_id}/{tag.hf_hub_filename or 'model.safetensors'}" if tag.hf_hub_id else ""
    return {"hf_hub": hub, "url": tag.url or ""}


def list_tags(name: str) -> list[str]:
    """The tags of a backbone's published weights."""
    architecture = name.removeprefix(TIMM).partition(".")[0]
    return [found.partition(".")[2] for found in timm.list_pretrained(f"{architecture}.*")]


@functools.cache
def describe(name: str) -> dict:
    """The architecture of a backbone in open_clip's words, without weights. Raises InputError for an unknown one."""
    bare = name.removeprefix(TIMM)
    if not timm.is_model(bare):
        raise InputError(f"encoder {name!r}: timm knows no such model; see timm.list_models()")
    with torch.device("meta"):  # shapes alone
        model = timm.create_model(bare, num_classes=0)
    return {"embed_dim": model.head_hidden_size, "timm_model_name": bare}


def create(name: str, weights: str | None, state: Mapping[str, Tensor] | None = None) -> Backbone:
    """The backbone with published weights (a tag), with those of a state dict, or as its constructor draws them."""
    bare = name.removeprefix(TIMM)
    if state is not None:
        # timm renames what the authors' files call otherwise, and leaves the classifier out
        overlay = {"state_dict": dict(state), "custom_load": False}
        visual = timm.create_model(bare, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0)
    else:
        bare = f"{bare.partition('.')[0]}.{weights}" if weights else bare
        visual = timm.create_model(bare, pretrained=weights is not None, num_classes=0)
    return Backbone(visual, preprocessing_of(visual)["input_size"][1:])


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a weights file, of which nothing is run."""
    return open_clip.factory.load_state_dict(str(path), weights_only=True)


def preprocessing_of(visual: nn.Module) -> dict[str, Any]:
    """How the backbone's own configuration prepares images: size, crop, interpolation, mean and standard deviation."""
    return dict(sorted(timm.data.resolve_model_data_config(visual).items()))


@functools.cache
def backbone_transform(**preprocessing: Any) -> Preparation:
    """timm's own transform but for its last two steps, as clip's `image_transform`."""
    made = timm.data.create_transform(**preprocessing, is_training=False)
    return Preparation(made.transforms, functools.partial(backbone_transform, **preprocessing))
