"""Does a results folder hold? Its hashes, its identities and its numbers, held against what they are said to be of.

Found out: a file that was changed, cut or lost, and one that the manifest does not name where it should; samples that
the data folder does not give; splits that their protocol does not give; predictions of another job, encoder, seed or
code, of other images than those the split tests, or beside other MOS; metrics, intervals, paired tests, tables by
generator and verdicts that the stored predictions do not give.

Not found out: whoever writes every file anew, consistently and with a new manifest, cannot be told from one who ran the
study; that takes running it again. Held to their hashes alone, so to the manifest's word: the values of features and
predictions, numbers that rest on features (baselines, probe, curves, transfer), counts of parameters, versions,
hardware, the recipe that a run was trained by where metrics were made anew too, and without a data folder the labels.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mstclipiqa.base.documents import CONFIG_SCHEMA, SCHEMAS, validate
from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.names import BEST_ON_TEST, GROUP, JOB, LAST, RUN, TARGETS, TEST, VAL, VALIDATION
from mstclipiqa.claims.verdicts import claims_document
from mstclipiqa.data.benchmarks import BENCHMARKS, get_benchmark
from mstclipiqa.data.protocols import SPLIT_FILES, describe_protocol, split_samples
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.encoders.stores import read_store
from mstclipiqa.evaluation.comparisons import COLUMNS, compare_runs
from mstclipiqa.evaluation.metrics import plcc_fitted
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.model.recipes import load_recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.provenance.differences import FIT_TOLERANCE, describe_difference, find_difference, kinds, show
from mstclipiqa.provenance.manifest import BENCHMARK_TABLES, SUITE_TABLES
from mstclipiqa.study.study import Job, list_jobs

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = SCHEMAS / "manifest.schema.yaml"
#: Roundings of a run's predictions that are tried where its fit differs.
ROUNDINGS = 20

#: A table of more cells is not read; the largest of the whole study has 5 million.
MOST_CELLS = 200_000_000

#: What a folder may hold beside what the manifest names: notes of how it came about.
UNTRACKED = ("logs", "timings", "data")

AGAIN = "delete it and run the workflow again"
RESTORE = "restore it, or delete it and run the workflow again"

#: What the columns of a table hold, as pandas.api.types.infer_dtype calls it.
SAMPLES = dict.fromkeys(["benchmark", "image", "path", "sha256", "prompt", "prompt_group", "generator"], "string")
SAMPLES |= dict.fromkeys(TARGETS, "floating")
SPLITS = {"protocol": "string", "split": "integer", "image": "string", "role": "string"}
PREDICTIONS = {
    **{"protocol": "string", "split": "integer", "seed": "integer", "selection": "string", "epoch": "integer"},
    **{"image": "string", "prediction": "floating", "mos": "floating"},
}

#: The columns that name a row.
METRICS_KEYS = [*JOB, *RUN, "file"]
KEYS = {
    "intervals": GROUP,
    "comparisons": [*GROUP, "against"],
    "generators": [*GROUP, "level", "name"],
}


@dataclass
class Verdict:
    """What does not hold (one line each: file, what, what to do), what was checked, and what was not and why."""

    findings: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What was checked, with counts."""
        return ", ".join(f"{count:,} {what}" for what, count in self.counts.items())

    def find(self, file: object, what: str, todo: str = AGAIN) -> None:
        self.findings.append(" ".join(f"{file}: {what}; {todo}".split()))


def verify_results(
    results: Path,
    data_root: Path | None = None,
    config: Path | None = None,
    left_out: Callable[[str], bool] = lambda name: False,
) -> Verdict:
    """Hold a suite's results folder against its manifest, and its numbers against its predictions.

    `data_root` is the folder with a folder per benchmark, for inputs; `config` the folder with claims.yaml,
    paper_tables.csv and recipes/, for verdicts and recipes. Outputs for which `left_out` is true may be
    missing. Raises InputError where there is no readable manifest, as nothing can be said then.
    """
    folder = Folder(results.resolve(), data_root, config, left_out)
    folder.check_manifest()
    folder.check_outputs()
    for benchmark in folder.present:
        folder.check_samples(benchmark)
        folder.check_splits(benchmark)
        folder.check_features(benchmark)
    if data_root is None:
        count = len(folder.manifest["inputs"])
        folder.verdict.notes.append(f"{count} label files and all images: no data folder given")
    folder.check_runs()
    folder.check_metrics()
    folder.check_statistics()
    folder.check_claims()
    return folder.verdict


