"""The page of what differs between two results folders (provenance/results_diff)."""

from collections.abc import Mapping, Sequence

import jinja2
import pandas as pd

#: What the tables are called on the page, in its order.
TITLES = {
    "means": "Means over runs",
    "runs": "Runs",
    "verdicts": "Verdicts",
    "facts": "What the results rest on",
}


def render_diff(lines: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> str:
    """One HTML file that needs no other: the `lines` that say what differs, then the tables by the names in TITLES."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mstclipiqa.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = {
        title: tables[name].to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.4f}")
        for name, title in TITLES.items()
        if len(tables[name])
    }
    return environment.get_template("diff.html.j2").render(lines=lines, tables=shown)
