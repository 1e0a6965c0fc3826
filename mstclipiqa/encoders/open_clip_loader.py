"""open_clip and timm, also where a CPU build of torch meets a torchvision built for CUDA."""

from pathlib import Path
from typing import Any

import torch


def _import_open_clip() -> Any:
    """open_clip, also where a CPU build of torch meets a torchvision built for CUDA.

    torchvision's compiled operators are then absent and its import fails on their missing schemas. The
    transforms need none of them, so declaring the schemas is enough.
    """
    if not _has_operator("nms"):
        try:
            import torchvision  # noqa: F401
        except (RuntimeError, ImportError):
            _declare_torchvision_operators()
    import open_clip

    open_clip.add_model_config(Path(__file__).parent / "model_configs")
    return open_clip


def _has_operator(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)


def _declare_torchvision_operators() -> None:
    for schema in (
        "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "torchvision::qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        name, signature = schema.split("(", 1)
        if not _has_operator(name.removeprefix("torchvision::")):
            torch.library.define(name, f"({signature}")


open_clip = _import_open_clip()
import timm  # noqa: E402, F401  after open_clip: it imports torchvision, too
