"""The models to compare, as data: which fusion, which head, which streams. Imports no torch."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mstclipiqa.base.errors import InputError

#: The encoders that every configuration has: the coarse and the fine one.
PAIR = ("coarse", "fine")

#: The names that an encoder has by its part. Another one is a stream of variants that look at any number.
PARTS = (*PAIR, "retokenised", "twin", "twin-fine", "text")

FUSIONS = Path(__file__).parent / "fusions"

#: Heads: the paper's two, Table III's reading of two complete CLIPs with a text tower each, and those of other methods.
TEMPLATE, PROMPT, TWO_TOWERS, RIVAL = "template", "prompt", "two-towers", "rival"

#: Which prompt the prompt head is given with an image, in training and test alike. The paper's is the image's own. To
#: see whether it matters: prompts permuted among all images, or among those of each generator; the first image's prompt
#: with every image; no words, which is the state of the start token; and none, with alpha frozen at 0. Or the image's
#: own in another language, where the configuration has translations.
OWN, PERMUTED, WITHIN_GENERATOR, CONSTANT = "own", "permuted", "permuted-within-generator", "constant"
EMPTY, NONE, TRANSLATED = "empty", "none", "translated"


@dataclass(frozen=True)
class Variant:
    """A model: `fusion` is a module of model/fusions, or none where the head takes both streams; `streams` are the
    encoders of the configuration that f_c and f_f come from, and `many` is whether they are any number, which the
    configuration names; `prompts` is which prompt the prompt head is given; `rival` is a module of model/rivals, the
    head of another method, `levels` whether it reads the level texts, and `asks` whether it reads the prompt."""

    title: str
    description: str
    fusion: str | None
    head: str = TEMPLATE
    streams: tuple[str, str] = PAIR
    many: bool = False
    prompts: str = OWN
    rival: str | None = None
    levels: bool = True
    asks: bool = False

    @property
    def prompt(self) -> bool:
        """Whether the head reads a prompt."""
        return self.prompts != NONE if self.head == PROMPT else self.asks

    @property
    def reads_levels(self) -> bool:
        """Whether the head compares the streams with the texts of the quality levels."""
        return self.head != PROMPT and self.levels

    def encoders(self, fine_stream: str, named: Sequence[str] = PAIR) -> tuple[str, ...]:
        """The encoders of the configuration that the streams come from, f_c's first, under a recipe whose fine stream
        is `fine_stream`; `named` are the configuration's own, for variants that look at any number."""
        return tuple(fine_stream if name == "fine" else name for name in (named if self.many else self.streams))

    @property
    def modules(self) -> list[str]:
        """The module of the fusion or rival, where there is one: what fingerprints have beside the job's own."""
        return [self.module] if self.module else []

    @property
    def module(self) -> str | None:
        """The full name of the fusion's module, or of the rival's."""
        if self.rival:
            return f"mstclipiqa.model.rivals.{self.rival}"
        return self.fusion and f"mstclipiqa.model.fusions.{self.fusion}"


def stream_roles(count: int) -> list[str]:
    """What the streams of a model are called: coarse, fine and then by their number."""
    return [*PAIR, *(f"further-{number}" for number in range(len(PAIR) + 1, count + 1))]


def fusion_variant(path: Path) -> Variant:
    """The variant that a fusion is with the template head. Its module is read, not imported: that would load torch.

    Raises InputError where the module is no Python, or has no TITLE or DESCRIPTION.
    """
    try:
        texts = {
            ast.unparse(statement.targets[0]): ast.literal_eval(statement.value)
            for statement in ast.parse(path.read_bytes()).body
            if isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) in ("TITLE", "DESCRIPTION", "MANY")
        }
    except (SyntaxError, ValueError) as error:  # a text that is put together is no literal
        raise InputError(f"{path}: cannot be read as a fusion ({' '.join(str(error).split())}); mend it") from None
    for name in ("TITLE", "DESCRIPTION"):
        if not isinstance(texts.get(name), str):
            raise InputError(f'{path}: a fusion needs {name} = "..." for the report; add it below the imports')
    return Variant(texts["TITLE"], texts["DESCRIPTION"], path.stem, many=texts.get("MANY", False) is True)


_BY_FUSION = {
    path.stem.replace("_", "-"): fusion_variant(path) for path in sorted(FUSIONS.glob("*.py")) if path.stem[0] != "_"
}

