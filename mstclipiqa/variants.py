"""The models of the paper, as data: which fusion, which head."""

from dataclasses import dataclass

from mstclipiqa.errors import InputError


@dataclass(frozen=True)
class Variant:
    """A model of the paper: which fusion, and whether the head reads the generation prompt."""

    title: str
    description: str
    fusion: str
    prompt: bool


VARIANTS: dict[str, Variant] = {
    "mst-clipiqa": Variant(
        "MST-CLIPIQA", "gated fusion and the template head; the prompt is not used", fusion="gff", prompt=False
    ),
    "mst-clipiqa-star": Variant(
        "MST-CLIPIQA*", "gated fusion and the regression head that attends to the prompt", fusion="gff", prompt=True
    ),
}


def get_variant(name: str) -> Variant:
    """The variant called `name`. Raises InputError naming the known ones."""
    if name not in VARIANTS:
        raise InputError(f"unknown variant {name!r}; known: {', '.join(VARIANTS)}")
    return VARIANTS[name]
