"""The report of one suite: tables, figures, one self-contained page, from its results folder alone."""

from mstclipiqa.report.page import write_report

__all__ = ["write_report"]