#: The variant of every fusion goes by the name of its file; GFF is the paper's own model.
VARIANTS: dict[str, Variant] = {
    "mst-clipiqa": _BY_FUSION.pop("gff"),
    "mst-clipiqa-star": Variant(
        "MST-CLIPIQA*", "gated fusion and the regression head that attends to the prompt", fusion="gff", head=PROMPT
    ),
    "coarse-only-star": Variant(
        "Coarse stream and prompt",
        "one encoder and the regression head that attends to the prompt (Table VII)",
        fusion="coarse_only",
        head=PROMPT,
    ),
    "mstfe-1": Variant(
        "MSTFE-1",
        "two complete CLIPs: each stream meets the level texts of its own text tower, and the logits are averaged "
        "(Table III; our reading; MSTFE-2 is MST-CLIPIQA)",
        fusion=None,
        head=TWO_TOWERS,
    ),
}
VARIANTS |= {
    name: Variant(
        title,
        f"gated fusion of the {scale} encoder and another of the same patch size: is it scale, or is it ensembling "
        "(a control of ours)",
        fusion="gff",
        streams=(scale, name),
    )
    for name, scale, title in (
        ("twin", "coarse", "Two coarse encoders"),
        ("twin-fine", "fine", "Two fine encoders"),
    )
}
VARIANTS |= {
    name: Variant(title, f"MST-CLIPIQA* {description} (a control of ours)", fusion="gff", head=PROMPT, prompts=prompts)
    for name, title, prompts, description in (
        ("star-permuted", "Another image's prompt", PERMUTED, "with the prompts permuted among all images"),
        (
            "star-permuted-within",
            "Another prompt, same generator",
            WITHIN_GENERATOR,
            "with the prompts permuted among the images of each generator",
        ),
        ("star-constant", "One prompt for all", CONSTANT, "with the first image's prompt given with every image"),
        ("star-translated", "The prompt translated", TRANSLATED, "with each image's prompt in another language"),
        ("star-empty", "Empty prompt", EMPTY, "with a prompt without words, which is the start token alone"),
        (
            "star-no-prompt",
            "Head of MST-CLIPIQA*, no prompt",
            NONE,
            "with alpha frozen at 0, which is MST-CLIPIQA with the regression head and no prompt",
        ),
    )
}
VARIANTS |= {
    name: Variant(title, description, fusion="streams_gate", many=True, head=PROMPT, prompts=prompts)
    for name, title, prompts, description in (
        (
            "streams-gate-star",
            "Gate over all streams, prompt",
            OWN,
            "a softmax over all streams of the suite and the regression head that attends to the prompt (ours)",
        ),
        (
            "streams-gate-no-prompt",
            "Gate over all streams, no prompt",
            NONE,
            "a softmax over all streams of the suite and the regression head without a prompt: no text is read (ours)",
        ),
    )
}
VARIANTS |= {
    rival.replace("_", "-"): Variant(
        title, description, fusion=None, head=RIVAL, rival=rival, levels=levels, asks=rival == "ip_iqa_pool"
    )
    for rival, title, levels, description in (
        (
            "liqe_frozen",
            "LIQE, frozen",
            True,
            "CLIP's expectation over the levels, of f_c behind one linear map (LIQE fine-tunes all of CLIP)",
        ),
        (
            "clip_agiqa_frozen",
            "CLIP-AGIQA, frozen",
            True,
            "a regression on f_f beside the level texts (CLIP-AGIQA also learns words of the texts)",
        ),
        (
            "ma_agiqa_gate",
            "MA-AGIQA's gate",
            False,
            "the streams as two experts, mixed by a linear gate (MA-AGIQA has other features, and a third expert)",
        ),
        (
            "ip_iqa_pool",
            "IP-IQA's pooling",
            False,
            "the prompt asks the streams, and a perceptron reads the answer (IP-IQA trains a ResNet, and asks its map)",
        ),
    )
}
for _name in _BY_FUSION.keys() & VARIANTS.keys():
    raise InputError(f"{FUSIONS}: a fusion's file is called after the variant {_name}; rename it")
VARIANTS |= _BY_FUSION


def get_variant(name: str) -> Variant:
    """The variant called `name`. Raises InputError naming the known ones."""
    if name not in VARIANTS:
        raise InputError(f"unknown variant {name!r}; known: {', '.join(VARIANTS)}")
    return VARIANTS[name]
