"""Every on-disk layout the readers read, written small: eight images, in what the real files look like.

A layout's `write(root, rows)` lays out `rows` (image, prompt, generator and MOS on the official scale, which
may hold bad values) as label files. `make` adds images.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from mstclipiqa.data.benchmarks import BENCHMARKS, Benchmark
from mstclipiqa.data.benchmarks.benchmark import Labels
from mstclipiqa.data.label_files import read_sheet, require_label_file, to_numbers

#: Texts that a careless reader takes for missing, for a number, or for two columns.
PROMPTS = ["a corgi", "NA", "1984", 'an "old", red boat; 木', "None", "null", "a corgi", "007"]


@dataclass(frozen=True)
class Layout:
    """One layout of one benchmark. `names` are the images of its eight rows, `generators` what they say."""

    benchmark_name: str
    kind: str
    write: Callable[[Path, pd.DataFrame], None]
    names: tuple[str, ...]
    generators: tuple[str, ...]
    #: Whether label rows carry image names, so that a name can stand twice.
    named: bool = True
    #: Whether one kind of label file may come in several files.
    several: bool = False
    #: Whether label rows carry prompts; without them, images stand for theirs.
    prompted: bool = True
    #: A benchmark of the tests alone.
    own: Benchmark | None = None

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark, of which no number of images is known: eight rows are not the published labels."""
        return self.own or replace(BENCHMARKS[self.benchmark_name], images=None)

    @property
    def prompts(self) -> list[str]:
        return PROMPTS if self.prompted else list(self.names)

    def rows(self) -> pd.DataFrame:
        """Valid rows: MOS spread over the scale, different in every row and target."""
        frame = pd.DataFrame({"image": self.names, "prompt": self.prompts, "generator": self.generators})
        for shift, (target, (low, high)) in enumerate(self.benchmark.ranges.items()):
            share = (np.arange(len(frame)) * 3 % 8 + 0.1 + shift / 7) / 9
            frame[target] = low + (high - low) * share
        return frame

    def make(self, root: Path, rows: pd.DataFrame | None = None) -> Path:
        """Label files and images in `root`."""
        self.write(root, self.rows() if rows is None else rows)
        for i, name in enumerate(self.names):
            write_image(root / "images" / name, i)
        return root

    def label_files(self, root: Path) -> list[Path]:
        return sorted(path for path in root.iterdir() if path.is_file())


def write_image(path: Path, shade: int = 0, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (30 * shade % 256, 90, 10)).save(path)


def _excel(path: Path, frame: pd.DataFrame, header: bool = True) -> None:
    frame.to_excel(path, index=False, header=header)


def agiqa_1k(root: Path, rows: pd.DataFrame) -> None:
    _excel(
        root / "AIGC_MOS_Zscore.xlsx",
        rows[["image", "prompt", "quality"]].set_axis(["Image", "Prompt", "MOS"], axis=1),
    )


def agiqa_3k(root: Path, rows: pd.DataFrame) -> None:
    frame = pd.DataFrame({"name": rows["image"], "prompt": rows["prompt"], "adj1": "", "adj2": "", "style": ""})
    for target, column in {"quality": "quality", "correspondence": "align"}.items():
        frame[f"mos_{column}"] = rows[target]
        frame[f"std_{column}"] = 0.5
    frame.to_csv(root / "data.csv", index=False, lineterminator="\r\n")


def _aigciqa2023_index(root: Path, count: int) -> None:
    names = [f"{i:03d}-1.png" for i in range(count)]
    _excel(root / "pic-index.xlsx", pd.DataFrame({"model": SIX[:count], "name": names}), header=False)


def aigciqa2023_official(root: Path, rows: pd.DataFrame) -> None:
    _aigciqa2023_index(root, len(rows))
    prompts = pd.DataFrame({"challenge": "Basic", "category": "Animals", "prompt": rows["prompt"]})
    _excel(root / "AIGCIQA2023_Prompts.xlsx", prompts, header=False)
    for i, target in enumerate(["quality", "authenticity", "correspondence"], start=1):
        values = pd.to_numeric(rows[target], errors="coerce")  # a MATLAB array holds no text
        savemat(root / f"mosz{i}.mat", {"MOSz": values.to_numpy().reshape(-1, 1)})
        savemat(root / f"SD{i}.mat", {"SD": np.full((len(rows), 1), 10.0 + i)})


def aigciqa2023_json(root: Path, rows: pd.DataFrame) -> None:
    _aigciqa2023_index(root, rows["image"].nunique())
    records = []
    for row in rows.iloc[np.argsort(rows["image"].str.len() + rows.index % 2)].to_dict("records"):
        scores = {
            f"moz{i}": row[target] / 100 if isinstance(row[target], float) else row[target]
            for i, target in enumerate(["quality", "authenticity", "correspondence"], start=1)
        }
        for question in ("quality?", "authenticity?", "correspondence?", "all?"):
            record = {"id": row["image"][:-4], "img": row["image"], "prompt": row["prompt"], **scores}
            records.append({**record, "q1": question, "a1": "An answer."})
    (root / "AIGIQA2023.json").write_text(json.dumps(records), encoding="utf-8")


