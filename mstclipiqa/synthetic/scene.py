"""Scenes as data: what a picture shows, what of it a prompt states, and how far a drawing agrees with a prompt.

A `Scene` says what a prompt asks for. `prompts` word it, `painter` paints it, `faults` turn it into a scene that does
not do what the prompt says, and `artefacts` spoil the painting by a known amount. Nothing is random but what the
caller's generator draws, so equal seeds give equal pixels.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
Rng = np.random.Generator

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 48),
    "orange": (243, 132, 32),
    "yellow": (248, 208, 46),
    "green": (58, 158, 72),
    "turquoise": (48, 190, 186),
    "blue": (44, 92, 206),
    "purple": (136, 66, 176),
    "pink": (244, 138, 184),
    "brown": (134, 84, 48),
    "white": (244, 242, 236),
}
NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {"box": "boxes", "butterfly": "butterflies", "fish": "fish"}
SIZES = {"small": 0.72, "": 0.88, "large": 1.0}
OPPOSITES = {
    "above": "below",
    "below": "above",
    "left of": "right of",
    "right of": "left of",
    "on": "below",
    "beside": "above",
}


@dataclass(frozen=True)
class Thing:
    """`count` objects of one kind, colour and size, e.g. two large red balls."""

    kind: str
    colour: str
    count: int = 1
    size: str = ""

    @property
    def words(self) -> str:
        """As it stands in a prompt: "two large red balls"."""
        adjectives = " ".join(filter(None, (self.size, self.colour)))
        if self.count > 1:
            return f"{NUMBERS[self.count]} {adjectives} {PLURALS.get(self.kind, f'{self.kind}s')}"
        return f"{'an' if adjectives[0] in 'aeiou' else 'a'} {adjectives} {self.kind}"


@dataclass(frozen=True)
class Scene:
    """What a picture shows: things of distinct kinds, the first in `relation` to the second; place; style.

    A prompt has one thing, or two in a relation; a drawn scene may hold others. A background or style that is
    empty is not stated by the prompt, and the painter's to choose.
    """

    things: tuple[Thing, ...]
    relation: str = ""
    background: str = ""
    style: str = ""


def facts(scene: Scene) -> set[tuple]:
    """What the prompt states, one tuple a fact: objects, colours, counts, sizes, relation, place, style."""
    stated: set[tuple] = {(name, getattr(scene, name)) for name in ("background", "style")}
    if scene.relation:
        first, second, *_ = scene.things
        stated.add(("relation", first.kind, scene.relation, second.kind))
    for thing in scene.things:
        stated |= {("object", thing.kind), ("count", thing.kind, thing.count)}
        stated |= {("colour", thing.kind, thing.colour), ("size", thing.kind, thing.size)}
    return {fact for fact in stated if all(fact)}


def agreement(prompted: Scene, drawn: Scene) -> float:
    """Share in 0..1 of the prompt's facts that the drawn scene holds; "and nothing else" counts as a fact."""
    stated = facts(prompted)
    alone = {thing.kind for thing in drawn.things} <= {thing.kind for thing in prompted.things}
    return (len(stated & facts(drawn)) + alone) / (len(stated) + 1)
