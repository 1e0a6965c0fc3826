"""How every figure of the report is drawn: its style and colours, and the PNG and SVG that come of it."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape
from matplotlib.figure import Figure as Canvas

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

#: All lines and letters are drawn in this colour, which becomes the reader's text colour in the SVG.
INK = "#24292e"
#: Okabe and Ito's blue (lightened), vermilion, green and purple: contrast 3:1 on white and on the dark page.
COLOURS = ["#1f8acb", "#d55e00", "#009e73", "#cc79a7"]
MARKERS = ["o", "D", "s", "^"]
DOTTED = (0, (2, 2))
THEME = "svg{color-scheme:light dark;color:CanvasText}"

STYLE: "dict[RcKeyType, str | float]" = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "mstclipiqa",
    "svg.fonttype": "path",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

#: A page holds no SVG of more characters, as of a heat map of the whole study, and names the file instead.
MOST_SVG = 225_000


@dataclass(frozen=True)
class Figure:
    """One figure: `png` is opaque on white, `svg` follows the reader's light or dark theme."""

    name: str
    caption: str
    alt: str
    png: bytes
    svg: str

    @property
    def fits(self) -> bool:
        """Whether a page holds it."""
        return len(self.svg) <= MOST_SVG

    @property
    def inline(self) -> Markup:
        """The SVG element for a page: colours from the text around it, ids that no other figure has."""
        svg = self.svg[self.svg.index("<svg") :].replace(THEME, "", 1)
        svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
        svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{self.name}-", svg).strip()
        return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.alt)}" ', 1))


def finish(canvas: Canvas, name: str, caption: str, alt: str) -> Figure:
    png, svg = io.BytesIO(), io.StringIO()
    canvas.set_layout_engine("constrained", h_pad=0.09, w_pad=0.09)
    canvas.savefig(png, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    canvas.set_layout_engine("none")  # laid out already, which takes as long as drawing
    no_metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    canvas.savefig(svg, format="svg", dpi=200, transparent=True, metadata=no_metadata)
    text = svg.getvalue().replace(INK, "currentColor")
    text = text.replace('<style type="text/css">', f'<style type="text/css">{THEME}', 1)
    return Figure(name, caption, alt, png.getvalue(), text)
