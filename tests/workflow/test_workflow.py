"""The workflow itself, on the real Snakefile."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
import yaml
from checkout import SMALL, Checkout, edit, read_manifest

DOWNSTREAM = {"evaluate": 1, "compare": 1, "claims": 1, "manifest": 1, "report": 1}


def test_lint_is_clean(checkout: Checkout):
    done = checkout.snakemake("--lint")
    assert done.returncode == 0, done.stderr
    assert "good condition" in (done.stdout + done.stderr)


def test_bare_dry_run_plans_the_default_suite(checkout: Checkout):
    jobs = checkout.planned()
    # 10 benchmark x target pairs with 2 variants; on AGIQA-3K's quality 3 more recipes of both and 8 more variants,
    # and on both of its targets 2 more
    assert jobs["train"] == 10 * 2 + 3 * 2 + 8 + 2 * 2
    assert jobs["draw"] == jobs["samples"] == jobs["splits"] == 5
    # one job encodes with coarse and fine; the appendix's one encoder, retokenised, and its views are AGIQA-3K's alone
    assert (jobs["extract"], jobs["extract_other"], jobs["extract_views_agiqa-3k_appendix"]) == (5, 1, 1)
    assert jobs["probe"] == jobs["curves"] == jobs["transfer"] == 1
    assert jobs.items() >= DOWNSTREAM.items()


def test_paper_configuration_plans_every_present_benchmark(checkout: Checkout):
    (checkout.folder / "data" / "agiqa-3k").mkdir(parents=True)
    (checkout.folder / "data" / "aigciqa2023").mkdir()
    jobs = checkout.planned("--configfile", "config/paper.yaml")
    # targets x 4 recipes: 2 variants, the 2 of Table VII, and 9 of the other tables but for correspondence
    assert jobs["train"] == 4 * ((2 + 3) * 4 + (1 + 2) * 9)
    assert "draw" not in jobs


def test_real_agiqa_3k_is_planned(checkout: Checkout, shared_data: Path):
    data_root = ("--config", f"data_root={shared_data}")
    # two targets, three recipes, two models
    assert checkout.planned("--configfile", "config/agiqa-3k.yaml", *data_root)["train"] == 2 * 3 * 2
    # two recipes on both targets, two on quality (one of them without the prompt), the ablations
    study = checkout.planned("--configfile", "config/agiqa-3k-study.yaml", *data_root)
    assert study["train"] == 2 * 2 * 2 + (1 + 2) + (8 + 2 * 2)


def test_heads_are_planned_only_when_asked_for(checkout: Checkout):
    # two targets of AGIQA-3K, two models
    assert checkout.planned("heads", *SMALL).items() >= {"train_head": 4}.items()
    assert "train_head" not in checkout.planned(*SMALL)


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


def test_second_run_has_nothing_to_do(finished: Checkout):
    assert finished.planned("reproduce", *SMALL) == {}


def test_changed_recipe_value_reruns_what_depends_on_it(edited: Checkout):
    recipes = edited.folder / "config" / "recipes"
    edit(recipes / "main_text.yaml", "weight_decay: {value: 1.0e-3", "weight_decay: {value: 1.0e-2")
    counted = {"claims": 1, "manifest": 1, "report": 1}
    assert edited.planned(*SMALL) == counted, "the small suite does not run main_text, but counts its parameters"
    edit(recipes / "released_code.yaml", "weight_decay: {value: 1.0e-3", "weight_decay: {value: 1.0e-2")
    assert edited.planned(*SMALL) == {"train": 4, "probe": 1, "curves": 1, "efficiency": 1, **DOWNSTREAM}


def test_released_value_reruns_another_recipe_only_where_that_is_silent(checkout: Checkout):
    """Planned on touched outputs: no training is needed to ask what would be rerun."""
    run = ("--configfile", "config/reduced.yaml", "--config", "benchmarks=[agiqa-3k]", "recipes=[main_text]")
    assert checkout.snakemake("--until", "encode_levels", *run).returncode == 0
    levels = ("results/reduced/levels/main_text.safetensors", *run)
    released = checkout.folder / "config" / "recipes" / "released_code.yaml"
    edit(released, "a photo with {} quality", "a picture with {} quality")
    assert checkout.planned(*levels) == {}, "main_text states its own template"
    edit(checkout.folder / "config" / "recipes" / "main_text.yaml", "a photo of {} quality", "an image of {} quality")
    assert checkout.planned(*levels) == {"encode_levels": 1}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("report/page.py", {"report": 1}),
        ("evaluation.py", DOWNSTREAM),
        ("training.py", {"train": 8, "probe": 1, "curves": 1, "efficiency": 1, **DOWNSTREAM}),
        ("fusions/gff.py", {"train": 6, "probe": 1, "curves": 1, "efficiency": 1, **DOWNSTREAM}),
        ("fusions/mlp.py", {"claims": 1, "efficiency": 1, "manifest": 1, "report": 1}),
        ("probe.py", {"probe": 1, "manifest": 1, "report": 1}),
        ("claims.py", {"claims": 1, "manifest": 1, "report": 1}),
        ("benchmarks/aigciqa2023.py", {"manifest": 1, "report": 1}),
    ],
)
def test_edited_module_reruns_its_step_and_what_follows(edited: Checkout, module: str, expected: dict[str, int]):
    with (edited.folder / "mstclipiqa" / module).open("a") as stream:
        stream.write("\n# edited\n")
    jobs = edited.planned(*SMALL)
    assert {rule: count for rule, count in jobs.items() if rule != "manifest"} == {
        rule: count for rule, count in expected.items() if rule != "manifest"
    }


def test_shards_extract_the_same_bytes(edited: Checkout, finished: Checkout):
    features = Path("results/reduced/agiqa-3k/features")
    shutil.rmtree(edited.folder / features)
    edit(edited.folder / "config/reduced.yaml", "shards: 1", "shards: 2")
    pair, other, views = (
        str(features / f"{name}.safetensors") for name in ("coarse", "retokenised", "coarse-appendix")
    )
    assert edited.planned(other, *SMALL) == {"extract_other_shard": 2, "extract_other": 1}
    done = edited.snakemake(pair, views, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    for rule in ("extract_shard", "extract_views_agiqa-3k_appendix_[12]-of-2"):
        assert len(re.findall(rf"rule {rule}:", done.stdout + done.stderr)) == 2
    expected, there = finished.results(), edited.results()
    written = {Path(name).name: name for name in there if Path(name).parent == features}
    assert written.keys() == {
        f"{name}.safetensors" for name in ("coarse", "fine", "prompts", "coarse-appendix", "retokenised-appendix")
    }
    assert [name for name in written.values() if there[name] != expected[name]] == []


def test_killed_run_resumes_to_the_same_bytes_on_any_cores(checkout: Checkout, finished: Checkout):
    """Killed twice without warning on one core, resumed: the same as an undisturbed run on two."""
    for pattern in ("features/*.parts/*/*", "runs/**/*.parts/*/*"):
        process = subprocess.Popen(
            checkout.command("reproduce", *SMALL, cores=1),
            cwd=checkout.folder, env=checkout.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        benchmark = checkout.folder / "results" / "reduced" / "agiqa-3k"
        while not list(benchmark.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (checkout.folder / "reports" / "reduced" / "index.html").exists()
        assert checkout.snakemake("--unlock", *SMALL).returncode == 0
    done = checkout.snakemake("reproduce", *SMALL, cores=1)
    assert done.returncode == 0, done.stdout + done.stderr
    resumed, undisturbed = checkout.results(), finished.results()
    assert sorted(resumed) == sorted(undisturbed)
    different = [name for name in undisturbed if resumed[name] != undisturbed[name]]
    assert different == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "recipies=[released_code]"], ["recipies", "unexpected", "config.schema.yaml"]),
        (["--config", "seeds=zero"], ["seeds", "zero"]),
        (["--config", "recipes=[blog_post]"], ["blog_post.yaml", "no such file"]),
        (["--config", "protocols=[random-walk]"], ["random-walk", "lab-seedN"]),
        (["--config", "variants=[clip]"], ["clip", "mst-clipiqa-star"]),
        (["--config", "benchmarks=[koniq]"], ["koniq", "agiqa-3k"]),
        (["--configfile", "config/agiqa-3k.yaml", "--config", "data_root=nowhere"], ["nowhere", "does not exist"]),
        (["--configfile", "config/agiqa-3k.yaml", "--config", "data_root=config"], ["agiqa-3k", "when_missing"]),
    ],
)
def test_bad_configuration_is_one_line(checkout: Checkout, arguments: list[str], expected: list[str]):
    done = checkout.snakemake("reproduce", *arguments)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert all(word in lines[0] for word in ["config/config.yaml: ", *expected]), lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not (checkout.folder / "results").exists()


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
