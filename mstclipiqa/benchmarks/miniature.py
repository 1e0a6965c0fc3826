"""The embedded suite: small stand-ins for the five benchmarks, drawn from a seed in their real file layouts.

None of it is real data. Generators bear the benchmarks' names for them, since file names and label files do,
but each only simulates a way of failing: PROFILES. MOS are simulated ratings of known latent factors, which
ground_truth.csv states for every image. The layouts include the defects that the real label files have.
"""

import io
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from mstclipiqa.benchmarks.base import SYNTHETIC_MARK, TARGETS
from mstclipiqa.errors import InputError
from mstclipiqa.files import write_text, writing
from mstclipiqa.scenes import (
    ARTEFACTS,
    FAULTS,
    KINDS,
    OPPOSITES,
    Rng,
    Scene,
    agreement,
    degrade,
    draw,
    latents,
    prompt_parts,
    prompt_text,
    random_scene,
    settle,
)

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
        rng, scenes = self.rng("prompts"), {}
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
        strengths = typical * difficulty * rng.gamma(2, 0.7, len(ARTEFACTS))
        accident, where, how_much = rng.random(), rng.integers(len(ARTEFACTS)), rng.uniform(0.2, 1)
        if accident < ACCIDENT:
            strengths[where] = max(strengths[where], how_much)
        strengths = np.where(strengths < 0.03, 0, np.clip(strengths, 0, 1)).round(3)
        strengths = dict(zip(ARTEFACTS, strengths.tolist(), strict=True))

        scene, faults = settle(picture.scene, rng), []
        for name, fault in FAULTS.items():
            if rng.random() < hard * profile.often.get(name, profile.faults):
                worse = fault(scene, rng)
                if agreement(picture.scene, worse) < agreement(picture.scene, scene):
                    scene, faults = worse, [*faults, name]
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


