"""The five benchmarks' file layouts, drawn: names, label files and their defects, and MOS from simulated ratings."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import savemat

from mstclipiqa.base.files import write_text
from mstclipiqa.base.names import TARGETS
from mstclipiqa.synthetic.painter import draw
from mstclipiqa.synthetic.prompts import prompt_parts, prompt_text, random_scene
from mstclipiqa.synthetic.scene import OPPOSITES, Scene
from mstclipiqa.synthetic.shapes import KINDS
from mstclipiqa.synthetic.studio import FEWEST_PROMPTS, Picture, Studio

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
    index = []
    pictures: list[Picture] = []
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
    generators: dict[str, tuple[str, int | tuple[int, int]]]
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
