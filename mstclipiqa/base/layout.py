"""Every file of a results folder: where it lies, what it holds, which verb writes it, and the columns of a table.

This is the one place that says so: rules, manifest, verification, verdicts, the reference check and the report read it
here. A table is written by its entry alone, which refuses other columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.names import GROUP, JOB, RUN, TARGETS

#: What a column may hold, as pandas.api.types.infer_dtype calls it.
TEXT, WHOLE, NUMBER, FLAG = "string", "integer", "floating", "boolean"

KEYS = dict.fromkeys([*JOB, "protocol", "selection", "image"], TEXT) | dict.fromkeys(["split", "seed"], WHOLE)


def _kinds(keys: list[str], **columns: str) -> dict[str, str]:
    """The columns of a table, those that name a row first."""
    return {name: KEYS[name] for name in keys} | columns


def _numbers(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, NUMBER)


@dataclass(frozen=True)
class ResultsFile:
    """One kind of file. `path` lies below results/<suite>/, with names such as {benchmark} in braces; `writer` is the
    verb that writes it. A table has `columns`, by what they hold, may have the `optional` ones too, and `key` names a
    row of it; a store has `tensors`, by name."""

    path: str
    writer: str
    holds: str
    columns: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    optional: Mapping[str, str] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()

    def at(self, results: Path | str, **names: str) -> Path:
        """Where the file lies in a results folder."""
        return Path(results) / self.path.format(**names)

    def write(self, path: Path, frame: pd.DataFrame, metadata: dict) -> None:
        """Write the table to `path`, atomically. Raises ValueError for other columns, or other kinds of values."""
        known = {**self.columns, **self.optional}
        lacking, strange = [c for c in self.columns if c not in frame], [c for c in frame if c not in known]
        if lacking or strange:
            raise ValueError(f"{self.path}: lacks the columns {lacking}, and has no columns {strange}")
        for column in frame if len(frame) else ():
            held = pd.api.types.infer_dtype(frame[column])
            if held != known[column]:
                raise ValueError(f"{self.path}: column {column} holds {held}, not {known[column]} values")
        write_table(path, frame, metadata)

    def read(self, path: Path) -> tuple[pd.DataFrame, dict]:
        """The table at `path` and its metadata. Raises InputError where it is missing, no table, or lacks a column."""
        return read_table(path, self.columns)

    def check_tensors(self, names: Mapping[str, object]) -> None:
        """Raises ValueError where a store would hold other tensors than these."""
        if set(names) != set(self.tensors):
            raise ValueError(f"{self.path}: holds {', '.join(self.tensors)}, not {', '.join(names)}")


# Of each benchmark

SAMPLES = ResultsFile(
    "{benchmark}/samples.parquet",
    "samples",
    "a row per image; the card of the benchmark",
    dict.fromkeys(["benchmark", "image"], TEXT)
    | {"row": WHOLE, "path": TEXT, "sha256": TEXT, "width": WHOLE, "height": WHOLE}
    | dict.fromkeys(["prompt", "prompt_group", "generator"], TEXT)
    | _numbers(*TARGETS),
    ("image",),
    _numbers(*(f"{target}_sd" for target in TARGETS)) | {"image_prompt": TEXT},
)
SPLITS = ResultsFile(
    "{benchmark}/splits.parquet",
    "split",
    "the role of each image in each split; the leakage of each split",
    _kinds(["protocol", "split", "image"], role=TEXT),
    ("protocol", "split", "image"),
)
FEATURES = ResultsFile(
    "{benchmark}/features/{encoder}.safetensors",
    "extract",
    "the features of each image by one encoder",
    tensors=("features",),
)
VIEWS = ResultsFile(
    "{benchmark}/features/{encoder}-{recipe}.safetensors",
    "extract",
    "the features of a recipe's augmented views of each image",
    tensors=("features",),
)
STATISTICS = ResultsFile(
    "{benchmark}/features/statistics.safetensors",
    "measure",
    "simple statistics of each image",
    tensors=("features",),
)
PROMPTS = ResultsFile(
    "{benchmark}/features/prompts.safetensors",
    "extract",
    "the token states and embedding of each distinct prompt",
    tensors=("tokens", "offsets", "pooled"),
)
RUNS = ResultsFile(
    "{benchmark}/runs/{target}/{recipe}/{variant}.parquet",
    "train",
    "a row per run, selection and test image: its prediction",
    _kinds(RUN, epoch=WHOLE, image=TEXT, prediction=NUMBER, mos=NUMBER),
    (*RUN, "image"),
)
BASELINES = ResultsFile(
    "{benchmark}/baselines.parquet",
    "baselines",
    "a row per rival without a head, target and split: its SRCC and PLCC",
    {"source": TEXT, "target": TEXT, "protocol": TEXT, "split": WHOLE, "n": WHOLE} | _numbers("srcc", "plcc"),
    ("source", "target", "protocol", "split"),
)
INTERVENTIONS = ResultsFile(
    "{benchmark}/dissection/{recipe}/interventions.parquet",
    "dissect",
    "a row per model, split and what takes its gate's place at test time: its SRCC and PLCC",
    {"recipe": TEXT, "variant": TEXT, "intervention": TEXT, "split": WHOLE, "n": WHOLE} | _numbers("srcc", "plcc"),
    ("variant", "intervention", "split"),
)
MOVEMENT = ResultsFile(
    "{benchmark}/dissection/{recipe}/movement.parquet",
    "dissect",
    "a row per model, split, generator (or all) and dimension: mean and SD of the gate over the test images",
    {"recipe": TEXT, "variant": TEXT, "generator": TEXT, "dimension": WHOLE, "split": WHOLE} | _numbers("mean", "sd"),
    ("variant", "generator", "dimension", "split"),
)
DECODING = ResultsFile(
    "{benchmark}/dissection/{recipe}/decoding.parquet",
    "dissect",
    "a row per features, stream and split: the share of the stream's variance that is read from the features",
    {"recipe": TEXT, "features": TEXT, "stream": TEXT, "split": WHOLE, "r2": NUMBER},
    ("features", "stream", "split"),
)
SKIPPING = ResultsFile(
    "{benchmark}/dissection/{recipe}/skipping.parquet",
    "dissect",
    "a row per rule, scorer, split and share of fine encodings to skip: SRCC; whether validation chose it",
    {"recipe": TEXT, "rule": TEXT, "scorer": TEXT, "split": WHOLE, "chosen": FLAG}
    | _numbers("aimed", "skipped", "srcc_val", "srcc"),
    ("rule", "scorer", "aimed", "split"),
)
ATTENTION = ResultsFile(
    "{benchmark}/attention/{target}/{recipe}.parquet",
    "attend",
    "a row per test image of one run of MST-CLIPIQA* and token of its prompt: the token's weight",
    {"image": TEXT, "position": WHOLE, "token": TEXT, "weight": NUMBER},
    ("image", "position"),
)

# Of the suite

LEVELS = ResultsFile(
    "levels/{recipe}.safetensors",
    "encode-texts",
    "the quality levels in a recipe's template",
    tensors=PROMPTS.tensors,
)
FINE_LEVELS = ResultsFile(
    "levels/{recipe}-fine.safetensors",
    "encode-texts",
    "the same by the fine encoder's own text tower",
    tensors=PROMPTS.tensors,
)
ZERO_SHOT = ResultsFile(
    "levels/zero_shot.safetensors",
    "encode-texts",
    "the texts of the zero-shot rivals",
    tensors=PROMPTS.tensors,
)
METRICS = ResultsFile(
    "metrics.parquet",
    "evaluate",
    "a row per run and selection: its metrics",
    _kinds([*JOB, *RUN], epoch=WHOLE, n=WHOLE)
    | _numbers("srcc", "plcc", "plcc_fitted", "krcc", "rmse")
    | {"file": TEXT},
    (*JOB, *RUN, "file"),
)
INTERVALS = ResultsFile(
    "intervals.parquet",
    "compare",
    "a row per mean over runs: its interval, its SD over splits and over seeds",
    _kinds(GROUP, runs=WHOLE, splits=WHOLE, seeds=WHOLE, n_test=NUMBER, prompts=WHOLE, noise=TEXT)
    | _numbers("srcc", "srcc_low", "srcc_high", "srcc_images_error")
    | _numbers("plcc", "plcc_low", "plcc_high", "plcc_images_error")
    | _numbers("srcc_sd_splits", "srcc_sd_seeds", "plcc_sd_splits", "plcc_sd_seeds"),
    tuple(GROUP),
)
COMPARISONS = ResultsFile(
    "comparisons.parquet",
    "compare",
    "a row per paired test of two variants, by a metric",
    _kinds(GROUP, against=TEXT, metric=TEXT, runs=WHOLE, splits=WHOLE, seeds=WHOLE, prompts=WHOLE, noise=TEXT)
    | _numbers("difference", "images_error", "standard_error", "freedom", "low", "high", "p", "p_holm", "family_size"),
    (*GROUP, "against", "metric"),
)
GENERATORS = ResultsFile(
    "generators.parquet",
    "compare",
    "a row per mean over runs and generator, or kind of generator: its SRCC",
    _kinds(GROUP, level=TEXT, name=TEXT, kind=TEXT, runs=WHOLE, n_test=NUMBER, runs_too_small=WHOLE)
    | {"runs_undefined": WHOLE, "srcc": NUMBER},
    (*GROUP, "level", "name"),
)
CURVES = ResultsFile(
    "curves.parquet",
    "curves",
    "a row per recipe, learning rate, epoch and role: its SRCC",
    {"recipe": TEXT, "variant": TEXT, "learning_rate": NUMBER, "epoch": WHOLE, "role": TEXT, "srcc": NUMBER},
    ("recipe", "variant", "learning_rate", "epoch", "role"),
)
TRANSFER = ResultsFile(
    "transfer.parquet",
    "transfer",
    "a row per model, benchmark to train on and benchmark to test on",
    dict.fromkeys(["train_benchmark", "test_benchmark", "variant", "recipe"], TEXT)
    | {"n": WHOLE, "srcc": NUMBER, "plcc": NUMBER},
    ("train_benchmark", "test_benchmark", "variant", "recipe"),
)
READOUT = ResultsFile(
    "probe/{recipe}/readout.parquet",
    "probe",
    "a row per features, factor and fold: how well it is read",
    dict.fromkeys(["recipe", "features", "factor", "kind", "metric"], TEXT)
    | {"split": WHOLE, "value": NUMBER, "chance": NUMBER},
    ("features", "factor", "split"),
)
GATES = ResultsFile(
    "probe/{recipe}/gates.parquet",
    "probe",
    "a row per artefact: how it moves the gates",
    {"recipe": TEXT, "artefact": TEXT}
    | _numbers(*(f"{name}{part}" for name in ("shift", "movement") for part in ("", "_sd", "_srcc")))
    | {"state": TEXT},
    ("state", "artefact"),
)
EFFICIENCY = ResultsFile(
    "efficiency.parquet",
    "efficiency",
    "a row per recipe and variant: parameters and operations",
    {"recipe": TEXT, "variant": TEXT, "encoders": TEXT, "prompt": FLAG, "trained": WHOLE, "total": WHOLE}
    | {"gflops": NUMBER},
    ("recipe", "variant"),
)
CLAIMS = ResultsFile("claims.json", "claims", "a verdict per claim, recipe and protocol")
MANIFEST = ResultsFile("manifest.json", "manifest", "what all of it was made from; the hash of each file")

# Beside the results: another every time, or made only when asked for. No manifest names them.

TIMED = ResultsFile(
    "timings/efficiency.parquet",
    "efficiency",
    "a row per recipe and variant: milliseconds an image",
    {"recipe": TEXT, "variant": TEXT, "ms_1": NUMBER, "ms_32": NUMBER},
    ("recipe", "variant"),
)
EXTRACTION = ResultsFile("timings/extract/{benchmark}-{encoders}.tsv", "snakemake", "seconds of one extraction")
HEAD = ResultsFile("heads/{benchmark}-{target}-{recipe}-{variant}.safetensors", "train-head", "a trained model")

PACK = ResultsFile("packs/{benchmark}.zip", "pack", "the benchmark's features and labels as one file, without images")

#: Folders of notes on how the results came about, drawn data among them.
NOTES = ("logs", "timings", "data")

#: What every benchmark that takes part has, and what the suite has; further files depend on what is run.
BENCHMARK_TABLES = (SAMPLES, SPLITS, BASELINES)
SUITE_TABLES = (METRICS, INTERVALS, COMPARISONS, GENERATORS)

#: What a dissection writes.
DISSECTION = (INTERVENTIONS, MOVEMENT, DECODING, SKIPPING)

#: Every entry by its name here, in the order of the document that shows them.
LAYOUT: dict[str, ResultsFile] = {name: entry for name, entry in globals().items() if isinstance(entry, ResultsFile)}


def training_files(
    benchmark: str, recipe: str, streams: Mapping[str, str], views: bool, two_towers: bool
) -> dict[str, str]:
    """The files below the results folder that a model is trained from, by the option of `mstclipiqa train`.

    `streams` are the encoders of the streams, by what these are called, `views` whether the recipe trains on augmented
    views, `two_towers` whether the head reads the level texts by the fine encoder's own text tower too.
    """
    names = {"benchmark": benchmark, "recipe": recipe}
    entries = {"samples": SAMPLES, "splits": SPLITS, "prompts": PROMPTS, "levels": LEVELS}
    files = {option: entry.path.format(**names) for option, entry in entries.items()}
    for option, encoder in streams.items():
        files[option] = FEATURES.path.format(encoder=encoder, **names)
        if views:
            files[f"{option}-views"] = VIEWS.path.format(encoder=encoder, **names)
    return files | ({"fine-levels": FINE_LEVELS.path.format(**names)} if two_towers else {})