def read_manifest(path: Path) -> dict:
    """A manifest whose shape verification can rely on. Raises InputError."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; name a folder results/<suite>, or a bundle") from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({' '.join(str(error).split())}); {AGAIN}") from None
    validate(manifest, MANIFEST_SCHEMA, path)
    validate(manifest["config"], CONFIG_SCHEMA, f"{path}, config")
    for name in [*manifest["inputs"], *manifest["outputs"]]:
        if not stays_inside(name):
            raise InputError(f"{path}: {name!r} names a file outside the folder; {AGAIN}")
    return manifest


def stays_inside(name: str) -> bool:
    """Whether a relative path with forward slashes stays in its folder, on any system."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/")) and not {"\\", ":"} & set(name)


class Folder:
    """A results folder under verification."""

    def __init__(self, root: Path, data_root: Path | None, config: Path | None, left_out: Callable[[str], bool]):
        self.root = root
        self.data_root = data_root
        self.config_folder = config
        self.left_out = left_out
        self.verdict = Verdict()
        self.manifest = read_manifest(root / MANIFEST)
        self.config = self.manifest["config"]
        self.samples: dict[str, tuple[pd.DataFrame, dict]] = {}
        self.splits: dict[str, pd.DataFrame] = {}
        self.readable: list[Job] = []
        self.metrics = pd.DataFrame()

    @property
    def present(self) -> list[str]:
        """The benchmarks that the manifest says took part."""
        entries = self.manifest["benchmarks"]
        return [name for name in BENCHMARKS if entries.get(name, {}).get("status") == "present"]

    @cached_property
    def jobs(self) -> list[Job]:
        """The training jobs that the configuration asks for."""
        return list_jobs(self.config, self.present)

    def read(self, file: str, kinds: dict[str, str]) -> tuple[pd.DataFrame, dict] | None:
        """A table whose columns hold what `kinds` says; None, with a finding, where it is none. One that is missing
        is found by its hash."""
        path = self.root / file
        if not path.is_file():
            return None
        try:
            described = pq.read_metadata(path)
            if described.num_rows * described.num_columns > MOST_CELLS:
                raise InputError(f"{path}: {described.num_rows:,} rows are too many; {AGAIN}")
            frame, metadata = read_table(path, kinds)
        except (InputError, pa.ArrowException, OSError) as error:
            reason = f"{error}" if isinstance(error, InputError) else f"{path}: not a table ({error}); {RESTORE}"
            self.verdict.findings.append(self.shorten(reason))
            return None
        for column, kind in kinds.items():
            held = pd.api.types.infer_dtype(frame[column])
            if held != kind or (kind == "string" and frame[column].isna().any()):
                self.verdict.find(file, f"column {column} holds {held}, not {kind} values", RESTORE)
                return None
        if not isinstance(metadata, dict):
            self.verdict.find(file, "no description in its metadata", RESTORE)
            return None
        return frame, metadata

    def shorten(self, message: object) -> str:
        """An error's line with files named from the results folder."""
        return " ".join(str(message).replace(f"{self.root}/", "").split())

    def compare(self, file: str, stored: pd.DataFrame, again: pd.DataFrame, keys: list[str], todo: str = AGAIN) -> bool:
        """Whether a stored table is the one that was computed again; a finding where it is not."""
        difference = describe_difference(stored, again, keys)
        if difference:
            self.verdict.find(file, difference, todo)
        return not difference

    # What the manifest says of itself

    def check_manifest(self) -> None:
        """Suite, benchmarks, recipes, variants, protocols, encoders and outputs are those of the configuration."""
        manifest, config, find = self.manifest, self.config, self.verdict.find
        grids = [config, *config["also"]]
        expected = {
            "suite": config["suite"],
            "title": config["title"],
            "recipes": sorted({name for grid in grids for name in grid["recipes"]}),
            "variants": sorted({name for grid in grids for name in grid["variants"]}),
            "protocols": sorted(config["protocols"]),
        }
        for key, value in expected.items():
            held = sorted(manifest[key]) if isinstance(value, list) else manifest[key]
            if held != value:
                find(MANIFEST, f"{key} {show(held)}; the configuration in it says {show(value)}")
        if sorted(manifest["benchmarks"]) != sorted(BENCHMARKS):
            find(MANIFEST, f"benchmarks {show(sorted(manifest['benchmarks']))}; there are {show(sorted(BENCHMARKS))}")
        for name in set(self.present) - set(config["benchmarks"]):
            find(MANIFEST, f"benchmark {name} is present, and not in the configuration")
        for name in expected["variants"]:
            get_variant(name)
        for name in config["protocols"]:
            if manifest["protocols"].get(name) != describe_protocol(name):
                find(MANIFEST, f"protocol {name} is described otherwise than this version does")
        for role, identity in manifest["encoders"].items():
            asked = config["encoders"].get(role, {"model": None, "weights": ""})
            said = {"model": identity.get("model"), "weights": identity.get("weights")}
            # weights in a file are known by its name
            if said not in (asked, asked | {"weights": Path(asked["weights"]).name}):
                find(MANIFEST, f"encoder {role} is {show(said)}; the configuration in it says {show(asked)}")
        outputs = set(manifest["outputs"])
        runs = {job.path for job in self.jobs}
        tables = {f"{name}.parquet" for name in SUITE_TABLES}
        tables |= {f"{benchmark}/{name}.parquet" for benchmark in self.present for name in BENCHMARK_TABLES}
        for name in sorted((runs | tables) - outputs):
            find(MANIFEST, f"names no output {name}, which the configuration in it asks for")
        for name in sorted(outputs - runs):
            if name.split("/")[1:2] == ["runs"]:
                find(MANIFEST, f"names the output {name}, which the configuration in it does not ask for")
        self._check_recipes()
        if manifest["code"]["fingerprint"] != fingerprint(data=["."]):
            code = manifest["code"]
            self.verdict.notes.append(
                f"whether the code is the same: the results are by version {code['version']}, commit {code['commit']}, "
                "and this is another; numbers that differ may be its doing"
            )

    def _check_recipes(self) -> None:
        """Recipes are those of the files, where they are at hand."""
        unknown = []
        for name, recipe in self.manifest["recipes"].items():
            path = self.config_folder / "recipes" / f"{name}.yaml" if self.config_folder else None
            if path is None or not path.is_file():
                unknown.append(name)
                continue
            values = json.loads(json.dumps(load_recipe(path).values))
            differing = [key for key in values if recipe["values"].get(key) != values[key]]
            if differing:
                key = differing[0]
                what = f"recipe {name} has {key} {recipe['values'].get(key)}, {path} has {values[key]}"
                self.verdict.find(
                    MANIFEST, what, "run the workflow again, or verify beside the recipes it was run with"
                )
            else:
                self.verdict.counts["recipes"] += 1
        if unknown:
            self.verdict.notes.append(f"recipes {', '.join(unknown)}: their files are not at hand")

    def check_outputs(self) -> None:
        """Every output is there with the manifest's hash."""
        left_out = []
        for name, expected in self.manifest["outputs"].items():
            path = self.root / name
            if not path.is_file():
                if self.left_out(name):
                    left_out.append(name)
                else:
                    self.verdict.find(name, "is missing", "copy it too, or run the workflow again")
            elif sha256(path) != expected:
                self.verdict.find(name, "its SHA-256 is not the one in the manifest", RESTORE)
            else:
                self.verdict.counts["outputs by hash"] += 1
        if left_out:
            self.verdict.notes.append(f"{len(left_out)} feature stores: not in it")
        others = [
            path
            for path in self.root.rglob("*")
            if path.is_file()
            and path.relative_to(self.root).as_posix() not in {MANIFEST, *self.manifest["outputs"]}
            and path.relative_to(self.root).parts[0] not in UNTRACKED
        ]
        if others:
            shown = min(path.relative_to(self.root).as_posix() for path in others)
            self.verdict.notes.append(f"{len(others)} files that the manifest does not name, e.g. {shown}")

    # What a benchmark is

    def check_samples(self, benchmark: str) -> None:
        """The samples are the manifest's label files', and those that the data folder gives."""
        file = f"{benchmark}/samples.parquet"
        read = self.read(file, SAMPLES)
        if read is None:
            return
        samples, card = read
        held = {"benchmark": card.get("benchmark"), "title": card.get("title"), "images": card.get("images")}
        expected = {"benchmark": benchmark, "title": get_benchmark(benchmark).title, "images": len(samples)}
        if held != expected or set(samples["benchmark"]) != {benchmark} or samples["image"].duplicated().any():
            self.verdict.find(file, f"not a table of {len(samples)} different images of {benchmark}")
            return
        prefix = f"{benchmark}/"
        inputs = {k.removeprefix(prefix): v for k, v in self.manifest["inputs"].items() if k.startswith(prefix)}
        if card.get("label_files") != inputs:
            self.verdict.find(file, "read from other label files than the manifest names")
        if card.get("rows_read") == len(samples):  # otherwise its card counts rows that were excluded
            again = {
                target: {key: float(getattr(samples[target], key)()) for key in ("min", "max", "mean", "std")}
                for target in get_benchmark(benchmark).targets
            }
            difference = find_difference(card.get("mos"), again, "its MOS")
            if difference:
                self.verdict.find(file, f"{difference} is not what its card says")
        self.samples[benchmark] = samples, card
        self.verdict.counts["samples"] += len(samples)
        if self.data_root is not None:
            self._check_inputs(benchmark, inputs)

    def _check_inputs(self, benchmark: str, inputs: dict[str, str]) -> None:
        """The label files have the manifest's hashes, and reading the folder again gives the stored samples."""
        folder, findings = self.data_root / benchmark, len(self.verdict.findings)
        todo = "give the data that the results were made from, or run the workflow again"
        for name, expected in inputs.items():
            if not (folder / name).is_file():
                self.verdict.find(folder / name, "is missing", todo)
            elif sha256(folder / name) != expected:
                self.verdict.find(folder / name, "its SHA-256 is not the one in the manifest", todo)
        if len(self.verdict.findings) > findings:
            return
        try:
            again, card = collect_samples(get_benchmark(benchmark), folder)
        except InputError as error:
            self.verdict.findings.append(str(error))
            return
        file = f"{benchmark}/samples.parquet"
        stored, stored_card = self.samples[benchmark]
        card = json.loads(json.dumps(card))
        differing = [key for key in card if card[key] != stored_card.get(key)]
        if self.compare(file, stored, again, ["image"], f"{folder} gives another value; {todo}"):
            if differing:
                self.verdict.find(file, f"its card says other {differing[0]} than {folder} gives", todo)
            self.verdict.counts["label files"] += len(inputs)
            self.verdict.counts["images by hash"] += len(again)

    def check_splits(self, benchmark: str) -> None:
        """The splits are those that their protocols give, leakage included."""
        file = f"{benchmark}/splits.parquet"
        read = self.read(file, SPLITS)
        if read is None or benchmark not in self.samples:
            return
        splits, metadata = read
        samples, _ = self.samples[benchmark]
        protocols = self.config["protocols"]
        published = [name for name in protocols if name.startswith("file-")]
        unknown = [name for name in published if not (SPLIT_FILES / f"{name.removeprefix('file-')}.csv").is_file()]
        if unknown:
            self.verdict.notes.append(f"splits {', '.join(unknown)} of {benchmark}: their files are not at hand")
        given = [name for name in protocols if name not in unknown]
        stored = splits[~splits["protocol"].isin(unknown)]
        try:
            again, leakage = split_samples(samples, given) if given else (stored, {})
        except InputError as error:
            self.verdict.find(file, str(error))
            return
        said = metadata.get("protocols")
        if not isinstance(said, dict) or said | dict.fromkeys(unknown) != leakage | dict.fromkeys(unknown):
            self.verdict.find(file, "its counts and leakage are not those of its splits")
        elif self.compare(file, stored, again, ["protocol", "split", "image"]):
            self.verdict.counts["splits"] += splits[["protocol", "split"]].drop_duplicates().shape[0]
        self.splits[benchmark] = splits

    def check_features(self, benchmark: str) -> None:
        """The feature stores that are there are of the samples' images, by the manifest's encoders."""
        if benchmark not in self.samples:
            return
        samples, _ = self.samples[benchmark]
        encoders = self.manifest["encoders"]
        for file in self.manifest["outputs"]:
            folder, _, name = file.removesuffix(".safetensors").rpartition("/")
            if folder != f"{benchmark}/features" or not (self.root / file).is_file():
                continue
            try:
                _, metadata = read_store(self.root / file)
            except InputError as error:
                self.verdict.findings.append(self.shorten(error))
                continue
            if not isinstance(metadata, dict):
                self.verdict.find(file, "no description in its metadata", RESTORE)
                continue
            if name == "prompts":
                role, truncated = self.config["text_encoder"], metadata.get("truncated")
                of_samples = metadata.get("texts") == list(dict.fromkeys(samples["prompt"]))
                counted = self.manifest["benchmarks"][benchmark].get("prompts_truncated")
                if not isinstance(truncated, list) or len(truncated) != counted:
                    self.verdict.find(file, f"truncates other prompts than the {counted} that the manifest counts")
            else:
                role = next((role for role in encoders if name == role or name.startswith(f"{role}-")), None)
                of_samples = [metadata.get(key) for key in ("images", "sha256")] == [
                    samples[key].tolist() for key in ("image", "sha256")
                ]
            if not of_samples:
                self.verdict.find(file, "of other images or prompts than the samples table")
            elif role and metadata.get("encoder") != self.identity(role):
                self.verdict.find(file, f"by another encoder than the manifest's {role}")
            else:
                self.verdict.counts["feature stores"] += 1

    def identity(self, role: str) -> dict | None:
        """The identity of an encoder as files hold it."""
        identity = self.manifest["encoders"].get(role)
        return identity and {key: value for key, value in identity.items() if key != "name"}

    # The runs and their numbers

    def check_runs(self) -> None:
        """Predictions are of the job that their path names, of the images that the splits test, beside their MOS, and
        all trained by one code."""
        codes: dict[str, Counter] = {}
        described = {}
        for job in self.jobs:
            read = self.read(job.path, PREDICTIONS)
            if read is None:
                continue
            table, metadata = read
            self.readable.append(job)
            described[job] = json.dumps([metadata.get("code"), metadata.get("versions")], sort_keys=True)
            codes.setdefault(job.variant, Counter())[described[job]] += 1
            if job.benchmark in self.splits and self._is_of(job, metadata) and self._tests(job, table):
                self.verdict.counts["prediction files"] += 1
                self.verdict.counts["predictions"] += len(table)
        for job, own in described.items():
            usual, _ = codes[job.variant].most_common(1)[0]
            if own != usual:
                self.verdict.find(job.path, f"trained by another code or versions than most runs of {job.variant}")

    def _is_of(self, job: Job, metadata: dict) -> bool:
        """Whether predictions say that they are of a job, and of the suite's encoders."""
        fine, values = get_variant(job.variant).fine, self.manifest["recipes"].get(job.recipe, {"values": {}})["values"]
        if fine == "fine":
            fine = values.get("fine_stream")
        expected = {name: getattr(job, name) for name in JOB} | {
            "recipe_values": values,
            "synthetic": self.samples[job.benchmark][1].get("synthetic"),
            "encoders": {"coarse": self.identity("coarse"), "fine": self.identity(fine)},
            "text_encoder": self.identity(self.config["text_encoder"]),
        }
        differing = [key for key, value in expected.items() if metadata.get(key) != value]
        for key in differing:
            held, value = metadata.get(key), expected[key]
            shown = f" ({show(held)}, not {show(value)})" if isinstance(value, str | bool) else ""
            self.verdict.find(job.path, f"its {key} is not that of its place and the manifest{shown}")
        return not differing

    def _tests(self, job: Job, table: pd.DataFrame) -> bool:
        """Whether predictions are of all the images that the splits test, for every seed, and beside their MOS."""
        splits, (samples, _) = self.splits[job.benchmark], self.samples[job.benchmark]
        validated = splits[splits["role"] == VAL][["protocol", "split"]].drop_duplicates()
        tested = splits[splits["role"] == TEST][["protocol", "split", "image"]]
        if tested.empty:
            return False
        selections = [(LAST, tested), (BEST_ON_TEST, tested), (VALIDATION, tested.merge(validated))]
        again = pd.concat([
            images.assign(seed=seed, selection=selection)
            for seed in self.config["seeds"] for selection, images in selections
        ])  # fmt: skip
        again["mos"] = again["image"].map(samples.set_index("image")[job.target])
        return self.compare(job.path, table, again, [*RUN, "image"])

    def check_metrics(self) -> None:
        """Every row of the metrics is what the predictions give."""
        found = []
        for job in self.readable:
            try:
                found.append(evaluate_runs([self.root / job.path], self.root))
            except InputError as error:
                self.verdict.findings.append(self.shorten(error))
            except FailedRunError as error:
                self.verdict.findings.append(f"{self.shorten(error)}; {AGAIN}")
        if not found:
            return
        self.metrics = pd.concat(found, ignore_index=True)
        read = self.read("metrics.parquet", kinds(self.metrics))
        if read is None:
            return
        stored, again = read[0], self._leave_out_loose_fits(read[0], self.metrics)
        if self.compare("metrics.parquet", stored, again, METRICS_KEYS):
            self.verdict.counts["rows of metrics"] += len(stored)

    def _leave_out_loose_fits(self, stored: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
        """The metrics with the stored fitted PLCC wherever predictions that differ by rounding give several."""
        if stored.duplicated(METRICS_KEYS).any():
            return again
        stored = again[METRICS_KEYS].merge(stored, on=METRICS_KEYS, how="left")["plcc_fitted"]
        off = ~np.isclose(stored, again["plcc_fitted"], rtol=0, atol=FIT_TOLERANCE) & stored.notna()
        loose = [row for row in again.index[off] if self._is_loose(again.loc[row])]
        if loose:
            self.verdict.notes.append(f"{len(loose)} fitted PLCC: rounding of the predictions alone decides them")
        return again.assign(plcc_fitted=again["plcc_fitted"].where(~again.index.isin(loose), stored))

    def _is_loose(self, run: pd.Series) -> bool:
        table, _ = read_table(self.root / run["file"])
        table = table[(table[RUN] == run[RUN]).all(axis=1)]
        rng, prediction = np.random.default_rng(0), table["prediction"].to_numpy()
        signs = rng.choice([-1, 0, 1], (ROUNDINGS, len(prediction)))
        fits = [plcc_fitted(rounded, table["mos"]) for rounded in prediction * (1 + signs * np.finfo(float).eps)]
        return np.ptp(fits) > FIT_TOLERANCE

    def check_statistics(self) -> None:
        """Intervals, paired tests and the table by generator are what the predictions give."""
        if self.verdict.findings:
            self.verdict.notes.append("intervals, paired tests, generators, verdicts: what they rest on does not hold")
            return
        for name, again in zip(COLUMNS, compare_runs(self.metrics, self.root), strict=True):
            read = self.read(f"{name}.parquet", kinds(again[KEYS[name]]))
            if read and self.compare(f"{name}.parquet", read[0], again, KEYS[name]):
                self.verdict.counts[f"rows of {name}"] += len(again)

    def check_claims(self) -> None:
        """The verdicts are what runs and claims give."""
        path = self.root / "claims.json"
        if self.verdict.findings or "claims.json" not in self.manifest["outputs"]:
            return
        folder = self.config_folder
        sources = [folder / name for name in ("claims.yaml", "paper_tables.csv")] if folder else []
        if not sources or not all(source.is_file() for source in sources):
            self.verdict.notes.append("verdicts: claims.yaml and paper_tables.csv are not at hand")
            return
        again = json.loads(json.dumps(claims_document(*sources, self.root, folder / "recipes")))
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            self.verdict.find("claims.json", f"not JSON ({error})", RESTORE)
            return
        difference = find_difference(stored, again)
        if difference:
            self.verdict.find("claims.json", f"{difference} is not what {sources[0]} and the runs give")
        else:
            self.verdict.counts["verdicts"] += len(again["claims"])