def draw_benchmark(name: str, root: Path, seed: int, scale: float = 1.0) -> None:
    """Draw the miniature of benchmark `name` into the folder `root`, which is replaced whole or not at all.

    `scale` in (0, 1] shrinks it, down to FEWEST_PROMPTS prompts. Equal arguments give equal bytes in every
    file. Raises InputError for an unknown name, a scale outside (0, 1], or a `root` that holds other files.
    """
    if name not in MINIATURES:
        raise InputError(f"no miniature of {name!r}; there are {', '.join(MINIATURES)}")
    if not 0 < scale <= 1:
        raise InputError(f"scale {scale} of the miniature {name}: give a number above 0 and up to 1")
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is no folder; draw the miniature {name} elsewhere")
    if root.exists() and not (root / SYNTHETIC_MARK).exists() and list(root.iterdir()):
        raise InputError(f"{root}: holds files that were not drawn here; draw the miniature {name} elsewhere")
    # Hidden siblings: a drawing that is killed leaves nothing that could be taken for a benchmark.
    draft, old = (root.with_name(f".{root.name}.{what}") for what in ("draft", "old"))
    for folder in (draft, old):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        with writing(root):
            draft.mkdir(parents=True)
            MINIATURES[name](Studio(draft, name, seed, scale))
            write_text(draft / SYNTHETIC_MARK, NOTICE.format(name=name, seed=seed, scale=scale))
            if root.exists():
                os.replace(root, old)
            os.replace(draft, root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


NOTICE = f"""# Synthetic: not {{name}}

Everything in this folder was drawn by mstclipiqa (seed {{seed}}, scale {{scale}}) to exercise a workflow.
It has the file layout of the benchmark {{name}} and nothing else of it.

* The images are drawn scenes. The generators named in the files are labels of simulated ways to fail; no
  image here was made by those models, and nothing here says anything about them.
* The MOS are simulated: raters with a bias, a slope and noise of their own rate known latent factors
  (aigiqa-20k: 0.6 quality + 0.4 correspondence).
* {GROUND_TRUTH} states for each image what was really drawn, which faults the drawing has, the strength
  (0..1) of each artefact, and the latent quality, authenticity and correspondence (0..1).
* Defects of the real label files are reproduced on purpose.
"""


# ----------------------------------------------------------------------------------------------------------
# The five layouts


def _agiqa_1k(studio: Studio) -> None:
    """{generator}_{main}_{second}_{place}_{style}.jpg; half the prompts have a second, by dreamStudio."""
    side = max(3, round(6 * studio.scale**0.5))
    rng = studio.rng("prompts")
    kinds = rng.permutation(list(KINDS))[: 2 * side].tolist()
    things = [replace(random_scene(rng).things[0], kind=kind) for kind in kinds]
    mains, seconds = things[:side], things[side:]
    pictures = []
    generators = (("deepai", "diffusion", 0), ("dreamStudio", "inpainting", side - side // 2))
    for generator, profile, first in generators:
        for m, s, p, t in np.ndindex(side, side - first, 2, 2):
            relation = list(OPPOSITES)[(first + s) % len(OPPOSITES)]
            pair = (mains[m], seconds[first + s])
            scene = Scene(pair, relation, ("meadow", "night")[p], ("cartoon", "3D render")[t])
            name = f"file/{generator}_{m}_{s}_{p}_{t}.jpg"
            pictures.append(Picture(name, ", ".join(prompt_parts(scene)), scene, profile, 256))
    truth = studio.draw(pictures)
    ratings = studio.rate(truth["quality"], "quality", raters=22)
    mos = _z_scores(ratings).mean(0)
    mos = 5 * (mos - mos.min()) / np.ptp(mos)
    sheet = pd.DataFrame({"Image": truth["image"], "Prompt": truth["prompt"], "MOS": mos.round(6)})
    # The raw scores are another panel's: in the real files, too, they are another target than the MOS.
    raw = np.rint(5 * studio.rate(truth["quality"], "raw", raters=22, noise=0.5)).mean(0)
    scores = pd.DataFrame({"Image": truth["image"], "Score": raw.round(9)})
    # The real defects: one image's row stands at the end under the name of the last image, which thus stands
    # there twice; and the raw scores have that name cut short.
    last, lost = sheet.index[-1], sheet.index[-8]
    moved = sheet.loc[[last]].assign(MOS=sheet.loc[lost, "MOS"])
    sheet = pd.concat([sheet.drop(lost), moved])
    scores.loc[last, "Image"] = scores.loc[last, "Image"].replace("1.jpg", ".jpg")
    scores = scores.iloc[studio.rng("order").permutation(len(scores))]
    _write_xlsx(studio.folder / "AIGC_MOS_Zscore.xlsx", sheet)
    scores.to_csv(studio.folder / "AIGC_all.csv", index=False, lineterminator="\r\n")


def _agiqa_3k(studio: Studio) -> None:
    """{variant}_{prompt}.jpg: ten images a prompt, a few of them missing."""
    variants = {
        "AttnGAN_normal": "gan",
        "DALLE2_normal": "faded",
        "glide_normal": "early",
        "midjourney_lowstep": "lowstep",
        "midjourney_normal": "strong",
        "sd1.5_highcorr": "strict",
        "sd1.5_lowcorr": "loose",
        "sd1.5_lowstep": "lowstep",
        "sd1.5_normal": "diffusion",
        "xl2.2_normal": "consistency",
    }
    scenes = studio.scenes(studio.count(24, FEWEST_PROMPTS))
    # A third of the prompts state no place, and every other one of these no style either.
    scenes = [replace(scene, background="") if i % 3 == 0 else scene for i, scene in enumerate(scenes)]
    scenes = [replace(scene, style="") if i % 6 == 0 else scene for i, scene in enumerate(scenes)]
    rows = []
    for variant, profile in variants.items():
        missing = {"DALLE2_normal": 2, "midjourney_lowstep": 1, "midjourney_normal": 1}.get(variant, 0)
        gone = studio.rng("missing", variant).choice(len(scenes), missing, replace=False)
        for i, scene in enumerate(scenes):
            *things, place, style = prompt_parts(scene)
            prompt = ", ".join(filter(None, (" ".join(filter(None, things)), place, style)))
            if i not in gone:
                picture = Picture(f"images/{variant}_{i:03d}.jpg", prompt, scene, profile)
                rows.append({"picture": picture, "adj1": place, "adj2": "", "style": style})
    rows = pd.DataFrame(rows)
    truth = studio.draw(rows.pop("picture"))
    table = pd.concat([truth["image"].rename("name"), truth["prompt"], rows], axis=1)
    for column, target in (("quality", "quality"), ("align", "correspondence")):
        mos, sd = _opinion(5 * studio.rate(truth[target], target))
        table[f"mos_{column}"], table[f"std_{column}"] = mos.round(9), sd.round(9)
    table.to_csv(studio.folder / "data.csv", index=False, lineterminator="\r\n")


def _aigciqa2023(studio: Studio) -> None:
    """{row of the index sheet}.png: up to 24 images a prompt; MOS in MATLAB files, as rescaled z-scores."""
    models = {
        "Controlnet": "diffusion",
        "DALLE": "strong",
        "Glide": "early",
        "Lafite": "gan",
        "stable-diffusion": "loose",
        "Unidiffuser": "smeared",
    }
    scenes = studio.scenes(studio.count(10, FEWEST_PROMPTS))
    # One prompt has white space at its end, as two of the real ones have.
    prompts = [prompt_text(scene) + " " * (i == 1) for i, scene in enumerate(scenes)]
    index, pictures = [], []
    for model, profile in models.items():
        for i, j in np.ndindex(len(scenes), studio.count(4, 2)):
            pictures.append(Picture(f"allimg/{len(pictures)}.png", prompts[i], scenes[i], profile, 240))
            index.append((model, f"{i:03d}-{j + 1}.png"))
    truth = studio.draw(pictures)
    kinds = [("Quantity" if scene.things[0].count > 1 else "Basic", "Artifacts") for scene in scenes]
    table = [(*kind, prompt) for kind, prompt in zip(kinds, prompts, strict=True)]
    _write_xlsx(studio.folder / "AIGCIQA2023_Prompts.xlsx", pd.DataFrame(table), header=False)
    _write_xlsx(studio.folder / "pic-index.xlsx", pd.DataFrame(index), header=False)
    for i, target in enumerate(TARGETS, start=1):
        ratings = 100 * (_z_scores(studio.rate(truth[target], target, noise=0.25)) + 3) / 6
        mos, sd = _opinion(np.clip(ratings, 0, 100))
        _write_mat(studio.folder / "DATA" / "MOS" / f"mosz{i}.mat", "MOSz", mos)
        _write_mat(studio.folder / "DATA" / "STD" / f"SD{i}.mat", "SD", sd)


def _aigiqa_20k(studio: Studio) -> None:
    """{generator}_{number}.png: most prompts once; parts train (labelled), val (withheld), test (absent)."""
    small, medium, large = (max(2, round(7 * studio.scale)) * times for times in (1, 2, 4))
    generators = {
        "DALLE2": (small, "faded"),
        "DALLE3": (small, "strong"),
        "Dream": (large, "loose"),
        "IF": (small, "early"),
        "LCM_Pixart": (medium, "consistency"),
        "LCM_SD1.5": (medium, "smeared"),
        "LCM_SDXL": (medium, "gan"),
        "MJ": (small, "strong"),
        "Pixart": (large, "strong"),
        "Playground": (large, "strict"),
        "SD1.4": (large, "early"),
        "SD1.5": (large, "diffusion"),
        "SDXL": (large, "blocky"),
        "SDXL_Turbo": (medium, "lowstep"),
        "SSD1B": (large, "consistency"),
    }
    sizes = (224, 256, (256, 224), (224, 256))
    rows = []
    for generator, (count, profile) in generators.items():
        for i in range(count):
            part = {4: "val", 5: "test", 8: "test"}.get(i % 10, "train")
            if part != "test":
                rows.append((part, f"{part}/{generator}_{i:04d}.png", profile, sizes[i % 4]))
    train, val = ([i for i, row in enumerate(rows) if row[0] == part] for part in ("train", "val"))
    scenes = studio.scenes(len(rows))
    prompts = [prompt_text(scene) for scene in scenes]
    for i in train[3::60]:  # longer than CLIP's 77 tokens
        prompts[i] = ", ".join([prompts[i], *studio.rng("flourishes", prompts[i]).permutation(FLOURISHES)])
    for i, same in ((val[0], train[0]), (val[1], train[1]), (train[-1], train[2])):
        scenes[i], prompts[i] = scenes[same], prompts[same]
    pictures = [
        Picture(file, prompt, scene, profile, size)
        for (_, file, profile, size), prompt, scene in zip(rows, prompts, scenes, strict=True)
    ]
    truth = studio.draw(pictures)
    overall = 0.6 * truth["quality"] + 0.4 * truth["correspondence"]
    table = truth[["image", "prompt"]].assign(mos=_opinion(5 * studio.rate(overall, "overall"))[0].round(9))
    for part in (table.iloc[train], table.iloc[val, :2]):
        text = part.to_csv(index=False, header=False, lineterminator="\n")
        write_text(studio.folder / f"info_{'train' if 'mos' in part else 'val'}.csv", text.rstrip("\n"))


FLOURISHES = """finely detailed; soft light from the upper left; calm and balanced composition; clear edges
gentle shadows on the ground; wide empty space around everything; seen from a comfortable distance
with a quiet and friendly mood; carefully chosen palette; slight texture of paper and paint; no text anywhere
made for the cover of a picture book; loved by children and their parents; first of a long series
drawn in one afternoon; looking straight ahead; early in the morning before anybody is awake; no frame
an old favourite of many collectors; printed on heavy paper; signed on the back; a little nostalgic
everything in its proper place; simple shapes that are easy to name; sharp focus; high resolution""".replace(
    "\n", "; "
).split("; ")


def _pku_aigiqa_4k(studio: Studio) -> None:
    """All/{generator}_{prompt}_{00|01|10|11}.jpg: image-to-image, then text-to-image with the same texts."""
    generators = {"SD": ("loose", 224), "MJ": ("strong", 256), "DALLE": ("faded", (256, 224))}
    count = studio.count(12, FEWEST_PROMPTS + 1)
    # Two image prompts share one text, as two of the real ones do.
    scenes = studio.scenes(count - 1)
    scenes.append(scenes[0])
    variants = ("00", "11", "01", "10")[: studio.count(4, 2)]
    pictures, image_prompts = [], []
    for first, names in ((0, ("SD", "MJ")), (1000, ("SD", "MJ", "DALLE"))):
        for name in names:
            profile, size = generators[name]
            for i, scene in enumerate(scenes):
                for variant in sorted(variants):
                    file = f"All/{name}_{first + i:03d}_{variant}.jpg"
                    pictures.append(Picture(file, prompt_text(scene), scene, profile, size))
                    image_prompts.append("" if first else f"{i:03d}.jpg")
    for i, scene in enumerate(scenes):
        file = f"I2I/Image_prompt/{i:03d}.jpg"
        studio.save(file, draw(scene, 256, studio.rng(file)))
    truth = studio.draw(pictures)
    table = pd.DataFrame(
        {"Image_prompt": image_prompts, "Text_prompt": truth["prompt"], "Generated_image": truth["image"]}
    )
    for target in TARGETS:
        table[f"MOS_{target[0]}"] = _opinion(5 * studio.rate(truth[target], target))[0].round(4)
    _write_xlsx(studio.folder / "annotation.xlsx", table)


MINIATURES: dict[str, Callable[[Studio], None]] = {
    "agiqa-1k": _agiqa_1k,
    "agiqa-3k": _agiqa_3k,
    "aigciqa2023": _aigciqa2023,
    "aigiqa-20k": _aigiqa_20k,
    "pku-aigiqa-4k": _pku_aigiqa_4k,
}


# ----------------------------------------------------------------------------------------------------------
# Ratings to MOS, and label files without the time of day in them


def _opinion(ratings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MOS and its standard deviation over the raters."""
    return ratings.mean(0), ratings.std(0, ddof=1)


def _z_scores(ratings: np.ndarray) -> np.ndarray:
    """Each rater's ratings with mean 0 and standard deviation 1."""
    return (ratings - ratings.mean(1, keepdims=True)) / ratings.std(1, keepdims=True)


def _write_xlsx(path: Path, frame: pd.DataFrame, header: bool = True) -> None:
    buffer = io.BytesIO()
    frame.to_excel(buffer, index=False, header=header)
    with zipfile.ZipFile(buffer) as dated, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as undated:
        for name in dated.namelist():
            content = dated.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2000-01-01T00:00:00Z", content)
            undated.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _write_mat(path: Path, key: str, values: np.ndarray) -> None:
    buffer = io.BytesIO()
    savemat(buffer, {key: values[:, None]})
    # The header's 116 bytes of free text hold the platform and the time.
    text = b"MATLAB 5.0 MAT-file, drawn by mstclipiqa".ljust(116)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text + buffer.getvalue()[116:])
