"""What is asked for: scenes drawn at random, and their prompts in words."""

from dataclasses import replace

from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.scene import COLOURS, OPPOSITES, SIZES, Rng, Scene, Thing
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.styles import STYLES


def prompt_parts(scene: Scene) -> tuple[str, str, str, str]:
    """The prompt in four parts, each possibly empty: main thing, relation and second thing, place, style."""
    second = f"{scene.relation} {scene.things[1].words}" if scene.relation else ""
    place = BACKGROUNDS[scene.background].words if scene.background else ""
    return scene.things[0].words, second, place, f"{scene.style} style" if scene.style else ""


def prompt_text(scene: Scene) -> str:
    """The scene as a short sentence: "two red balls left of a blue house in a meadow, watercolour style"."""
    main, second, place, style = prompt_parts(scene)
    others = [f"and {thing.words}" for thing in scene.things[2 if scene.relation else 1 :]]
    return ", ".join(filter(None, (" ".join(filter(None, (main, second, *others, place))), style)))


def random_scene(rng: Rng) -> Scene:
    """A scene of one thing or, three times in four, of two in a relation."""
    kinds = rng.choice(list(KINDS), size=2, replace=False)
    colours = rng.choice(list(COLOURS), size=2, replace=False)
    sizes = rng.choice(list(SIZES), size=2, p=[0.15, 0.7, 0.15])
    counts = rng.choice([1, 2, 3, 4], size=2, p=[0.45, 0.25, 0.2, 0.1])
    things = [
        Thing(str(kind), str(colour), int(count), str(size))
        for kind, colour, count, size in zip(kinds, colours, counts, sizes, strict=True)
    ]
    relation = pick(rng, OPPOSITES) if rng.random() < 0.75 else ""
    if not relation:
        things = things[:1]
    return Scene(tuple(things), relation, pick(rng, BACKGROUNDS), pick(rng, STYLES))


def settle(scene: Scene, rng: Rng) -> Scene:
    """The scene with a background and a style, where it leaves them open."""
    background = scene.background or pick(rng, BACKGROUNDS)
    return replace(scene, background=background, style=scene.style or pick(rng, STYLES))


# ----------------------------------------------------------------------------------------------------------
# What goes wrong between prompt and picture: each fault takes a scene and returns one that breaks its prompt.


def pick(rng: Rng, names, *unlike: str) -> str:
    return str(rng.choice([name for name in names if name not in unlike]))
