"""The workflow itself, on the real Snakefile."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from checkout import REPOSITORY, SMALL, Checkout, copy_checkout, edit, read_manifest

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.base.layout import DISSECTION, LAYOUT, NOTES

REFERENCE, RESULTS = "config/reference/reduced.csv", "results/reduced"
DOWNSTREAM = {"evaluate": 1, "compare": 1, "claims": 1, "manifest": 1, "report": 1}


def test_lint_is_clean(checkout: Checkout):
    done = checkout.snakemake("--lint")
    assert done.returncode == 0, done.stderr
    assert "good condition" in (done.stdout + done.stderr)


#: What dry runs are asked for.
PLANS: dict[str, tuple[str, ...]] = {
    "default": (),
    "paper": ("--configfile", "config/paper.yaml", "--config", "data_root=present"),
    "study": ("--configfile", "config/agiqa-3k-study.yaml"),
    "small": SMALL,
    "heads": ("heads", *SMALL),
    "typed": (*SMALL, "seeds=[7]", "draw={seed: 1, scale: 0.05}", "also=[]"),
}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """What each of them plans, where two benchmarks are present."""
    checkout = copy_checkout(tmp_path_factory.mktemp("planned") / "checkout")
    for benchmark in ("agiqa-3k", "aigciqa2023"):
        (checkout.folder / "present" / benchmark).mkdir(parents=True)
    return dict(zip(PLANS, checkout.plans((None, arguments) for arguments in PLANS.values()), strict=True))


def test_numbers_in_lists_and_mappings_of_the_command_line_are_numbers(plans: dict[str, dict[str, int]]):
    assert plans["typed"]["train"] == plans["small"]["train"] - 4  # without the grids under `also`


def test_a_checkout_in_a_folder_with_braces_is_refused_in_a_line(tmp_path: Path):
    done = copy_checkout(tmp_path / "{mine}").snakemake("--dry-run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: {tmp_path}/{{mine}}: Snakemake takes braces in a path for names to fill in; move the checkout"
    )


def test_bare_dry_run_plans_the_default_suite(plans: dict[str, dict[str, int]]):
    jobs = plans["default"]
    # AGIQA-3K's 2 targets with 2 variants; on its quality 3 more, and one under another recipe; on its correspondence 1
    # more; and a variant on each drawn stand-in
    assert jobs["train"] == 2 * 2 + 3 + 1 + 1 + 4
    # AGIQA-3K comes from its pack
    assert jobs["draw"] == jobs["samples"] == jobs["extract"] == 4
    assert (jobs["unpack_agiqa_3k"], jobs["splits"]) == (1, 5)
    assert jobs["curves"] == 1
    assert not jobs.keys() & {"probe", "transfer"}  # the main grid has no images, and one benchmark
    assert jobs["attend"] == 2  # the targets of the real AGIQA-3K
    assert jobs.items() >= DOWNSTREAM.items()


def test_paper_configuration_plans_every_present_benchmark(plans: dict[str, dict[str, int]]):
    jobs = plans["paper"]
    # targets x 4 recipes: 2 variants, the 2 of Table VII, and 10 of the other tables but for correspondence
    # and under 2 recipes the 5 with other prompts
    # and on quality the first model under 6 that change one value
    # and on correspondence 3 without weight decay
    assert jobs["train"] == 4 * ((2 + 3) * 4 + (1 + 2) * 10) + 2 * (2 + 3) * 5 + 2 * 6 + 2 * 3
    assert (jobs["dissect"], jobs["attend"]) == (2 * 2, 2 + 3)
    assert "draw" not in jobs


def test_real_agiqa_3k_is_planned(checkout: Checkout, shared_data: Path):
    data_root = ("--config", f"data_root={shared_data}")
    # two targets, three recipes, two models
    assert checkout.planned("--configfile", "config/agiqa-3k.yaml", *data_root)["train"] == 2 * 3 * 2
    # one model on two targets, the appendix's two, two text towers under two recipes
    assert checkout.planned("--configfile", "config/agiqa-3k-images.yaml", *data_root)["train"] == 2 + 2 + 2
    # one model on two targets under two recipes, a rival's head; both with the last block, the rival's with two more
    adapted = checkout.planned("--configfile", "config/agiqa-3k-adapted.yaml", *data_root)
    assert (adapted["train"], adapted["train_adapted"]) == (2 * 2 + 1, 2 + 2)


def test_the_study_of_agiqa_3k_needs_no_images(plans: dict[str, dict[str, int]]):
    study = plans["study"]
    # two models on both targets, two recipes of sources, 9 ablations, 7 others on correspondence, 3 without weight
    # decay, 7 other values, 2 on the other scale
    assert study["train"] == 2 * 2 + (2 + 1) + 9 + 7 + 3 + 7 + 2
    assert study["dissect"] == 2 and not {"draw", "samples", "extract", "probe"} & set(study)


def test_heads_are_planned_only_when_asked_for(plans: dict[str, dict[str, int]]):
    # two targets of AGIQA-3K, two models
    assert plans["heads"].items() >= {"train_head": 4}.items()
    assert "train_head" not in plans["small"]


def test_page_and_tables_are_there(finished: Checkout):
    reports = finished.folder / "reports" / "reduced"
    page = (reports / "index.html").read_text()
    assert "synthetic" in page.lower()
    assert list((reports / "tables").glob("*.csv"))
    assert list((reports / "tables").glob("*.md"))
    assert list((reports / "figures").glob("*.png"))


def test_snakemakes_own_report_holds_page_tables_and_figures(finished: Checkout, tmp_path: Path):
    done = finished.snakemake("--report", str(tmp_path / "report.zip"), *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = finished.folder / "reports" / "reduced"
    shown = [reports / "index.html", *reports.glob("tables/*.csv"), *reports.glob("figures/*.svg")]
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        packed = {Path(name).name: archive.read(name) for name in archive.namelist()}
    start = packed.pop("report.html").decode()
    assert packed == {path.name: path.read_bytes() for path in shown}
    captions = ("every number is", "verdict on every claim", "A table of the page", "A figure of the page")
    assert [caption for caption in captions if caption not in start] == []


def test_manifest_hashes_are_those_of_the_files(finished: Checkout):
    manifest = read_manifest(finished)
    assert len(manifest["outputs"]) > 8
    for name, digest in manifest["outputs"].items():
        content = (finished.folder / "results" / "reduced" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name


def bless(checkout: Checkout) -> None:
    command = [sys.executable, "-m", "mstclipiqa", "bless", "--results", RESULTS, "--reference", REFERENCE]
    who_and_why = ["--by", "a test", "--reason", "a test", "--yes"]
    subprocess.run([*command, *who_and_why], cwd=checkout.folder, env=checkout.environment, check=True)


def test_blessed_is_green_and_a_lowered_metric_red(edited: Checkout):
    bless(edited)
    done = edited.snakemake("check", *SMALL)
    assert done.returncode == 0 and "green: " in done.stdout + done.stderr, done.stdout + done.stderr
    rows, metadata = read_table(edited.folder / RESULTS / "metrics.parquet")
    rows.loc[0, "srcc"] -= 0.01
    write_table(edited.folder / RESULTS / "metrics.parquet", rows, metadata)
    assert edited.snakemake("--touch", "check", *SMALL).returncode == 0  # as if the workflow had written that
    done = edited.snakemake("check", *SMALL)
    assert done.returncode == 1
    log = (edited.folder / RESULTS / "logs" / "check.log").read_text()
    assert "(-0.010000, worse)" in log and "of its predictions" in log
    assert log.splitlines()[-1].startswith(f"Error: {REFERENCE}: ")


def test_second_run_has_nothing_to_do(finished: Checkout):
    assert finished.planned("reproduce", *SMALL) == {}


def test_changed_recipe_value_reruns_what_depends_on_it(edited: Checkout):
    recipes = edited.folder / "config" / "recipes"
    edit(recipes / "main_text.yaml", "weight_decay: {value: 1.0e-3", "weight_decay: {value: 1.0e-2")
    counted = {"claims": 1, "manifest": 1, "report": 1}
    assert edited.planned(*SMALL) == counted, "the small suite does not run main_text, but counts its parameters"
    edit(recipes / "released_code.yaml", "weight_decay: {value: 1.0e-3", "weight_decay: {value: 1.0e-2")
    assert edited.planned(*SMALL) == {"train": 4, "attend": 2, "probe": 1, "curves": 1, "efficiency": 1, **DOWNSTREAM}


def test_a_recipe_edited_while_a_run_goes_on_and_restored_leaves_no_wrong_results(edited: Checkout):
    """The job refuses a file that is not what was planned; a later run finds nothing that counts as done."""
    path = edited.folder / "config" / "recipes" / "released_code.yaml"
    planned = path.read_text()
    edit(
        edited.folder / "workflow" / "rules" / "heads.smk",
        '"python -m mstclipiqa {params.verb} ',
        '"cp edited.yaml config/recipes/released_code.yaml; python -m mstclipiqa {params.verb} ',
    )
    (edited.folder / "edited.yaml").write_text(
        planned.replace("learning_rate: {value: 5.0e-6", "learning_rate: {value: 1.0e-3")
    )
    runs = "results/reduced/agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet"
    (edited.folder / runs).unlink()
    done = edited.snakemake(runs, *SMALL)
    assert done.returncode != 0
    assert "released_code.yaml: other values than this run was planned with" in done.stdout + done.stderr
    assert not (edited.folder / runs).exists()
    path.write_text(planned)
    assert edited.planned(runs, *SMALL) == {"train": 1}


def test_released_value_reruns_another_recipe_only_where_that_is_silent(checkout: Checkout):
    levels = ("results/reduced/levels/main_text.safetensors", *SMALL, "recipes=[main_text]")
    assert checkout.snakemake(*levels).returncode == 0
    released = checkout.folder / "config" / "recipes" / "released_code.yaml"
    edit(released, "a photo with {} quality", "a picture with {} quality")
    assert checkout.planned(*levels) == {}, "main_text states its own template"
    edit(checkout.folder / "config" / "recipes" / "main_text.yaml", "a photo of {} quality", "an image of {} quality")
    assert checkout.planned(*levels) == {"encode_levels": 1}


#: What follows new predictions, of the small suite.
TRAINED = {"train": 8, "attend": 2, "probe": 1, "curves": 1, **DOWNSTREAM}
EXTRACTED = {"extract": 1, "extract_other": 1, "extract_views": 2}
TEXTS = {"encode_levels": 2, "encode_fine_levels": 1, "encode_zero_shot": 1}
READ = {"samples": 1, "splits": 1, "measure": 1, "baselines": 1, **EXTRACTED, **TRAINED}
REPORTED = {"manifest": 1, "report": 1}

#: By an edited module, at least one of each room, what is run again.
RERUNS = {
    "base/errors.py": {"draw": 1, "efficiency": 1, **TEXTS, **READ},
    "base/words.py": {"baselines": 1, "claims": 1, **REPORTED},
    "data/samples.py": {"draw": 1, **READ},  # labels are checked before images are drawn under their names
    "data/benchmarks/agiqa_3k.py": READ,
    "data/benchmarks/aigciqa2023.py": REPORTED,
    "data/protocols.py": {"splits": 1, "baselines": 1, "efficiency": 1, **TRAINED},
    "encoders/clip.py": {"efficiency": 1, "baselines": 1, **TEXTS, **EXTRACTED, **TRAINED},
    "encoders/adaptation.py": {"efficiency": 1, "claims": 1, **REPORTED},
    "encoders/streaming.py": REPORTED,
    "encoders/statistics.py": {"measure": 1, "baselines": 1, "claims": 1, **REPORTED},
    "model/heads.py": {"efficiency": 1, **TRAINED},
    "model/fusions/gff.py": {"efficiency": 1, **TRAINED, "train": 6},
    "model/fusions/mlp.py": {"efficiency": 1, "claims": 1, **REPORTED},
    "training/losses.py": TRAINED,
    "training/adapted.py": REPORTED,
    "evaluation/per_run.py": DOWNSTREAM,
    "evaluation/paired_tests.py": {"compare": 1, "claims": 1, **REPORTED},
    "claims/rules.py": {"claims": 1, **REPORTED},
    "report/page.py": REPORTED,
    "synthetic/artefacts.py": {"draw": 1, **READ},
    "study/study.py": {"efficiency": 1, "claims": 1, **REPORTED},
    "study/plan.py": REPORTED,
    "analyses/gates.py": {"probe": 1, "claims": 1, **REPORTED},
    "analyses/ridge.py": {"baselines": 1, "curves": 1, "claims": 1, **REPORTED},
    "scoring/scorer.py": REPORTED,
    "provenance/manifest.py": REPORTED,
    "entries/entry.py": {"efficiency": 1, "claims": 1, **REPORTED},
    "entries/board.py": REPORTED,
    "api/notebook.py": REPORTED,
    "cli/training.py": REPORTED,
}


def test_reruns_are_stated_for_every_room():
    rooms = {path.name for path in (REPOSITORY / "mstclipiqa").iterdir() if (path / "__init__.py").exists()}
    assert {module.split("/")[0] for module in RERUNS} == rooms


@pytest.fixture(scope="module")
def planned_after_edits(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    copy = Checkout(tmp_path_factory.mktemp("mended") / "checkout")
    shutil.copytree(finished.folder, copy.folder, symlinks=True)
    return dict(zip(RERUNS, copy.plans((f"mstclipiqa/{module}", SMALL) for module in RERUNS), strict=True))


@pytest.mark.parametrize("module", RERUNS)
def test_edited_module_reruns_what_computes_with_it_and_what_follows(planned_after_edits, module: str):
    """The manifest names the code as a whole, so that it and the page move with every edit."""
    assert planned_after_edits[module] == RERUNS[module]


def test_shards_extract_the_same_bytes(edited: Checkout, finished: Checkout):
    features = Path("results/reduced/agiqa-3k/features")
    shutil.rmtree(edited.folder / features)
    edit(edited.folder / "config/reduced.yaml", "shards: 1", "shards: 2")
    pair, other, views = (
        str(features / f"{name}.safetensors") for name in ("coarse", "retokenised", "retokenised-appendix")
    )
    planned = {"extract_other_shard": 2, "extract_other": 1, "extract_views_shard": 2, "extract_views": 1}
    assert edited.planned(other, views, *SMALL) == planned
    done = edited.snakemake(pair, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\[ *\d+/\d+\] extract_shard ", done.stderr, re.M)) == 2
    expected, there = finished.results(), edited.results()
    written = {Path(name).name: name for name in there if Path(name).parent == features}
    assert written.keys() == {f"{name}.safetensors" for name in ("coarse", "fine", "prompts")}
    assert [name for name in written.values() if there[name] != expected[name]] == []


def test_killed_run_resumes_to_the_same_bytes_on_any_cores(checkout: Checkout, finished: Checkout):
    """Killed twice without warning on one core, while it encodes and while it trains, and resumed: the predictions, and
    all that they rest on, are those of an undisturbed run on two."""
    runs = "results/reduced/agiqa-3k/runs/quality/released_code"
    targets = [f"{runs}/{variant}.parquet" for variant in ("mst-clipiqa", "mst-clipiqa-star")]
    for pattern in ("features/*.parts/*/*", "runs/**/*.parts/*/*"):
        process = subprocess.Popen(
            checkout.command(*targets, *SMALL, cores=1),
            cwd=checkout.folder, env=checkout.killable, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        benchmark = checkout.folder / "results" / "reduced" / "agiqa-3k"
        while not list(benchmark.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not all((checkout.folder / target).exists() for target in targets)
        assert checkout.snakemake("--unlock", *SMALL).returncode == 0
    done = checkout.snakemake(*targets, *SMALL, cores=1)
    assert done.returncode == 0, done.stdout + done.stderr
    resumed, undisturbed = checkout.results(), finished.results()
    assert {*targets, *(name for name in undisturbed if name.endswith("features/coarse.safetensors"))} <= set(resumed)
    assert [name for name in resumed if resumed[name] != undisturbed.get(name)] == []


#: Arguments that no run begins with, and what the line says.
REFUSED = [
    (["--config", "recipies=[released_code]"], ["recipies", "unexpected", "config.schema.yaml"]),
    (["--config", "seeds=zero"], ["seeds", "zero"]),
    (["--config", "recipes=[blog_post]"], ["blog_post.yaml", "no such file"]),
    (["--config", "protocols=[random-walk]"], ["random-walk", "lab-seedN"]),
    (["--config", "variants=[clip]"], ["clip", "mst-clipiqa-star"]),
    (["--config", "benchmarks=[koniq]"], ["koniq", "agiqa-3k"]),
    (["--configfile", "config/agiqa-3k.yaml", "--config", "data_root=nowhere"], ["nowhere", "does not exist"]),
    (["--configfile", "config/agiqa-3k.yaml", "--config", "data_root=config"], ["agiqa-3k", "when_missing"]),
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, list[tuple[int, str]]]:
    """A copy in which each of them was tried, and what was said."""
    checkout = copy_checkout(tmp_path_factory.mktemp("refused") / "checkout")
    return checkout, checkout.calls((None, ["reproduce", "--cores", "2", *arguments]) for arguments, _ in REFUSED)


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[arguments[-1] for arguments, _ in REFUSED])
def test_bad_configuration_is_one_line(refused: tuple[Checkout, list[tuple[int, str]]], number: int):
    checkout, done = refused
    (arguments, expected), (code, said) = REFUSED[number], done[number]
    assert code != 0
    lines = [line for line in said.splitlines() if "Error" in line]
    assert len(lines) == 1, said
    file = "config/agiqa-3k.yaml" if "--configfile" in arguments else "config/config.yaml"
    assert all(word in lines[0] for word in [f"{file}: ", *expected]), lines[0]
    assert "Traceback" not in said
    assert not (checkout.folder / "results").exists()


def test_a_configuration_is_whole_and_says_nothing_twice(checkout: Checkout):
    """As every verb refuses it: nothing fills the gap from the default suite."""
    text = (checkout.folder / "config" / "reduced.yaml").read_text()
    spoilt = {
        "no-key": (text.replace("text_encoder: coarse\n", ""), ["text_encoder", "required"]),
        "no-nested-key": (text.replace("  precision: float32\n", ""), ["extraction", "precision", "required"]),
        "twice": (f"{text}\nsuite: again\n", ["suite", "twice"]),
    }
    for name, (changed, _) in spoilt.items():
        (checkout.folder / "config" / f"{name}.yaml").write_text(changed)
    done = checkout.calls(
        (None, ["--dry-run", "--cores", "1", "--configfile", f"config/{name}.yaml"]) for name in spoilt
    )
    for (name, (_, words)), (code, said) in zip(spoilt.items(), done, strict=True):
        lines = [line for line in said.splitlines() if line.startswith("Error: ")]
        assert code != 0 and len(lines) == 1, said
        assert all(word in lines[0] for word in [f"config/{name}.yaml", *words]), lines[0]


def test_runs_from_any_directory_and_as_a_module_of_another_workflow(checkout: Checkout, tmp_path: Path):
    """Recipes, splits, reference and claims lie beside the Snakefile; data and results where it is run."""
    other = Checkout(tmp_path / "other")
    other.folder.mkdir()
    environment = {"env": {**checkout.environment}, "cwd": other.folder, "capture_output": True, "text": True}
    features = "results/reduced/agiqa-3k/splits.parquet"
    config = ["--configfile", str(checkout.folder / "config" / "reduced.yaml")]
    command = [*other.command(features, *config), "--snakefile", str(checkout.folder / "Snakefile")]
    done = subprocess.run(command, check=False, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (other.folder / features).is_file()
    (other.folder / "Snakefile").write_text(
        f"""
