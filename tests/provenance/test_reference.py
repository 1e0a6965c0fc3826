"""The reference check: planted faults on a small suite as the workflow writes it, each with the line that names it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from results_tables import table_of

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table, write_json, write_table
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import JOB
from mstclipiqa.cli.main import main
from mstclipiqa.evaluation import metrics
from mstclipiqa.evaluation.comparisons import compare_runs
from mstclipiqa.evaluation.per_run import evaluate_runs
from mstclipiqa.provenance.reference import (
    COLUMNS,
    KEYS,
    SHOWN,
    SMALLEST_CHANGE,
    TOLERANCE,
    check_suite,
    compare,
    measure,
    read_reference,
    write_reference,
)

TARGETS = {"agiqa-1k": ["quality"], "agiqa-3k": ["quality", "correspondence"], "aigciqa2023": ["quality"]}
SELECTIONS = {"lab-seed1": ["last", "best-on-test"], "grouped3": ["last", "validation"]}
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
    "recipes": {"main_text": {"values": {"epochs": 20, "learning_rate": 1e-5}}},
    "benchmarks": {name: {"status": "present"} for name in TARGETS} | {"pku-aigiqa-4k": {"status": "absent"}},
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
            role = np.random.default_rng(split).permutation(["test"] * TEST + ["train"] * (IMAGES - TEST))
            tables.append(pd.DataFrame({"protocol": protocol, "split": split, "image": samples["image"], "role": role}))
    splits = pd.concat(tables, ignore_index=True)
    leakage = {protocol: [{"test_prompts_in_train": 9}] for protocol in SELECTIONS}
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
    write_table(folder / "runs" / target / "main_text" / f"{variant}.parquet", pd.concat(runs), job)


def evaluate(results: Path) -> None:
    """The metrics and intervals of the predictions that lie there."""
    rows = evaluate_runs(results.rglob("runs/*/*/*.parquet"), results)
    write_table(results / "metrics.parquet", rows, {})
    write_table(results / "intervals.parquet", compare_runs(rows, results, replicates=100)[0], {})


def change_table(path: Path, change) -> None:
    frame, metadata = read_table(path)
    write_table(path, change(frame), metadata)


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mstclipiqa.evaluation.per_run.METRICS", QUICK)
        evaluate(results)
    write_reference(folder / "reference.csv", measure(results), "A. Reviewer", "the first")
    return folder


@pytest.fixture
def suite(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to spoil."""
    monkeypatch.setattr("mstclipiqa.evaluation.per_run.METRICS", QUICK)
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


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_red_and_named(suite: Path, plant):
    expected = plant(suite)
    done = check(suite)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    for line in expected:
        assert pd.Series(done.stdout.splitlines()).str.match(f"FAIL  (.*/)?{line}").any(), done.output
    assert done.stderr.count("\n") == 1 and "mstclipiqa bless" in done.stderr


def test_an_unchanged_suite_is_green_ten_times(suite: Path):
    for _ in range(10):
        evaluate(suite / "results")
        done = check(suite)
        assert (done.exit_code, done.stdout) == (0, f"\ngreen: 64 rows as in {suite / 'reference.csv'}\n"), done.output


def test_order_of_rows_and_a_change_within_tolerance_are_green(suite: Path):
    def stir(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(srcc=rows["srcc"] + 0.9 * TOLERANCE, plcc=rows["plcc"] - 0.9 * TOLERANCE).iloc[::-1]

    change_table(suite / "results/metrics.parquet", stir)
    change_table(suite / "results/agiqa-3k/splits.parquet", lambda splits: splits.sample(frac=1, random_state=0))
    assert check(suite).exit_code == 0


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
    comparison = compare(read_reference(suite / "reference.csv"), type(measured)(measured.facts, moved), intervals)
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
        return -0.4 * (
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
    intervals.loc[own, ["srcc_low", "srcc_high"]] -= 0.4
    failures = compare(reference, type(measured)(measured.facts, moved), intervals).failures
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


# The reference


def test_reference_reads_back_and_is_the_same_bytes_again(suite: Path):
    measured = measure(suite / "results")
    reference = read_reference(suite / "reference.csv")
    pd.testing.assert_frame_equal(reference.rows, measured.rows, atol=5e-7, rtol=0)
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


@pytest.mark.parametrize("plant", [nan_metric, constant_predictions, swapped_in_training, lowered_metric])
def test_no_reference_may_hold_a_fault(suite: Path, plant):
    plant(suite)
    before = (suite / "reference.csv").read_bytes()
    done = bless(suite, *WHO_AND_WHY, "--yes")
    assert done.exit_code == 1 and "no reference may hold that" in done.stderr
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
