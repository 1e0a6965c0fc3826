"""What goes wrong between prompt and picture: each fault takes a scene and returns one that breaks its prompt."""

from collections.abc import Callable
from dataclasses import replace

from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.prompts import pick
from mstclipiqa.synthetic.scene import COLOURS, NUMBERS, OPPOSITES, Rng, Scene, Thing
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.styles import STYLES


def _change(scene: Scene, rng: Rng, change: Callable[[Thing], Thing]) -> Scene:
    index = int(rng.integers(len(scene.things)))
    things = tuple(change(thing) if i == index else thing for i, thing in enumerate(scene.things))
    return replace(scene, things=things)


def wrong_colour(scene: Scene, rng: Rng) -> Scene:
    """One thing has another colour."""
    return _change(scene, rng, lambda thing: replace(thing, colour=pick(rng, COLOURS, thing.colour)))


def wrong_count(scene: Scene, rng: Rng) -> Scene:
    """One thing appears once or twice too often, or once too seldom."""

    def miscount(thing: Thing) -> Thing:
        near = (thing.count - 1, thing.count + 1, thing.count + 2)
        return replace(thing, count=int(rng.choice([count for count in near if count in NUMBERS])))

    return _change(scene, rng, miscount)


def missing_object(scene: Scene, rng: Rng) -> Scene:
    """One of the two things is not there; where there is only one, another kind stands in its place."""
    if scene.relation:
        gone = int(rng.integers(2))
        return replace(scene, things=scene.things[:gone] + scene.things[gone + 1 :], relation="")
    return _change(scene, rng, lambda thing: replace(thing, kind=pick(rng, KINDS, thing.kind)))


def extra_object(scene: Scene, rng: Rng) -> Scene:
    """Something nobody asked for."""
    kind = pick(rng, KINDS, *(thing.kind for thing in scene.things))
    return replace(scene, things=(*scene.things, Thing(kind, pick(rng, COLOURS))))


def wrong_relation(scene: Scene, rng: Rng) -> Scene:
    """The things stand in a relation that contradicts the prompt; nothing changes where there is none."""
    return replace(scene, relation=OPPOSITES.get(scene.relation, ""))


def wrong_background(scene: Scene, rng: Rng) -> Scene:
    """Another place."""
    return replace(scene, background=pick(rng, BACKGROUNDS, scene.background))


def wrong_style(scene: Scene, rng: Rng) -> Scene:
    """Another style."""
    return replace(scene, style=pick(rng, STYLES, scene.style))


#: In the order of application.
FAULTS: dict[str, Callable[[Scene, Rng], Scene]] = {
    "wrong_colour": wrong_colour,
    "wrong_count": wrong_count,
    "wrong_relation": wrong_relation,
    "wrong_background": wrong_background,
    "wrong_style": wrong_style,
    "missing_object": missing_object,
    "extra_object": extra_object,
}