def aigciqa2023_csv(root: Path, rows: pd.DataFrame) -> None:
    _aigciqa2023_index(root, len(rows))
    frame = pd.DataFrame({"model": SIX, "image_name": [f"{i:03d}-1.png" for i in range(len(rows))]})
    for i, target in enumerate(["quality", "authenticity", "correspondence"], start=1):
        frame[f"mosz{i}"] = [value / 20 if isinstance(value, float) else value for value in rows[target]]
    frame["prompt"] = [f'"{prompt}"' if prompt else "" for prompt in rows["prompt"]]
    frame.to_csv(root / "all_set.csv", index=False)


def aigiqa_20k(header: bool) -> Callable[[Path, pd.DataFrame], None]:
    def write(root: Path, rows: pd.DataFrame) -> None:
        frame = rows[["image", "prompt", "quality"]].set_axis(["name", "prompt", "mos"], axis=1)
        frame.to_csv(root / "info_train.csv", index=False, header=header)

    return write


def pku_official(root: Path, rows: pd.DataFrame) -> None:
    _excel(root / "annotation.xlsx", _pku_sheet(rows))


def pku_parts(root: Path, rows: pd.DataFrame) -> None:
    """Two files of each part; four rows are image-to-image."""
    mos = ["quality", "authenticity", "correspondence"]
    for part, chunk in enumerate([rows[:2], rows[2:4]], start=1):
        frame = chunk[["image", *mos, "prompt"]].assign(image="Generated_image/All/" + chunk["image"])
        text = "".join("\t".join(map(str, row)) + "\n" for row in frame.itertuples(index=False))
        (root / f"i2i_part{part}.txt").write_text(text, encoding="utf-8")
    for part, chunk in enumerate([rows[4:6], rows[6:]], start=1):
        _pku_sheet(chunk).to_csv(
            root / f"t2i_part{part}.csv", index=False, encoding="utf-8-sig", quoting=csv.QUOTE_MINIMAL
        )


def _pku_sheet(rows: pd.DataFrame) -> pd.DataFrame:
    image_to_image = rows["image"].str.contains("_0..\\.|_0\\d\\d_", regex=True)
    return pd.DataFrame(
        {
            "Image_prompt": np.where(image_to_image, "000.jpg", None),
            "Text_prompt": rows["prompt"],
            "Generated_image": rows["image"],
            "MOS_q": rows["quality"],
            "MOS_a": rows["authenticity"],
            "MOS_c": rows["correspondence"],
        }
    )


def tifa160(root: Path, rows: pd.DataFrame) -> None:
    """Keyed by image; of the two raters' scores the mean is read."""
    records = {}
    for row in rows.to_dict("records"):
        name, mos = row["image"].removesuffix(".jpg"), row["correspondence"]
        records[name] = {"text_id": name.removesuffix(f"_{row['generator']}"), "image_path": row["image"]}
        records[name] |= {"text": row["prompt"], "human_scores": [mos, mos], "human_avg": mos}
    (root / "human_annotations.json").write_text(json.dumps(records, indent=4), encoding="utf-8")


def genai_bench(root: Path, rows: pd.DataFrame) -> None:
    """Keyed by prompt, with the raters' scores for each generator."""
    records: dict[str, dict] = {}
    for row in rows.to_dict("records"):
        number = Path(row["image"]).stem
        record = records.setdefault(number, {"id": number, "prompt": row["prompt"], "models": {}})
        record["models"][row["generator"]] = [row["correspondence"]] * 2
    (root / "genai_image.json").write_text(json.dumps(records, indent=4), encoding="utf-8")


SIX = ("Controlnet", "DALLE", "Glide", "Lafite", "stable-diffusion", "Unidiffuser", "Unidiffuser", "Glide")
NUMBERED = tuple(f"{i}.png" for i in range(8))
ONE_K = (*(f"deepai_0_0_{i}_0.jpg" for i in range(4)), *(f"dreamStudio_8_9_{i}_1.jpg" for i in range(4)))
THREE_K = {
    "AttnGAN_normal_000.jpg": "AttnGAN",
    "DALLE2_normal_001.jpg": "DALLE2",
    "glide_normal_002.jpg": "GLIDE",
    "midjourney_lowstep_003.jpg": "Midjourney",
    "sd1.5_highcorr_004.jpg": "SD1.5",
    "sd1.5_lowcorr_004.jpg": "SD1.5",
    "xl2.2_normal_005.jpg": "SDXL2.2",
    "flux_normal_006.jpg": "flux_normal",  # a user's own variant
}
TWENTY_K = {
    "DALLE2_0000.png": "DALLE2",
    "DALLE3_0000.png": "DALLE3",
    "LCM_Pixart_0000.png": "LCM_Pixart",
    "LCM_SD1.5_0000.png": "LCM_SD1.5",
    "LCM_SDXL_0001.png": "LCM_SDXL",
    "SDXL_Turbo_0000.png": "SDXL_Turbo",
    "SDXL_0000.png": "SDXL",
    "SSD1B_1999.png": "SSD1B",
}
PKU = {
    "SD_000_00.jpg": "SD",
    "SD_000_01.jpg": "SD",
    "MJ_000_00.jpg": "MJ",
    "MJ_000_11.jpg": "MJ",
    "SD_1000_00.jpg": "SD",
    "MJ_1000_01.jpg": "MJ",
    "DALLE_1000_00.jpg": "DALLE",
    "DALLE_1199_11.jpg": "DALLE",
}

