"""Reproducibility benchmark harness for MST-CLIPIQA (arXiv 2606.16799)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mstclipiqa.base.version import __version__

if TYPE_CHECKING:
    from mstclipiqa.api.notebook import compare, evaluate, load_benchmark, splits
    from mstclipiqa.scoring.scorer import Scorer

__all__ = ["Scorer", "__version__", "compare", "evaluate", "load_benchmark", "splits"]

#: Where the names come from. They are imported on demand, so that importing the package loads no torch.
PLACES = dict.fromkeys(["compare", "evaluate", "load_benchmark", "splits"], "mstclipiqa.api.notebook") | {
    "Scorer": "mstclipiqa.scoring.scorer"
}


def __getattr__(name: str) -> Any:
    if name in PLACES:
        return getattr(import_module(PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
