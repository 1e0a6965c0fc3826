"""A study small enough for a test, run for real by the verbs: drawn images, embedded encoders, two quick recipes."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mstclipiqa.analyses.probe_images import probe_scenes
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.cli.main import main

REPOSITORY = Path(__file__).parents[1]
#: By recipe, what it states beside a short training. The second is not probed, which takes longest.
RECIPES = {"slow": {"learning_rate": 2e-4}, "fast": {"learning_rate": 2e-3, "fine_stream": "retokenised"}}
ENCODERS = {"coarse": "mst-small-32", "fine": "mst-small-16", "retokenised": "mst-small-32@16"}
VARIANTS = ["mst-clipiqa", "mst-clipiqa-star"]
PROTOCOLS = ["lab-seed1", "grouped1"]
SUITE = "small"


@dataclass(frozen=True)
class SmallStudy:
    """Where a small study lies; `copy` gives one to spoil."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def results(self) -> Path:
        return self.folder / "results" / SUITE

    @property
    def reports(self) -> Path:
        return self.folder / "reports" / SUITE

    @property
    def config(self) -> Path:
        return self.folder / "config"

    def runs(self, recipe: str = "slow", variant: str = "mst-clipiqa", target: str = "quality") -> Path:
        return self.results / "agiqa-3k" / "runs" / target / recipe / f"{variant}.parquet"

    def copy(self, folder: Path) -> "SmallStudy":
        shutil.copytree(self.folder, folder)
        return SmallStudy(folder)


def run(*arguments: object) -> str:
    """What a verb that is to succeed says."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def build(folder: Path) -> SmallStudy:
    """Run the whole chain below `folder` up to the manifest, as the workflow does."""
    study = SmallStudy(folder)
    data, results = study.data / "agiqa-3k", study.results
    benchmark = results / "agiqa-3k"
    samples, splits, features = benchmark / "samples.parquet", benchmark / "splits.parquet", benchmark / "features"
    config = _configure(study)
    run("draw", "agiqa-3k", "--root", data, "--scale", 0.1)
    run("samples", "agiqa-3k", "--root", data, "--out", samples)
    run("split", "--samples", samples, *(w for name in PROTOCOLS for w in ("--protocol", name)), "--out", splits)
    encoders = {role: ("--model", model, "--weights", "embedded") for role, model in ENCODERS.items()}
    stores = {name: features / f"{name}.safetensors" for name in (*ENCODERS, "prompts", "statistics")}
    pair = [word for role, model in ENCODERS.items() for word in ("--encoder", model, "embedded", stores[role])]
    run("extract", *pair, "--samples", samples, "--root", data)
    run("encode-texts", *encoders["coarse"], "--samples", samples, "--out", stores["prompts"])
    run("measure", "--samples", samples, "--root", data, "--out", stores["statistics"])
    zero_shot = results / "levels" / "zero_shot.safetensors"
    run("encode-texts", *encoders["coarse"], "--zero-shot", "--out", zero_shot)
    common = ("--samples", samples, "--splits", splits)
    of_stores = ("--coarse", stores["coarse"], "--prompts", stores["prompts"])
    run(
        "baselines", *common, *of_stores, "--fine", stores["fine"], "--statistics", stores["statistics"],
        "--texts", zero_shot, "--paired", stores["coarse"], "--out", benchmark / "baselines.parquet",
    )  # fmt: skip
    template = read_yaml(study.config / "recipes" / "released_code.yaml")["values"]["template"]["value"]
    runs = []
    for recipe, stated in RECIPES.items():
        levels, path = results / "levels" / f"{recipe}.safetensors", study.config / "recipes" / f"{recipe}.yaml"
        run("encode-texts", *encoders["coarse"], "--template", template, "--out", levels)
        fine = ("--fine", stores[stated.get("fine_stream", "fine")])
        of_recipe = (*common, *of_stores, *fine, "--levels", levels, "--recipe", path, "--seed", 0)
        for variant in VARIANTS:
            for target in ("quality", "correspondence"):
                runs.append(study.runs(recipe, variant, target))
                run("train", *of_recipe, "--variant", variant, "--target", target, "--out", runs[-1])
    with pytest.MonkeyPatch.context() as patch:
        few = probe_scenes(per_fold=8, spoiled=3)
        patch.setattr("mstclipiqa.analyses.probe.probe_scenes", lambda: few)
        models = [
            word
            for role in ("coarse", "fine")
            for word in (f"--{role}-model", ENCODERS[role], f"--{role}-weights", "embedded")
        ]
        levels, path = results / "levels" / "slow.safetensors", study.config / "recipes" / "slow.yaml"
        of_recipe = (*common, *of_stores, "--fine", stores["fine"], "--levels", levels, "--recipe", path, "--seed", 0)
        run("probe", *of_recipe, *models, "--out", results / "probe" / "slow")
        run("dissect", *of_recipe, "--out", benchmark / "dissection" / "slow")
    for target in ("quality", "correspondence"):
        attended = benchmark / "attention" / target / "slow.parquet"
        words = ("--results", results, "--recipe", path, "--target", target)
        run("attend", "agiqa-3k", *words, "--seed", 0, "--out", attended)
    cases = []
    for recipe, stated in RECIPES.items():
        fine = stores[stated.get("fine_stream", "fine")]
        path, levels = study.config / "recipes" / f"{recipe}.yaml", results / "levels" / f"{recipe}.safetensors"
        cases += ["--case", path, stores["coarse"], fine, levels]
    run(
        "curves", *common, "--prompts", stores["prompts"], *cases, "--seed", 0, "--out", results / "curves.parquet",
    )  # fmt: skip
    recipes = ("--recipes", study.config / "recipes")
    run(
        "efficiency", "--config", json.dumps(config), *recipes, "--out", results / "efficiency.parquet",
        "--timings", results / "timings" / "efficiency.parquet",
    )  # fmt: skip
    metrics, printed = results / "metrics.parquet", study.config / "paper_tables.csv"
    run("evaluate", *runs, "--results", results, "--out", metrics)
    run("compare", "--metrics", metrics, "--results", results, "--out", results)
    run(
        "claims", "--results", results, "--claims", study.config / "claims.yaml", "--paper-tables", printed,
        "--prior-results", study.config / "prior_results.csv", *recipes, "--out", results / "claims.json",
    )  # fmt: skip
    run("manifest", "--config", json.dumps(config), *recipes, "--results", results, "--out", results / "manifest.json")
    return study


def _configure(study: SmallStudy) -> dict:
    """Write the study's config/, and give its configuration."""
    source, recipes = REPOSITORY / "config", study.config / "recipes"
    recipes.mkdir(parents=True)
    for name in ("claims.yaml", "paper_tables.csv", "prior_results.csv", "recipes/released_code.yaml"):
        shutil.copy(source / name, study.config / name)
    for name, values in RECIPES.items():
        values = {"epochs": 1, "gate_hidden": 8, **values}
        stated = {key: {"value": value, "place": "a test"} for key, value in values.items()}
        document = {"title": name.title(), "source": "a test", "values": stated}
        (recipes / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return read_yaml(source / "agiqa-3k.yaml") | {
        "suite": SUITE,
        "seeds": [0],
        "data_root": str(study.data),
        "recipes": list(RECIPES),
        "variants": VARIANTS,
        "also": [],
        "protocols": PROTOCOLS,
        "dissect": ["slow"],
    }
