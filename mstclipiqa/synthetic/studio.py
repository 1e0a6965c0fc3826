"""Where one drawn benchmark comes about: how its generators fail, its pictures, and its simulated raters."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mstclipiqa.synthetic.artefacts import ARTEFACTS, degrade, latents
from mstclipiqa.synthetic.faults import FAULTS
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import prompt_parts, prompt_text, random_scene, settle
from mstclipiqa.synthetic.scene import Rng, Scene, agreement

GROUND_TRUTH = "ground_truth.csv"
RATERS = 21

#: Prompt-grouped splits need this many distinct prompts, whatever the scale.
FEWEST_PROMPTS = 10


@dataclass(frozen=True)
class Profile:
    """How a simulated generator fails: typical strength of each artefact, and probability of each fault."""

    artefacts: dict[str, float] = field(default_factory=dict)
    faults: float = 0.1
    often: dict[str, float] = field(default_factory=dict)  # faults with a probability of their own


PROFILES: dict[str, Profile] = {
    "gan": Profile({"warp": 0.35, "checkerboard": 0.4, "colour_cast": 0.2}, 0.3, {"missing_object": 0.4}),
    "early": Profile({"noise": 0.4, "blur": 0.25, "warp": 0.15}, 0.2, {"wrong_count": 0.5}),
    "smeared": Profile({"blur": 0.35, "checkerboard": 0.2, "ghost": 0.15}, 0.2, {"wrong_relation": 0.35}),
    "diffusion": Profile({"noise": 0.12, "warp": 0.12, "jpeg": 0.1}, 0.12, {"wrong_count": 0.25}),
    "loose": Profile({"noise": 0.12, "warp": 0.15, "washout": 0.1}, 0.22),
    "strict": Profile({"banding": 0.2, "colour_cast": 0.2, "warp": 0.1}, 0.06),
    "lowstep": Profile({"blur": 0.3, "ghost": 0.2, "washout": 0.15}, 0.15),
    "consistency": Profile({"banding": 0.2, "blur": 0.2}, 0.12, {"wrong_style": 0.25}),
    "blocky": Profile({"jpeg": 0.4, "banding": 0.1}, 0.1),
    "inpainting": Profile({"scramble": 0.25, "ghost": 0.1, "colour_cast": 0.1}, 0.2, {"extra_object": 0.4}),
    "faded": Profile({"washout": 0.3, "noise": 0.08}, 0.08),
    "strong": Profile({"blur": 0.03, "warp": 0.03}, 0.03),
}

#: In any picture, with this probability, one more artefact of any strength.
ACCIDENT = 0.3


@dataclass(frozen=True)
class Picture:
    """One image to draw: its path in the benchmark's folder, the prompt's wording and its scene."""

    file: str
    prompt: str
    scene: Scene
    profile: str
    size: int | tuple[int, int] = 224


@dataclass(frozen=True)
class Studio:
    """Where one benchmark is drawn. Random numbers depend on (seed, name, purpose), never on the order."""

    folder: Path
    name: str
    seed: int
    scale: float

    def rng(self, *purpose: str) -> Rng:
        """The random generator for one purpose."""
        words = [zlib.crc32(word.encode()) for word in (self.name, *purpose)]
        return np.random.default_rng([self.seed, *words])

    def count(self, full: int, least: int) -> int:
        """How many of `full` there are at this scale."""
        return max(least, round(full * self.scale))

    def scenes(self, count: int) -> list[Scene]:
        """Scenes whose prompts differ in more than place and style."""
        rng = self.rng("prompts")
        scenes: dict[tuple[str, str], Scene] = {}
        while len(scenes) < count:
            scene = random_scene(rng)
            scenes.setdefault(prompt_parts(scene)[:2], scene)
        return list(scenes.values())

    def draw(self, pictures: Iterable[Picture]) -> pd.DataFrame:
        """Draw the pictures and write their ground truth: one row each, with what was drawn and how well."""
        truth = pd.DataFrame([self._draw(picture) for picture in pictures])
        truth.round(6).to_csv(self.folder / GROUND_TRUTH, index=False, lineterminator="\n")
        return truth

    def _draw(self, picture: Picture) -> dict:
        rng, profile = self.rng(picture.file), PROFILES[picture.profile]
        # Some prompts are harder than others, for every generator: to render, and to follow. Most are followed either
        # easily or hardly at all, those with a relation least: what the prompt says tells of correspondence.
        of_prompt = self.rng("difficulty", picture.prompt)
        difficulty, hard = of_prompt.uniform(0.5, 1.5), 5 * of_prompt.beta(0.3, 0.3)
        hard *= 1.6 if picture.scene.relation else 0.2
        typical = np.array([profile.artefacts.get(name, 0) for name in ARTEFACTS])
        amounts = typical * difficulty * rng.gamma(2, 0.7, len(ARTEFACTS))
        accident, where, how_much = rng.random(), rng.integers(len(ARTEFACTS)), rng.uniform(0.2, 1)
        if accident < ACCIDENT:
            amounts[where] = max(amounts[where], how_much)
        amounts = np.where(amounts < 0.03, 0, np.clip(amounts, 0, 1)).round(3)
        strengths = dict(zip(ARTEFACTS, amounts.tolist(), strict=True))

        scene = settle(picture.scene, rng)
        faults: list[str] = []
        for name, fault in FAULTS.items():
            if rng.random() < hard * profile.often.get(name, profile.faults):
                worse = fault(scene, rng)
                if agreement(picture.scene, worse) < agreement(picture.scene, scene):
                    scene = worse
                    faults.append(name)
        self.save(picture.file, degrade(draw(scene, picture.size, rng), strengths, rng))
        return {
            "image": Path(picture.file).name,
            "prompt": picture.prompt,
            "drawn": prompt_text(scene),
            "faults": " ".join(faults),
            **strengths,
            **latents(picture.scene, scene, strengths),
        }

    def save(self, file: str, image: Image.Image) -> None:
        """Save one image under the benchmark's folder."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=92, compress_level=3)  # the one is for JPEG, the other for PNG

    def rate(self, latent: pd.Series, purpose: str, raters: int = RATERS, noise: float = 0.12) -> np.ndarray:
        """Ratings in 0..1, shape (raters, images): each rater has a bias, a slope and noise of their own."""
        rng = self.rng("raters", purpose)
        bias, slope = rng.normal(0, 0.05, (raters, 1)), rng.uniform(0.8, 1.2, (raters, 1))
        errors = rng.normal(0, noise, (raters, len(latent)))
        return np.clip(0.5 + bias + slope * (latent.to_numpy() - 0.5) + errors, 0, 1)
