"""Reproducibility benchmark harness for MST-CLIPIQA (arXiv 2606.16799)."""

from importlib import import_module
from typing import Any

from mstclipiqa.base.version import __version__

__all__ = ["Scorer", "__version__"]


def __getattr__(name: str) -> Any:
    # By name and on demand, so that importing the package loads no torch.
    if name == "Scorer":
        return import_module("mstclipiqa.scoring.scorer").Scorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