import yaml

module quality:
    snakefile: "{checkout.folder / "Snakefile"}"
    config: yaml.safe_load(open("{checkout.folder / "config" / "reduced.yaml"}"))

use rule * from quality as quality_*

rule mine:
    default_target: True
    input: rules.quality_reproduce.input
"""
    )
    done = subprocess.run(other.command("--dry-run", "--config", "mine=[1]", "seeds=[9]"), check=False, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quality_report" in done.stdout and os.path.relpath(checkout.folder / "config", other.folder) in done.stdout


def test_planning_loads_no_heavy_library(checkout: Checkout):
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['-n', '--quiet'])\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.exit(', '.join({'torch', 'open_clip', 'scipy.ndimage'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_result_is_of_the_layout(finished: Checkout):
    """And every entry of the layout is there, but what is made only when asked for."""
    results = finished.folder / "results" / "reduced"
    patterns = {name: re.sub(r"\\{\w+\\}", "[^/]+", re.escape(entry.path)) for name, entry in LAYOUT.items()}
    found = set()
    for path in results.rglob("*"):
        place = path.relative_to(results).as_posix()
        names = [name for name, pattern in patterns.items() if re.fullmatch(pattern, place)]
        found |= set(names)
        assert path.is_dir() or names or place.split("/")[0] in NOTES, place
    # Heads, packs and dissections are made when asked for; transfer needs two benchmarks.
    dissected = {name for name, entry in LAYOUT.items() if entry in DISSECTION}
    assert set(LAYOUT) - found == {"HEAD", "PACK", "TRANSFER"} | dissected


def test_misspelt_recipe_key_is_one_line(checkout: Checkout):
    edit(checkout.folder / "config" / "recipes" / "released_code.yaml", "  epochs:", "  epoch:")
    done = checkout.snakemake("--dry-run")
    assert done.returncode != 0
    assert "released_code.yaml" in done.stderr and "epoch" in done.stderr and "Traceback" not in done.stderr


def test_broken_image_stops_with_its_name_and_mended_data_go_on(edited: Checkout, tmp_path: Path):
    """A user's own folder: a truncated image is named, and after the mend only what is missing is done."""
    data = edited.folder / "results" / "reduced" / "data"
    configuration = edited.folder / "own.yaml"
    settings = yaml.safe_load((edited.folder / "config" / "reduced.yaml").read_text())
    settings |= {"suite": "own", "draw": None, "data_root": str(data), "benchmarks": ["agiqa-3k"]}
    configuration.write_text(yaml.safe_dump(settings))
    image = next(data.rglob("*.jpg"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    features = "results/own/agiqa-3k/features/coarse.safetensors"
    done = edited.snakemake(features, "--configfile", "own.yaml")
    assert done.returncode != 0
    assert any(image.name in line and "Error: " in line for line in (done.stdout + done.stderr).splitlines())
    assert not (edited.folder / features).exists()
    image.write_bytes(whole)
    done = edited.snakemake(features, "--configfile", "own.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
