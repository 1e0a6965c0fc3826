"""The probe's drawn images: scenes dealt over factors, some of them spoiled by each artefact in turn."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image

from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade
from mstclipiqa.synthetic.backgrounds import BACKGROUNDS
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.scene import COLOURS, Scene, Thing
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.styles import STYLES

#: Keeps the probe's scenes apart from everything else that is drawn from a small seed.
PROBE_SEED = 0x70726F
FOLDS, SIDE = 5, 224
#: Semantics need many scenes, distortion many renderings of some of them. From 48 a fold the embedded pair's objects
#: are read no better than by chance, though its text towers tell them apart.
SCENES_PER_FOLD, SPOILED_PER_FOLD = 128, 12
CLEAN = "none"

#: The subject of a picture and what may stand beside it are of different kinds, so that it is plain to see which of two
#: things the factors speak of.
SUBJECTS, COMPANIONS = list(KINDS)[:8], list(KINDS)[8:]
#: Only positions that look different from each other.
POSITIONS = ["above", "below", "left of", "right of"]
SEMANTIC = ("object", "count", "colour", "position", "background", "style")


# Images


def probe_scenes(per_fold: int = SCENES_PER_FOLD, spoiled: int = SPOILED_PER_FOLD) -> pd.DataFrame:
    """The scenes, a row each: fold, Scene, semantic factors, and where it is to be spoiled, each artefact's strength.

    The levels of every factor are dealt independently of the other factors and as equally as can be, within each fold
    too: where a fold has more of a level, the others have less, and a readout that knows nothing falls below chance.
    A subject that stands alone has no position. Strengths are 0.1..1, and missing for a scene that stays clean.
    """
    rng = np.random.default_rng(PROBE_SEED)

    def deal(levels: list, size: int = per_fold) -> list:
        return rng.permuted(np.resize(levels, (FOLDS, size)), axis=1).ravel().tolist()

    frame = pd.DataFrame(
        {
            "fold": np.arange(FOLDS).repeat(per_fold),
            "object": deal(SUBJECTS),
            "count": deal(["1", "2", "3", "4"]),
            "colour": deal(list(COLOURS)),
            "position": deal([*POSITIONS, ""]),
            "background": deal(list(BACKGROUNDS)),
            "style": deal(list(STYLES)),
            "spoiled": np.tile(np.arange(per_fold) < spoiled, FOLDS),
        }
    )
    companions = [Thing(kind, colour) for kind, colour in zip(deal(COMPANIONS), deal(list(COLOURS)), strict=True)]
    frame["scene"] = [
        Scene(
            (Thing(row.object, row.colour, int(row.count)), *([companion] if row.position else [])),
            row.position, row.background, row.style,
        )
        for row, companion in zip(frame.itertuples(name="Row"), companions, strict=True)
    ]  # fmt: skip
    frame["position"] = frame["position"].replace("", None)
    for name in ARTEFACTS:
        frame.loc[frame["spoiled"], name] = deal(np.linspace(0.1, 1, spoiled).tolist(), spoiled)
    return frame


def paint(scenes: pd.DataFrame) -> Iterator[list[Image.Image]]:
    """Each scene's renderings: the clean painting, then the same pixels under each artefact where it is spoiled."""
    for number, row in enumerate(scenes.to_dict("records")):
        rng = np.random.default_rng([PROBE_SEED, number])
        clean = draw(row["scene"], SIDE, rng)
        yield [clean, *(degrade(clean, {name: row[name]}, rng) for name in ARTEFACTS if row["spoiled"])]


def describe_images(scenes: pd.DataFrame) -> pd.DataFrame:
    """A row per image in the order of `paint`: scene, its fold, semantic factors and whether it is spoiled; artefact
    and strength (0 if clean)."""
    images = scenes[["fold", "spoiled", *SEMANTIC]].rename_axis("scene").reset_index()
    images["artefact"] = [[CLEAN, *ARTEFACTS] if spoiled else [CLEAN] for spoiled in images["spoiled"]]
    images = images.explode("artefact", ignore_index=True)
    strengths = [
        0.0 if name == CLEAN else scenes.at[scene, name] for scene, name in images[["scene", "artefact"]].values
    ]
    return images.assign(strength=strengths)


def factors(images: pd.DataFrame) -> dict[str, pd.Series]:
    """Each factor's values, words or numbers, on the images it is read from.

    Semantic factors are read from the clean image of every scene that has them, artefact and strength from all
    renderings of spoiled scenes, and one artefact's strength from its own.
    """
    clean, spoiled = images[images["artefact"] == CLEAN], images[images["spoiled"]]
    return {
        **{name: clean[name].dropna() for name in SEMANTIC},
        "which artefact": spoiled["artefact"],
        "strength of any": spoiled["strength"],
        **{f"strength of {name}": spoiled.loc[spoiled["artefact"] == name, "strength"] for name in ARTEFACTS},
    }