TIFA = {
    f"{text}_{generator}.jpg": generator
    for text in ("coco_301091", "drawbench_8")
    for generator in ("mini_dalle", "stable_diffusion_v1_1", "stable_diffusion_v2_1", "vq_diffusion")
}
#: One base name in two folders.
GENAI = {
    **{f"DALLE_3/{number:05d}.jpeg": "DALLE_3" for number in range(4)},
    **{f"SDXL_Base/{number:05d}.jpeg": "SDXL_Base" for number in (4, 5, 6, 7)},
}

LAYOUTS = {
    f"{layout.benchmark_name} {layout.kind}".strip(): layout
    for layout in (
        Layout("agiqa-1k", "", agiqa_1k, ONE_K, ("deepai",) * 4 + ("dreamStudio",) * 4),
        Layout("agiqa-3k", "", agiqa_3k, tuple(THREE_K), tuple(THREE_K.values())),
        Layout("aigciqa2023", "official", aigciqa2023_official, NUMBERED, SIX, named=False),
        Layout("aigciqa2023", "json", aigciqa2023_json, NUMBERED, SIX),
        Layout("aigciqa2023", "csv", aigciqa2023_csv, NUMBERED, SIX, named=False),
        Layout("aigiqa-20k", "header", aigiqa_20k(True), tuple(TWENTY_K), tuple(TWENTY_K.values())),
        Layout("aigiqa-20k", "headerless", aigiqa_20k(False), tuple(TWENTY_K), tuple(TWENTY_K.values())),
        Layout("pku-aigiqa-4k", "official", pku_official, tuple(PKU), tuple(PKU.values())),
        Layout("pku-aigiqa-4k", "parts", pku_parts, tuple(PKU), tuple(PKU.values()), several=True),
        Layout("tifa160", "", tifa160, tuple(TIFA), tuple(TIFA.values()), named=False),
        Layout("genai-bench", "", genai_bench, tuple(GENAI), tuple(GENAI.values()), named=False),
    )
}


def _read_aligned(root: Path) -> Labels:
    path = require_label_file(root, "aligned.json")
    sheet = read_sheet(path, ["key", "prompt", "score"])
    frame = pd.DataFrame({"image": sheet["key"], "prompt": sheet["prompt"], "generator": "DALLE"})
    frame["correspondence"] = to_numbers(path, "score", sheet["score"])
    return Labels(frame, [path], {"correspondence": f"score of {path.name}, 1-5"})


def _write_aligned(root: Path, rows: pd.DataFrame) -> None:
    records = rows.set_index("image")[["prompt", "correspondence"]].set_axis(["prompt", "score"], axis=1)
    (root / "aligned.json").write_text(json.dumps(records.to_dict("index")), encoding="utf-8")


def _read_plain(root: Path) -> Labels:
    path = require_label_file(root, "plain.csv")
    sheet = read_sheet(path, ["filename", "score"])
    frame = pd.DataFrame({"image": sheet["filename"], "generator": "GAN"})
    frame["authenticity"] = to_numbers(path, "score", sheet["score"])
    return Labels(frame, [path], {"authenticity": f"score of {path.name}, -1 to 1"})


def _write_plain(root: Path, rows: pd.DataFrame) -> None:
    rows[["image", "authenticity"]].set_axis(["filename", "score"], axis=1).to_csv(root / "plain.csv", index=False)


#: Benchmarks of other shapes than the paper's: correspondence alone, 1 to 5, in a JSON file keyed by image; and one
#: without prompts, on a scale from -1.
ALIGNED = Benchmark("aligned", "Aligned", "arXiv:0000.00000", "CC0", {"correspondence": (1, 5)}, _read_aligned)
PLAIN = Benchmark("plain", "Plain", "arXiv:0000.00000", "CC0", {"authenticity": (-1, 1)}, _read_plain, prompted=False)
STRANGE = {
    "aligned": Layout("aligned", "", _write_aligned, NUMBERED, ("DALLE",) * 8, named=False, own=ALIGNED),
    "plain": Layout("plain", "", _write_plain, NUMBERED, ("GAN",) * 8, prompted=False, own=PLAIN),
}
