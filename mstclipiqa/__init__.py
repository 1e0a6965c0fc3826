"""Reproducibility benchmark harness for MST-CLIPIQA (arXiv 2606.16799)."""

__version__ = "0.1.0"
