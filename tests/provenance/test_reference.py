"""The reference check: planted faults on a small suite as the workflow writes it, each with the line that names it."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from results_tables import table_of

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, sha256, write_json, write_table
from mstclipiqa.base.layout import BASELINES, CURVES, EFFICIENCY, READOUT, SAMPLES, TRANSFER
from mstclipiqa.base.names import JOB
from mstclipiqa.cli.main import main
from mstclipiqa.evaluation import metrics
from mstclipiqa.evaluation.comparisons import compare_runs
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.provenance import reference
from mstclipiqa.provenance.changes import SHOWN, SMALLEST_CHANGE, compare
from mstclipiqa.provenance.faults import REFEREES, TOLERANCE
from mstclipiqa.provenance.measurement import COLUMNS, KEYS, TABLES, measure
from mstclipiqa.provenance.reference import check_suite, prepare_reference, read_reference, write_reference

TARGETS = {"agiqa-1k": ["quality"], "agiqa-3k": ["quality", "correspondence"], "aigciqa2023": ["quality"]}
SELECTIONS = {"lab-seed1": ["last", "best-on-test"], "grouped3": ["last", "validation"]}
RECIPE = {"epochs": 20, "learning_rate": 1e-5}
VARIANTS = ["mst-clipiqa", "mst-clipiqa-star"]
IMAGES, TEST = 200, 40

#: A run of the small suite, and how the gate calls it.
ROW = ("agiqa-3k", "quality", "main_text", "mst-clipiqa", "grouped3", 1, 0, "validation")
NAME = "agiqa-3k quality main_text mst-clipiqa grouped3 split 1 seed 0 validation"
RUNS = "agiqa-3k/runs/quality/main_text/mst-clipiqa.parquet"

#: The fit takes longest, and no test here is about it.
QUICK = metrics.METRICS | {"plcc_fitted": metrics.plcc}

MANIFEST = {
    "code": {"version": "0.1.0", "commit": "0" * 40},
    "hardware": {"machine": "x86_64", "instructions": "AVX2", "gpu": "none", "processor": "any"},
    "versions": {
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "open_clip_torch": "3.3.0",
        "numpy": "2.4",
        "pillow": "13",
    },
    "encoders": {
        role: {"model": f"mst-small-{patch}", "weights_sha256": str(patch) * 32, "versions": {"torch": "2.13.0"}}
        for role, patch in (("coarse", 32), ("fine", 16))
    },
    "recipes": {"main_text": {"title": "Main text", "values": RECIPE}},
    "benchmarks": {name: {"status": "present"} for name in TARGETS} | {"pku-aigiqa-4k": {"status": "absent"}},
    "variants": {name: {"title": name} for name in VARIANTS},
    "readings": ["Padding is masked."],
    "outputs": {},
}


def write_samples(folder: Path, benchmark: str) -> pd.DataFrame:
    rng = np.random.default_rng(len(benchmark))
    samples = pd.DataFrame({"image": [f"{row:03d}.png" for row in range(IMAGES)]})
    samples = samples.assign(sha256=samples["image"] + benchmark, generator="SD1.5")
    samples = table_of(SAMPLES, samples.assign(prompt_group=(np.arange(IMAGES) // 4).astype(str)))
    for target in TARGETS[benchmark]:
        samples[target] = rng.normal(3, 1, IMAGES)
    ranges = {target: [1, 5] for target in TARGETS[benchmark]}
    SAMPLES.write(folder / "samples.parquet", samples, {"ranges": ranges})
    return samples


def write_splits(folder: Path, samples: pd.DataFrame) -> pd.DataFrame:
    tables = []
    for protocol, count in (("lab-seed1", 1), ("grouped3", 3)):
        for split in range(count):
            others = ["train"] * (IMAGES - TEST - 8) + [("val" if protocol == "grouped3" else "train")] * 8
            role = np.random.default_rng(split).permutation(["test"] * TEST + others)
            tables.append(pd.DataFrame({"protocol": protocol, "split": split, "image": samples["image"], "role": role}))
    splits = pd.concat(tables, ignore_index=True)
    counts = {"lab-seed1": 1, "grouped3": 3}
    sizes = {"train": IMAGES - TEST - 8, "val": 8, "test": TEST, "test_prompts_in_train": 9}
    leakage = {name: [sizes | {"split": split} for split in range(count)] for name, count in counts.items()}
    write_table(folder / "splits.parquet", splits, {"protocols": leakage})
    return splits


def write_runs(folder: Path, samples: pd.DataFrame, splits: pd.DataFrame, target: str, variant: str) -> None:
    runs = []
    for (protocol, split), table in splits.groupby(["protocol", "split"]):
        tested = samples[(table["role"] == "test").to_numpy()]
        for selection in SELECTIONS[protocol]:
            noise = np.random.default_rng([split, len(selection), len(variant)]).normal(0, 0.6, len(tested))
            key = {"protocol": protocol, "split": split, "seed": 0, "selection": selection, "epoch": 7}
            values = {"image": tested["image"], "prediction": tested[target] + noise, "mos": tested[target]}
            runs.append(pd.DataFrame(key | values))
    job = dict(zip(JOB, (folder.name, target, "main_text", variant), strict=True))
    job |= {"recipe_values": RECIPE, "trainable_parameters": 230_273 + len(variant)}
    write_table(folder / "runs" / target / "main_text" / f"{variant}.parquet", pd.concat(runs), job)


def write_rest(results: Path) -> None:
    """What is measured beside the runs, and the verdicts."""
    own, scores = {"recipe": "main_text", "variant": "mst-clipiqa"}, {"srcc": 0.3, "plcc": 0.2}
    rivals = pd.DataFrame({"split": range(3), "srcc": [0.6, 0.5, 0.6], "plcc": [0.5, 0.4, 0.3]})
    rivals = rivals.assign(source="ridge on f_c", target="quality", protocol="grouped3", n=TEST)
    for benchmark in TARGETS:
        BASELINES.write(BASELINES.at(results, benchmark=benchmark), table_of(BASELINES, rivals), {})
    pairs = [{"train_benchmark": one, "test_benchmark": other, **scores} for one in TARGETS for other in TARGETS]
    ridge = {"recipe": "", "variant": "ridge"}
    points = [own | {"learning_rate": 1e-5, "epoch": epoch, "role": "test", "srcc": epoch / 10} for epoch in (1, 2)]
    costs = [own | {"variant": name, "trained": 9, "total": 99, "gflops": 0.7} for name in VARIANTS]
    carried = [pair | model for model in (own, ridge) for pair in pairs]
    for entry, rows in ((CURVES, points), (EFFICIENCY, costs), (TRANSFER, carried)):
        entry.write(entry.at(results), table_of(entry, rows), {})
    readout = [{"recipe": "main_text", "features": name, "value": 0.4, "chance": 0.2} for name in ("f_c", "f_f")]
    READOUT.write(READOUT.at(results, recipe="main_text"), table_of(READOUT, readout), {})
    row = {"recipe": "main_text", "protocol": "grouped3", "measured": None, "low": None, "high": None}
    claims = [row | {"id": f"claim {number}", "verdict": "untestable"} for number in range(9)]
    claims += [row | {"id": "claim 9", "verdict": "not reproduced", "measured": 0.8}]
    write_json(results / "claims.json", {"claims": claims})


def evaluate(results: Path) -> None:
    """The metrics, intervals, tests and generators of the predictions that lie there."""
    with pytest.MonkeyPatch.context() as patch:  # evaluation would refuse what is planted here
        patch.setattr("mstclipiqa.evaluation.per_run.check_predictions", lambda *_: None)
        rows = evaluate_runs(results.rglob("runs/*/*/*.parquet"), results)
    write_table(results / "metrics.parquet", rows, {})
    names = ("intervals", "comparisons", "generators")
    for name, table in zip(names, compare_runs(rows, results, replicates=100), strict=True):
        write_table(results / f"{name}.parquet", table, {})
    rehash(results)


def rehash(results: Path) -> None:
    """Make the manifest's hashes those of the files as they are."""
    files = [path for path in sorted(results.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    document = json.loads((results / "manifest.json").read_text())
    document["outputs"] = {path.relative_to(results).as_posix(): sha256(path) for path in files}
    write_json(results / "manifest.json", document)


def change_table(path: Path, change) -> None:
    """As one who puts the new hash into the manifest."""
    frame, metadata = read_table(path)
    write_table(path, change(frame), metadata)
    rehash(next(folder for folder in path.parents if (folder / "manifest.json").exists()))


def change_manifest(results: Path, keys: str, value: object) -> None:
    document = json.loads((results / "manifest.json").read_text())
    *parents, last = keys.split(".")
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    write_json(results / "manifest.json", document)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results/ and the reference of them."""
    folder = tmp_path_factory.mktemp("gate")
    results = folder / "results"
    for benchmark, targets in TARGETS.items():
        samples = write_samples(results / benchmark, benchmark)
        splits = write_splits(results / benchmark, samples)
        for target in targets:
            for variant in VARIANTS:
                write_runs(results / benchmark, samples, splits, target, variant)
    write_json(results / "manifest.json", MANIFEST)
    write_rest(results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mstclipiqa.evaluation.per_run.METRICS", QUICK)
        evaluate(results)
    write_reference(folder / "reference.csv", measure(results), "A. Reviewer", "the first")
    return folder


@pytest.fixture
def suite(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to spoil."""
    monkeypatch.setattr("mstclipiqa.evaluation.per_run.METRICS", QUICK)
    monkeypatch.setitem(REFEREES, "plcc_fitted", REFEREES["plcc"])
    shutil.copytree(finished, tmp_path / "suite")
    return tmp_path / "suite"


def check(suite: Path) -> Result:
    arguments = ["check", "--results", str(suite / "results"), "--reference", str(suite / "reference.csv")]
    return CliRunner().invoke(main, arguments)


def bless(suite: Path, *options: str, answer: str = "") -> Result:
    arguments = ["bless", "--results", str(suite / "results"), "--reference", str(suite / "reference.csv"), *options]
    return CliRunner().invoke(main, arguments, input=answer)


WHO_AND_WHY = ("--by", "A. Reviewer", "--reason", "a better gate")


# Planted faults: each takes the suite, and gives the lines that are to name it


def lowered_metric(suite: Path) -> list[str]:
    def lower(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[(rows[KEYS] == list(ROW)).all(axis=1), "srcc"] -= 0.01
        return rows

    change_table(suite / "results/metrics.parquet", lower)
    return [rf"{NAME}: srcc 0\.\d{{6}} -> 0\.\d{{6}} \(-0\.010000, worse\)", rf"{NAME}: srcc .* of its predictions"]


def one_selection(table: pd.DataFrame) -> pd.Series:
    return (table["split"] == 1) & (table["selection"] == "validation")


def worse_predictions(suite: Path) -> list[str]:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        chosen = one_selection(table)
        table.loc[chosen, "prediction"] += np.random.default_rng(0).normal(0, 0.5, chosen.sum())
        return table

    change_table(suite / "results" / RUNS, spoil)
    evaluate(suite / "results")
    return [rf"{NAME}: srcc .*, worse\); plcc .*, worse\)"]


def better_predictions(suite: Path) -> list[str]:
    def mend(table: pd.DataFrame) -> pd.DataFrame:
        chosen = one_selection(table)
        table.loc[chosen, "prediction"] = (table["prediction"] + table["mos"])[chosen] / 2
        return table.assign(epoch=8)

    change_table(suite / "results" / RUNS, mend)
    evaluate(suite / "results")
    return [rf"{NAME}: srcc .*, better\); plcc .*, better\), epoch 7 -> 8"]


def dropped_benchmark(suite: Path) -> list[str]:
    change_table(suite / "results/metrics.parquet", lambda rows: rows[rows["benchmark"] != "agiqa-1k"])
    change_manifest(suite / "results", "benchmarks.agiqa-1k.status", "absent")
    return [r"agiqa-1k: missing, 16 of the reference's rows"]


def dropped_variant(suite: Path) -> list[str]:
    change_table(suite / "results/metrics.parquet", lambda rows: rows[(rows[KEYS[:4]] != list(ROW[:4])).any(axis=1)])
    return [r"agiqa-3k quality main_text mst-clipiqa: missing, 8 of the reference's rows"]


def dropped_row(suite: Path) -> list[str]:
    change_table(suite / "results/metrics.parquet", lambda rows: rows[(rows[KEYS] != list(ROW)).any(axis=1)])
    return [rf"{NAME}: missing, 1 of the reference's rows"]


def extra_row(suite: Path) -> list[str]:
    text = (suite / "reference.csv").read_text().splitlines(keepends=True)
    start = ",".join(map(str, ROW))
    (suite / "reference.csv").write_text("".join(line for line in text if not line.startswith(start)))
    return [rf"{NAME}: extra, 1 rows that the reference has not"]


def repeated_row(suite: Path) -> list[str]:
    change_table(
        suite / "results/metrics.parquet", lambda rows: pd.concat([rows, rows[(rows[KEYS] == list(ROW)).all(axis=1)]])
    )
    return [rf"{NAME}: appears twice"]


def swapped_columns(suite: Path) -> list[str]:
    """The reader takes the other column for quality; everything downstream follows."""
    names = {"quality": "correspondence", "correspondence": "quality"}
    change_table(suite / "results/agiqa-3k/samples.parquet", lambda samples: samples.rename(columns=names))
    samples, _ = read_table(suite / "results/agiqa-3k/samples.parquet")
    for target in names:
        for path in (suite / f"results/agiqa-3k/runs/{target}/main_text").iterdir():
            mos = samples.set_index("image")[target]
            change_table(path, lambda table, mos=mos: table.assign(mos=table["image"].map(mos)))
    evaluate(suite / "results")
    return [
        r"MOS agiqa-3k quality: another column, the reference's correspondence",
        r"MOS agiqa-3k correspondence: another column, the reference's quality",
    ]


def swapped_in_training(suite: Path) -> list[str]:
    samples, _ = read_table(suite / "results/agiqa-3k/samples.parquet")
    mos = samples.set_index("image")["correspondence"]
    change_table(suite / "results" / RUNS, lambda table: table.assign(mos=table["image"].map(mos)))
    evaluate(suite / "results")
    return [rf"{RUNS}: its MOS are not the benchmark's quality, but its correspondence"]


def other_scores(suite: Path) -> list[str]:
    def move(samples: pd.DataFrame) -> pd.DataFrame:
        return samples.assign(quality=samples["quality"].where(samples["image"] != "007.png", 1.5))

    change_table(suite / "results/agiqa-1k/samples.parquet", move)
    return [r"MOS agiqa-1k quality: other scores \(\w{12} -> \w{12}\)"]


def nan_metric(suite: Path) -> list[str]:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[(rows[KEYS] == list(ROW)).all(axis=1), "plcc"] = np.nan
        return rows

    change_table(suite / "results/metrics.parquet", spoil)
    return [rf"{NAME}: plcc is nan"]


def nan_prediction(suite: Path) -> list[str]:
    def spoil(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table.index[one_selection(table)][:2], "prediction"] = np.nan
        return table

    change_table(suite / "results" / RUNS, lambda table: spoil(table.reset_index(drop=True)))
    return [rf"{NAME}: 2 of 40 predictions are not finite"]


def constant_predictions(suite: Path) -> list[str]:
    change_table(
        suite / "results" / RUNS,
        lambda table: table.assign(prediction=table["prediction"].where(~one_selection(table), 3.25)),
    )
    return [rf"{NAME}: constant predictions \(3\.25 for all 40 images\)"]


def no_predictions(suite: Path) -> list[str]:
    (suite / "results" / RUNS).unlink()
    rehash(suite / "results")
    return [rf"{RUNS}: no such file"]


def changed_split(suite: Path) -> list[str]:
    """One image goes from training to test, and one the other way."""

    def swap(splits: pd.DataFrame) -> pd.DataFrame:
        split = splits[(splits["protocol"] == "grouped3") & (splits["split"] == 1)]
        first = [split.index[split["role"] == role][0] for role in ("train", "test")]
        splits.loc[first, "role"] = ["test", "train"]
        return splits

    change_table(suite / "results/agiqa-3k/splits.parquet", swap)
    return [r"splits agiqa-3k grouped3: other images in train, val or test \(\w{12} -> \w{12}\)"]


def fewer_test_images(suite: Path) -> list[str]:
    change_table(suite / "results" / RUNS, lambda table: table[~one_selection(table) | (table["image"] > "050.png")])
    evaluate(suite / "results")
    return [rf"{NAME}: \d+ test images, 40 in the reference"]


def other_encoder(suite: Path) -> list[str]:
    change_manifest(suite / "results", "encoders.fine.weights_sha256", "ff" * 32)
    return [r"encoder fine: another encoder \(mst-small-16, weights 16.* -> mst-small-16, weights fff"]


def other_preprocessing(suite: Path) -> list[str]:
    change_manifest(suite / "results", "encoders.coarse.preprocessing", {"interpolation": "bilinear"})
    return [r"encoder coarse: another encoder \(.*description \w{12}\)"]


def other_recipe(suite: Path) -> list[str]:
    change_manifest(suite / "results", "recipes.main_text.values.epochs", 19)
    return [r"recipe main_text: other values"]


def other_images(suite: Path) -> list[str]:
    change_table(suite / "results/agiqa-1k/samples.parquet", lambda samples: samples.assign(sha256="0"))
    return [r"images agiqa-1k: other images"]


# What was green on commit eac8ac7: what the page shows beside SRCC and PLCC of the runs


def falsified(metric: str, factor: float) -> Callable[[Path], list[str]]:
    def plant(suite: Path) -> list[str]:
        def change(rows: pd.DataFrame) -> pd.DataFrame:
            rows.loc[(rows[KEYS] == list(ROW)).all(axis=1), metric] *= factor
            return rows

        change_table(suite / "results/metrics.parquet", change)
        number = r"\d\.\d{6}"
        return [
            rf"{NAME}: {metric} {number} -> {number}",
            rf"{NAME}: {metric} is {number} in metrics.parquet, {number} of",
        ]

    plant.__name__ = f"falsified_{metric}"
    return plant


def every_claim_reproduced(suite: Path) -> list[str]:
    path = suite / "results/claims.json"
    claims = json.loads(path.read_text())["claims"]
    write_json(path, {"claims": [claim | {"verdict": "reproduced"} for claim in claims]})
    rehash(suite / "results")
    return [r"verdicts claim 0, main_text, grouped3: verdict untestable -> reproduced \(10 rows\)"]


def no_verdicts(suite: Path) -> list[str]:
    (suite / "results/claims.json").unlink()
    rehash(suite / "results")
    return ["verdicts: missing, all 10 of the reference's rows"]


def changed(file: str, column: str, by: float, line: str) -> Callable[[Path], list[str]]:
    def plant(suite: Path) -> list[str]:
        def change(rows: pd.DataFrame) -> pd.DataFrame:
            rows.loc[rows.index[rows[column].notna()][0], column] += by
            return rows

        change_table(suite / "results" / file, change)
        return [line]

    plant.__name__ = f"changed_{Path(file).stem}_{column}"
    return plant


def deleted(file: str, line: str) -> Callable[[Path], list[str]]:
    def plant(suite: Path) -> list[str]:
        (suite / "results" / file).unlink()
        rehash(suite / "results")
        return [line]

    plant.__name__ = f"deleted_{Path(file).stem}"
    return plant


def fewer_points(suite: Path) -> list[str]:
    change_table(suite / "results/curves.parquet", lambda rows: rows.iloc[1:])
    return ["curves: missing, 1 of the reference's rows, e.g. main_text, mst-clipiqa, 1e-05, 1, test"]


def zeroed_leakage(suite: Path) -> list[str]:
    path = suite / "results/agiqa-1k/splits.parquet"
    frame, metadata = read_table(path)
    metadata["protocols"]["lab-seed1"][0]["test_prompts_in_train"] = 0
    write_table(path, frame, metadata)
    rehash(suite / "results")
    return [r"leakage agiqa-1k, lab-seed1, 0: test_prompts_in_train 9 -> 0 \(1 rows\)"]


def other_parameters(suite: Path) -> list[str]:
    path = suite / "results" / RUNS
    frame, metadata = read_table(path)
    write_table(path, frame, metadata | {"trainable_parameters": 9})
    rehash(suite / "results")
    return [r"parameters main_text, mst-clipiqa: trained 230284 -> 230284 or 9 \(1 rows\)"]


def other_titles(suite: Path) -> list[str]:
    change_manifest(suite / "results", "variants.mst-clipiqa.title", "MST-CLIPIQA*")
    return [r"texts: other titles, descriptions, sources or readings"]


def edited_without_a_word(suite: Path) -> list[str]:
    table = table_of(CURVES, [{"recipe": "main_text", "srcc": 0.1}])
    CURVES.write(suite / "results/curves.parquet", table, {})
    return [r"curves.parquet: its SHA-256 is not the one in the manifest"]


def trained_by_another_recipe(suite: Path) -> list[str]:
    """The recipe was edited while the runs went on, and then restored."""
    path = suite / "results" / RUNS
    frame, metadata = read_table(path)
    write_table(path, frame, metadata | {"recipe_values": RECIPE | {"learning_rate": 1e-3}})
    rehash(suite / "results")
    return [rf"{RUNS}: was trained with learning_rate 0.001, and recipe main_text of the manifest has 1e-05"]


SHOWN_TOO = [
    *(falsified("plcc_fitted", 0.9), falsified("krcc", 0.9), falsified("rmse", 1.1)),
    *(every_claim_reproduced, no_verdicts, fewer_points, zeroed_leakage, other_parameters, other_titles),
    *(edited_without_a_word, trained_by_another_recipe),
    changed("agiqa-3k/baselines.parquet", "plcc", -0.2, "baselines agiqa-3k, ridge on f_c, quality, grouped3, 0: plcc"),
    changed("efficiency.parquet", "trained", 1, r"efficiency main_text, mst-clipiqa: trained 9 -> 10 \(1 rows\)"),
    changed("efficiency.parquet", "gflops", -0.1, "efficiency main_text, mst-clipiqa: gflops 0.700000 -> 0.600000"),
    changed("transfer.parquet", "srcc", 0.1, "transfer agiqa-1k, agiqa-1k, mst-clipiqa, main_text: srcc 0.3"),
    changed("intervals.parquet", "srcc_low", 0.1, "intervals agiqa-1k, quality, main_text, mst-clipiqa, .*: srcc_low"),
    changed("comparisons.parquet", "p_holm", -0.1, "comparisons agiqa-1k, quality, .*: p_holm"),
    changed("generators.parquet", "srcc", 0.1, "generators agiqa-1k, quality, .*: srcc"),
    changed("probe/main_text/readout.parquet", "value", 0.1, "readout main_text, f_c, -, 0: value 0.4"),
    deleted("curves.parquet", "curves: missing, all 2 of the reference's rows"),
    deleted("transfer.parquet", "transfer: missing, all 18 of the reference's rows"),
    deleted("efficiency.parquet", "efficiency: missing, all 2 of the reference's rows"),
    deleted("agiqa-3k/baselines.parquet", "baselines: missing, 3 of the reference's rows, e.g. agiqa-3k, ridge"),
    deleted("probe/main_text/readout.parquet", "readout: missing, all 2 of the reference's rows"),
]


FAULTS = [
    *(
        lowered_metric,
        worse_predictions,
        better_predictions,
        dropped_benchmark,
        dropped_variant,
        dropped_row,
        extra_row,
    ),
    *(
        repeated_row,
        swapped_columns,
        swapped_in_training,
        other_scores,
        nan_metric,
        nan_prediction,
        constant_predictions,
    ),
    *(no_predictions, changed_split, fewer_test_images, other_encoder, other_preprocessing, other_recipe, other_images),
]


@pytest.mark.parametrize("plant", [*FAULTS, *SHOWN_TOO], ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_red_and_named(suite: Path, plant):
    expected = plant(suite)
    done = check(suite)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    for line in expected:
        assert pd.Series(done.stdout.splitlines()).str.match(f"FAIL  (.*/)?{line}").any(), done.output
    assert done.stderr.count("\n") == 1 and "mstclipiqa bless" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        *("encoder fine", "recipe main_text", "MOS agiqa-1k quality", "splits agiqa-3k grouped3", "images agiqa-1k"),
        *("machine", "version torch", "texts", "code", "rate main_text", "reason", "blessed by"),
    ],
)
def test_reference_that_lost_a_line_of_its_header_is_red(suite: Path, line: str):
    lines = (suite / "reference.csv").read_text().splitlines(keepends=True)
    kept = [text for text in lines if not text.startswith(f"# {line}: ")]
    assert len(kept) == len(lines) - 1
    (suite / "reference.csv").write_text("".join(kept))
    done = check(suite)
    assert done.exit_code == 1 and f"FAIL  {line}: no such line in the reference's header" in done.stdout


def test_reference_that_lost_its_header_or_its_tables_is_red(suite: Path):
    text = (suite / "reference.csv").read_text()
    (suite / "reference.csv").write_text(text[text.index(",".join(COLUMNS)) :])
    assert check(suite).stdout.count("no such line in the reference's header") > 20
    (suite / "reference.csv").write_text(text[: text.index("# table ")])
    lost = "FAIL  verdicts: no such table in the reference, and 10 rows were measured"
    assert check(suite).exit_code == 1 and lost in check(suite).stdout


def test_line_of_the_header_that_nothing_was_measured_for_is_red(suite: Path):
    path = suite / "reference.csv"
    path.write_text(path.read_text().replace("# texts: ", "# encoder twin: another\n# texts: "))
    assert "FAIL  encoder twin: in the reference's header, and not in the results" in check(suite).stdout


def test_an_unchanged_suite_is_green_each_time(suite: Path):
    for _ in range(3):
        evaluate(suite / "results")
        done = check(suite)
        assert (done.exit_code, done.stdout) == (0, f"\ngreen: 64 rows as in {suite / 'reference.csv'}\n"), done.output


def test_order_of_rows_and_a_change_within_tolerance_are_green(suite: Path):
    def stir(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(srcc=rows["srcc"] + 0.9 * TOLERANCE, plcc=rows["plcc"] - 0.9 * TOLERANCE).iloc[::-1]

    change_table(suite / "results/metrics.parquet", stir)
    change_table(suite / "results/agiqa-3k/splits.parquet", lambda splits: splits.sample(frac=1, random_state=0))
    assert check(suite).exit_code == 0


def test_faults_are_looked_for_once_where_there_is_a_reference_already(suite: Path, monkeypatch: pytest.MonkeyPatch):
    """They take every prediction."""
    found = []
    monkeypatch.setattr(reference, "find_faults", lambda results, rows, workers: found.append(workers) or [])
    measured, said = prepare_reference(suite / "results", suite / "reference.csv", workers=3)
    assert found == [3] and len(measured.rows) == 64
    assert said == str(check_suite(suite / "results", suite / "reference.csv")[1])


def test_many_moved_rows_are_counted_and_the_furthest_shown_first(suite: Path):
    change_table(
        suite / "results/metrics.parquet",
        lambda rows: rows.assign(srcc=rows["srcc"] - np.linspace(0.001, 0.1, len(rows))),
    )
    comparison = check_suite(suite / "results", suite / "reference.csv")[1]
    moved = [line for line in comparison.failures if "->" in line]
    assert len(moved) == SHOWN and "(-0.100000, worse)" in moved[0]
    assert comparison.failures[-1] == f"{64 - SHOWN} more rows moved by less: SRCC {64 - SHOWN} worse, 0 better"


# Another environment


@pytest.fixture
def other_machine(suite: Path) -> Path:
    change_manifest(suite / "results", "hardware.instructions", "AVX512")
    return suite


def test_on_another_machine_kernels_may_move_a_row_but_not_by_a_hundredth(other_machine: Path):
    def move(change: float) -> tuple[list[str], list[str]]:
        def add(rows: pd.DataFrame) -> pd.DataFrame:
            rows.loc[(rows[KEYS] == list(ROW)).all(axis=1), "srcc"] += change
            return rows

        change_table(other_machine / "results/metrics.parquet", add)
        comparison = check_suite(other_machine / "results", other_machine / "reference.csv")[1]
        return [line for line in comparison.failures if "->" in line], comparison.notes

    failures, notes = move(-0.9 * SMALLEST_CHANGE)
    assert failures == [] and notes[0] == "machine: x86_64, AVX2, GPU none -> x86_64, AVX512, GPU none"
    failures, _ = move(0.9 * SMALLEST_CHANGE - 0.01)
    assert len(failures) == 1 and failures[0].startswith(f"{NAME}: srcc") and "(-0.010000, worse)" in failures[0]


def test_another_machine_draws_the_same_images(other_machine: Path):
    other_images(other_machine)
    assert check(other_machine).exit_code == 1


def test_on_another_machine_a_high_learning_rate_amplifies_rounding(suite: Path):
    change_manifest(suite / "results", "recipes.main_text.values.learning_rate", 1e-3)
    write_reference(suite / "reference.csv", measure(suite / "results"), "A. Reviewer", "faster")
    change_manifest(suite / "results", "hardware.instructions", "AVX512")
    noise = np.random.default_rng(3)
    change_table(
        suite / "results/metrics.parquet",
        lambda rows: rows.assign(plcc=rows["plcc"] + noise.normal(0, 0.01, len(rows))),
    )
    comparison = check_suite(suite / "results", suite / "reference.csv")[1]
    assert [line for line in comparison.failures if "->" in line] == []


@pytest.fixture
def elsewhere(suite: Path) -> Path:
    change_manifest(suite / "results", "hardware.instructions", "AVX512")
    change_manifest(suite / "results", "versions.torch", "2.14.0")
    return suite


def move_rows(suite: Path, change) -> list[str]:
    """The failures that a change of SRCC by `change(row number)` gives."""
    measured = measure(suite / "results")
    intervals, _ = read_table(suite / "results/intervals.parquet")
    moved = measured.rows.assign(srcc=measured.rows["srcc"] + change(measured.rows))
    comparison = compare(read_reference(suite / "reference.csv"), replace(measured, rows=moved), intervals)
    assert comparison.notes[:2] == [
        "machine: x86_64, AVX2, GPU none -> x86_64, AVX512, GPU none",
        "version torch: 2.13.0 -> 2.14.0",
    ]
    return comparison.failures


def test_noise_of_another_environment_is_green(elsewhere: Path):
    done = check(elsewhere)
    assert done.exit_code == 0 and "note  version torch: 2.13.0 -> 2.14.0" in done.stdout
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert move_rows(elsewhere, lambda rows, rng=rng: rng.normal(0, 0.01, len(rows))) == []


def wide_intervals(suite: Path) -> pd.DataFrame:
    """As of 20 test images: they bound nothing that is looked for here."""
    intervals, _ = read_table(suite / "results/intervals.parquet")
    return intervals.assign(**{f"{metric}_{end}": sign for metric in ("srcc", "plcc") for end, sign in ENDS})


ENDS = (("low", -1.0), ("high", 1.0))
MODELS = [(name, target, variant) for name, targets in TARGETS.items() for target in targets for variant in VARIANTS]


def of_model(rows: pd.DataFrame, model: tuple) -> pd.Series:
    return (rows[["benchmark", "target", "variant"]] == list(model)).all(axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_one_models_fall_on_one_benchmark_is_red_in_another_environment(elsewhere: Path, seed: int):
    """By 0.2 SRCC, beneath the noise of other kernels: 8 times of 8 it was green."""
    measured, reference = measure(elsewhere / "results"), read_reference(elsewhere / "reference.csv")
    noise = np.random.default_rng(seed).normal(0, 0.03, len(measured.rows))
    fall = 0.2 * of_model(measured.rows, MODELS[seed])
    moved = replace(measured, rows=measured.rows.assign(srcc=measured.rows["srcc"] + noise - fall))
    failures = compare(reference, moved, wide_intervals(elsewhere)).failures
    benchmark, target, variant = MODELS[seed]
    beyond = [line for line in failures if "further than any environment moves it (0.15)" in line]
    assert len(beyond) >= 3
    assert all(line.startswith(f"{benchmark} {target} main_text {variant} ") for line in beyond), beyond


def test_unchanged_runs_in_another_environment_are_green_ten_times(elsewhere: Path):
    measured, reference = measure(elsewhere / "results"), read_reference(elsewhere / "reference.csv")
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.03, len(measured.rows))
        moved = replace(measured, rows=measured.rows.assign(srcc=measured.rows["srcc"] + noise))
        assert compare(reference, moved, wide_intervals(elsewhere)).failures == []


@pytest.mark.parametrize("metric", ["srcc", "plcc", "plcc_fitted", "krcc"])
def test_one_row_far_off_is_red_in_another_environment(elsewhere: Path, metric: str):
    measured, reference = measure(elsewhere / "results"), read_reference(elsewhere / "reference.csv")
    for by, count in ((0.24, 0), (0.26, 1)):
        chosen = (measured.rows[KEYS] == list(ROW)).all(axis=1)
        moved = replace(measured, rows=measured.rows.assign(**{metric: measured.rows[metric] - by * chosen}))
        lines = [line for line in compare(reference, moved, wide_intervals(elsewhere)).failures if NAME in line]
        assert len(lines) == count


@pytest.mark.parametrize("change", [-0.01, 0.01])
def test_a_systematic_change_is_red_in_another_environment(elsewhere: Path, change: float):
    noise = np.random.default_rng(0)
    failures = move_rows(elsewhere, lambda rows: change + noise.normal(0, 1e-4, len(rows)))
    assert any("mean of 3 benchmarks" in line and ("better" if change > 0 else "worse") in line for line in failures)
    assert any(
        line.startswith("agiqa-3k quality main_text mst-clipiqa grouped3 validation, 3 runs") for line in failures
    )


def test_few_runs_are_held_to_the_bootstrap_interval(elsewhere: Path):
    def spoil_one(rows: pd.DataFrame) -> pd.Series:
        return -0.14 * (
            (rows["protocol"] == "lab-seed1") & (rows["benchmark"] == "agiqa-1k") & (rows["selection"] == "last")
        )

    measured, reference = measure(elsewhere / "results"), read_reference(elsewhere / "reference.csv")
    moved = measured.rows.assign(srcc=measured.rows["srcc"] + spoil_one(measured.rows))
    intervals, _ = read_table(elsewhere / "results/intervals.parquet")
    own = (
        (intervals["protocol"] == "lab-seed1")
        & (intervals["benchmark"] == "agiqa-1k")
        & (intervals["selection"] == "last")
    )
    for end, reach in (("low", -0.1), ("high", 0.1)):  # of the moved mean, whatever its noise
        intervals.loc[own, f"srcc_{end}"] = intervals.loc[own, "srcc"] - 0.14 + reach
    failures = compare(reference, replace(measured, rows=moved), intervals).failures
    lines = [line for line in failures if "the reference lies outside [" in line]
    assert len(lines) == len(VARIANTS) and all(
        line.startswith("agiqa-1k quality main_text mst-clipiqa") for line in lines
    )


def test_a_mean_that_nothing_bounds_is_counted(elsewhere: Path):
    reference, measured = read_reference(elsewhere / "reference.csv"), measure(elsewhere / "results")
    intervals, _ = read_table(elsewhere / "results/intervals.parquet")
    intervals.loc[intervals["protocol"] == "lab-seed1", ["srcc_low", "srcc_high"]] = np.nan
    comparison = compare(reference, measured, intervals)
    assert comparison.failures == [] and comparison.notes[-1].startswith("16 means of too few runs have no interval")


def test_equal_changes_too_small_to_matter_are_green(elsewhere: Path):
    assert move_rows(elsewhere, lambda rows: -0.9 * SMALLEST_CHANGE) == []


def test_other_libraries_may_draw_other_images_but_no_other_splits(elsewhere: Path):
    other_images(elsewhere)
    assert check(elsewhere).exit_code == 0
    changed_split(elsewhere)
    assert check(elsewhere).exit_code == 1


@pytest.mark.parametrize("plant", [every_claim_reproduced, zeroed_leakage, other_titles, other_parameters, no_verdicts])
def test_what_is_no_measurement_is_equal_in_any_environment(elsewhere: Path, plant):
    expected = plant(elsewhere)
    done = check(elsewhere)
    assert done.exit_code == 1
    for line in expected:
        assert re.search(f"^FAIL  {line.replace('10 rows', '9 rows')}", done.stdout, re.MULTILINE), done.output


def test_verdict_on_a_number_may_move_with_the_environment(elsewhere: Path):
    path = elsewhere / "results/claims.json"
    claims = json.loads(path.read_text())["claims"]
    claims[-1]["verdict"] = "within noise"
    write_json(path, {"claims": claims})
    rehash(elsewhere / "results")
    done = check(elsewhere)
    assert done.exit_code == 0
    assert "note  verdicts claim 9, main_text, grouped3: verdict not reproduced -> within noise" in done.stdout


def move_rivals(suite: Path, changes: Callable[[int], np.ndarray]) -> Result:
    for benchmark in TARGETS:
        path = suite / "results" / benchmark / "baselines.parquet"
        change_table(path, lambda rows: rows.assign(srcc=rows["srcc"] + changes(len(rows))))
    return check(suite)


def test_on_another_machine_a_rival_may_not_move_by_a_hundredth(other_machine: Path):
    noise = np.random.default_rng(0)
    assert move_rivals(other_machine, lambda count: noise.normal(0, 0.001, count)).exit_code == 0
    done = move_rivals(other_machine, lambda count: np.full(count, 0.01))
    assert done.exit_code == 1 and "FAIL  baselines agiqa-1k, ridge on f_c, quality, grouped3, 0: srcc" in done.stdout


def test_rivals_that_all_move_are_red_in_another_environment_and_noise_is_green(elsewhere: Path):
    rng = np.random.default_rng(0)
    assert move_rivals(elsewhere, lambda count: rng.normal(0, 0.003, count)).exit_code == 0
    done = move_rivals(elsewhere, lambda count: 0.02 + rng.normal(0, 1e-4, count))
    assert done.exit_code == 1 and "FAIL  baselines, mean of 9 rows: srcc" in done.stdout


# The reference


def test_reference_reads_back_and_is_the_same_bytes_again(suite: Path):
    measured = measure(suite / "results")
    reference = read_reference(suite / "reference.csv")
    pd.testing.assert_frame_equal(reference.rows, measured.rows, atol=5e-7, rtol=0)
    assert list(reference.tables) == list(measured.tables) == [name for name in TABLES if name != "gates"]
    assert [len(table) for table in reference.tables.values()] == [len(table) for table in measured.tables.values()]
    assert reference.facts == {"blessed by": "A. Reviewer", "reason": "the first", **measured.facts}
    before = (suite / "reference.csv").read_bytes()
    write_reference(suite / "reference.csv", measured, "A. Reviewer", "the first")
    assert (suite / "reference.csv").read_bytes() == before
    lines = before.decode().splitlines()
    assert lines[len(reference.facts)] == ",".join(COLUMNS)


def test_bless_shows_the_change_asks_and_makes_it_green(suite: Path):
    worse_predictions(suite)
    before = (suite / "reference.csv").read_bytes()
    done = bless(suite, *WHO_AND_WHY, answer="n\n")
    assert done.exit_code == 1 and f"FAIL  {NAME}" in done.output and "Write" in done.output
    assert (suite / "reference.csv").read_bytes() == before
    assert bless(suite, *WHO_AND_WHY, answer="y\n").exit_code == 0
    assert check(suite).exit_code == 0
    assert (suite / "reference.csv").read_text().startswith("# blessed by: A. Reviewer\n# reason: a better gate\n")


def test_bless_writes_the_first_reference(suite: Path):
    (suite / "reference.csv").unlink()
    done = check(suite)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and "mstclipiqa bless" in done.stderr
    done = bless(suite, *WHO_AND_WHY, "--yes")
    assert done.exit_code == 0 and "the first reference, 64 rows" in done.output
    assert check(suite).exit_code == 0


def test_tables_that_an_earlier_configuration_left_are_not_measured(suite: Path):
    results, first = suite / "results", next(iter(TARGETS))
    document = json.loads((results / "manifest.json").read_text())
    before = measure(results).tables
    del document["outputs"]["curves.parquet"], document["outputs"][f"{first}/baselines.parquet"]
    write_json(results / "manifest.json", document)
    after = measure(results).tables
    assert before.keys() - after.keys() == {"curves"}
    assert set(before["baselines"]["benchmark"]) - set(after["baselines"]["benchmark"]) == {first}


def test_bless_replaces_a_reference_of_an_earlier_version(suite: Path):
    path = suite / "reference.csv"
    path.write_text(path.read_text().replace("srcc,plcc,plcc_fitted,krcc,rmse", "srcc,plcc", 1))
    assert check(suite).exit_code == 1
    done = bless(suite, *WHO_AND_WHY, "--yes")
    assert done.exit_code == 0 and "not a reference" in done.output and "a new reference, 64 rows" in done.output
    assert check(suite).exit_code == 0


NO_REFERENCE = [
    *(nan_metric, constant_predictions, swapped_in_training, lowered_metric, falsified("plcc_fitted", 0.9)),
    *(falsified("krcc", 0.9), edited_without_a_word, trained_by_another_recipe),
]


@pytest.mark.parametrize("plant", NO_REFERENCE, ids=lambda plant: plant.__name__)
def test_no_reference_may_hold_a_fault(suite: Path, plant):
    plant(suite)
    before = (suite / "reference.csv").read_bytes()
    done = bless(suite, *WHO_AND_WHY, "--yes")
    assert done.exit_code == 1 and "no reference may hold that" in done.stderr and done.stderr.count("\n") == 1
    assert (suite / "reference.csv").read_bytes() == before


@pytest.mark.parametrize("options", [WHO_AND_WHY[:2], WHO_AND_WHY[2:]])
def test_bless_needs_to_know_who_and_why(suite: Path, options: tuple[str, ...]):
    assert bless(suite, *options, "--yes").exit_code == 2
    assert bless(suite, "--by", "me", "--reason", "two\nlines", "--yes").exit_code == 1
    assert bless(suite, "--by", "me", "--reason", " ", "--yes").exit_code == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("srcc,plcc", "srcc,krcc"),
        ("last,7,40", "last,7,forty"),
        ("last,7,40,[^,]+", "last,7,40,"),
        ("1,0,last", "0,0,last"),
        ("# table verdicts", "# table opinions"),
        ("# table verdicts\nid,", "# table verdicts\nname,"),
        ("# table curves", "# table leakage"),
        ("claim 1,main_text", "claim 0,main_text"),
    ],
)
def test_a_damaged_reference_is_one_line(suite: Path, old: str, new: str):
    path = suite / "reference.csv"
    text, changes = re.subn(old, new, path.read_text())
    assert changes
    path.write_text(text)
    with pytest.raises(InputError, match="restore it from git") as error:
        read_reference(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
