"""The command line: the whole chain by hand, and what a mistake looks like."""

import json
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from mstclipiqa import __version__
from mstclipiqa.analyses.probe_images import probe_scenes
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.cli.main import SECTIONS, main
from mstclipiqa.encoders.stores import load_features, load_texts
from mstclipiqa.evaluation.metrics import METRICS

REPOSITORY = Path(__file__).parents[2]
VERBS = ["draw", "samples", "split", "extract", "encode-texts", "measure", "baselines", "train", "probe", "evaluate"]
VERBS += ["curves", "transfer", "compare", "claims", "manifest", "report", "pretrain", "plan", "train-head", "score"]
VERBS += ["efficiency", "check", "bless", "verify", "bundle", "acquire", "doctor", "pack", "unpack", "diff"]
VERBS += ["train-adapted", "dissect", "encode-images", "import-split", "enter", "enter-models", "admit", "board"]
VERBS += ["attend", "run-metric"]
COARSE = ("--model", "mst-small-32", "--weights", "random:32")
FINE = ("--model", "mst-small-16", "--weights", "random:16")
EXTRACT = ("extract", "--encoder", "mst-small-32", "random:32", "{tmp}/store")
VARIANTS = ["mst-clipiqa", "mst-clipiqa-star"]
TARGETS = ["quality", "correspondence"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(*arguments: object) -> Result:
    """Run a verb that is to succeed."""
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done


def assert_one_line(done: Result, *words: object) -> None:
    """One `Error:` line that holds `words`, exit status 1, and nothing that escaped as an exception."""
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == lines[-1:], done.stderr
    assert "Traceback" not in done.output
    assert [word for word in map(str, words) if word not in lines[-1]] == [], lines[-1]


def python(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@dataclass
class Chain:
    """What every verb wrote, and what it said, for one small drawn benchmark laid out as the workflow does."""

    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data" / "agiqa-3k"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def benchmark(self) -> Path:
        return self.results / "agiqa-3k"

    @property
    def recipe(self) -> Path:
        return self.folder / "recipes" / "tiny.yaml"

    def predictions(self, variant: str, target: str = "quality") -> Path:
        return self.benchmark / "runs" / target / "tiny" / f"{variant}.parquet"

    def training(self, **changes: object) -> list[object]:
        """The arguments of `train`, with `changes`."""
        options = {
            "samples": self.benchmark / "samples.parquet",
            "splits": self.benchmark / "splits.parquet",
            "coarse": self.benchmark / "features" / "coarse.safetensors",
            "fine": self.benchmark / "features" / "fine.safetensors",
            "prompts": self.benchmark / "features" / "prompts.safetensors",
            "levels": self.results / "levels" / "tiny.safetensors",
            "recipe": self.recipe,
            "variant": "mst-clipiqa",
            "target": "quality",
            "seed": 0,
            "out": self.folder / "unwanted.parquet",
            **changes,
        }
        return ["train", *(word for name, value in options.items() for word in (f"--{name}", value))]

    def probing(self, **changes: object) -> list[object]:
        """The arguments of `probe`, with `changes`."""
        _, *words = self.training(out=self.results / "probe" / "tiny")
        options = dict(zip(words[::2], words[1::2], strict=True))
        del options["--variant"], options["--target"]
        for role, (_, model, _, weights) in (("coarse", COARSE), ("fine", FINE)):
            options |= {f"--{role}-model": model, f"--{role}-weights": weights}
        options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        return ["probe", *(word for option in options.items() for word in option)]

    def configuration(self, **changes: object) -> dict:
        config = read_yaml(REPOSITORY / "config" / "agiqa-3k.yaml")
        return config | {
            "data_root": str(self.data.parent),
            "recipes": ["tiny"],
            "also": [],
            "protocols": ["lab-seed1", "grouped2"],
            **changes,
        }


def write_recipe(path: Path, **changes: object) -> Path:
    """A recipe of one epoch at a learning rate that moves something, beside the released code's."""
    path.parent.mkdir(exist_ok=True)
    released = REPOSITORY / "config" / "recipes" / "released_code.yaml"
    (path.parent / released.name).write_text(released.read_text())
    values = {"epochs": 1, "learning_rate": 2e-4, "gate_hidden": 8, **changes}
    stated = {key: {"value": value, "place": "a test"} for key, value in values.items()}
    path.write_text(yaml.safe_dump({"title": "Tiny", "source": "a test", "values": stated}))
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    chain = Chain(tmp_path_factory.mktemp("chain"))
    samples = chain.benchmark / "samples.parquet"
    features = chain.benchmark / "features"
    template = read_yaml(write_recipe(chain.recipe).with_name("released_code.yaml"))["values"]["template"]["value"]

    def step(verb: str, *arguments: object) -> None:
        chain.said[verb] = chain.said.get(verb, "") + run(verb, *arguments).output

    step("draw", "agiqa-3k", "--root", chain.data, "--scale", 0.1)
    step("samples", "agiqa-3k", "--root", chain.data, "--out", samples)
    step(
        "split", "--samples", samples, "--protocol", "lab-seed1", "--protocol", "grouped2",
        "--out", chain.benchmark / "splits.parquet",
    )  # fmt: skip
    for role, encoder in (("coarse", COARSE), ("fine", FINE)):
        step(
            "extract", "--encoder", *encoder[1::2], features / f"{role}.safetensors", "--samples", samples,
            "--root", chain.data, "--threads", 2,
        )  # fmt: skip
    step("encode-texts", *COARSE, "--samples", samples, "--out", features / "prompts.safetensors")
    levels = chain.results / "levels" / "tiny.safetensors"
    step("encode-texts", *COARSE, "--template", template, "--out", levels)
    zero_shot = chain.results / "levels" / "zero_shot.safetensors"
    step("encode-texts", *COARSE, "--zero-shot", "--out", zero_shot)
    statistics = features / "statistics.safetensors"
    step("measure", "--samples", samples, "--root", chain.data, "--out", statistics)
    step(
        "baselines", "--samples", samples, "--splits", chain.benchmark / "splits.parquet",
        "--coarse", features / "coarse.safetensors", "--fine", features / "fine.safetensors",
        "--statistics", statistics, "--prompts", features / "prompts.safetensors", "--texts", zero_shot,
        "--paired", features / "coarse.safetensors", "--out", chain.benchmark / "baselines.parquet",
    )  # fmt: skip
    splits, prompts = chain.benchmark / "splits.parquet", features / "prompts.safetensors"
    pair = [features / "coarse.safetensors", features / "fine.safetensors"]
    step(
        "curves", "--samples", samples, "--splits", splits, "--prompts", prompts,
        "--case", chain.recipe, *pair, levels, "--out", chain.results / "curves.parquet",
    )  # fmt: skip
    step(
        "transfer", "--source", samples, splits, *pair, prompts, "--levels", levels, "--recipe", chain.recipe,
        "--out", chain.results / "transfer.parquet",
    )  # fmt: skip
    runs = [chain.predictions(variant, target) for variant in VARIANTS for target in TARGETS]
    for out in runs:
        step(*chain.training(variant=out.stem, target=out.parts[-3], out=out))
    with pytest.MonkeyPatch.context() as patch:
        few = probe_scenes(per_fold=8, spoiled=3)
        patch.setattr("mstclipiqa.analyses.probe.probe_scenes", lambda: few)
        step(*chain.probing())
    metrics = chain.results / "metrics.parquet"
    step("evaluate", *runs, "--results", chain.results, "--out", metrics)
    step("compare", "--metrics", metrics, "--results", chain.results, "--out", chain.results)
    return chain


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_every_verb(shell: str):
    def completed(instruction: str, **variables: str) -> str:
        environment = {"_MSTCLIPIQA_COMPLETE": f"{shell}_{instruction}", **variables}
        done = CliRunner(env=environment).invoke(main, prog_name="mstclipiqa")
        assert done.exit_code == 0, done.output
        return done.output

    assert "_MSTCLIPIQA_COMPLETE" in completed("source")
    verbs = completed("complete", COMP_WORDS="mstclipiqa ", COMP_CWORD="" if shell == "fish" else "1")
    assert set(VERBS) <= set(re.split(r"[\s,]", verbs))


def test_help_lists_every_verb_and_imports_no_torch():
    code = (
        "import sys\n"
        "from mstclipiqa.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    sections = re.findall(r"^([A-Z][a-z ]+):\n((?:  .+\n)+)", done.stdout, re.M)
    assert [title for title, _ in sections] == ["Options", *SECTIONS]
    listed = [verb for _, lines in sections[1:] for verb in re.findall(r"^  ([\w-]+) ", lines, re.M)]
    assert sorted(listed) == sorted(VERBS)
    assert not any("..." in lines for _, lines in sections)  # a summary is wrapped, never cut


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts the threads that Linux lists")
def test_a_verb_leaves_numpy_one_thread_whatever_the_rule_was_given():
    """Evaluation with two workers took fourteen times the CPU time: each of them had two threads, which wait busily."""
    code = (
        "import os, sys, click\n"
        "from mstclipiqa.cli.main import main\n"
        "def work():\n"
        "    assert 'numpy' not in sys.modules\n"
        "    import numpy\n"
        "    numpy.ones((500, 500)) @ numpy.ones((500, 500))\n"
        "    sys.exit(len(os.listdir('/proc/self/task')) - 1)\n"
        "main.add_command(click.Command('work', callback=work))\n"
        "main(['work'])"
    )
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str):
    done = run(verb, "--help")
    assert done.output.startswith(f"Usage: main {verb} ")
    assert main.commands[verb].help


def test_version_is_the_packages():
    assert __version__ in run("--version").output


def test_module_runs_as_the_command_and_mistakes_go_to_stderr(tmp_path: Path):
    done = python("-m", "mstclipiqa", "samples", "koniq", "--root", ".", "--out", str(tmp_path / "samples.parquet"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert "koniq" in done.stderr and "agiqa-3k" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_samples_say_what_was_read(chain: Chain):
    frame, card = read_table(chain.benchmark / "samples.parquet")
    assert card["synthetic"] is True
    assert chain.said["samples"].startswith(f"AGIQA-3K: {len(frame)} images, {frame['prompt'].nunique()} prompts, ")
    assert all((chain.data / path).is_file() for path in frame["path"])


def test_split_says_how_much_each_split_leaks(chain: Chain):
    lines = [line for line in chain.said["split"].splitlines() if "split" in line]
    assert len(lines) == 3
    assert all("; 0 test images have their prompt in training" in line for line in lines if "grouped2" in line)
    splits, metadata = read_table(chain.benchmark / "splits.parquet")
    assert set(metadata["protocols"]) == set(splits["protocol"]) == {"lab-seed1", "grouped2"}


def test_stores_are_of_all_images_and_texts(chain: Chain):
    frame, _ = read_table(chain.benchmark / "samples.parquet")
    coarse, fine = (load_features(chain.benchmark / "features" / f"{role}.safetensors") for role in ("coarse", "fine"))
    assert coarse.images == fine.images == frame["image"].tolist()
    assert (coarse.metadata["encoder"]["model"], fine.metadata["encoder"]["model"]) == ("mst-small-32", "mst-small-16")
    assert set(load_texts(chain.benchmark / "features" / "prompts.safetensors").index) == set(frame["prompt"])
    levels = load_texts(chain.results / "levels" / "tiny.safetensors")
    assert list(levels.index) == [f"a photo with {x} quality" for x in ("bad", "poor", "fair", "good", "perfect")]


def test_metrics_have_a_row_per_run_and_selection(chain: Chain):
    metrics, _ = read_table(chain.results / "metrics.parquet")
    keys = ["benchmark", "target", "recipe", "variant", "protocol", "split", "seed", "selection"]
    assert list(metrics.columns) == [*keys, "epoch", "n", *METRICS, "file"]
    assert list(METRICS) == ["srcc", "plcc", "plcc_fitted", "krcc", "rmse"]
    assert not metrics.duplicated(keys).any()
    # lab-seed1 has no validation images to choose an epoch on, the two grouped splits do
    assert len(metrics) == len(VARIANTS) * len(TARGETS) * (2 + 2 * 3)
    assert set(metrics["variant"]) == set(VARIANTS) and set(metrics["target"]) == set(TARGETS)
    assert metrics[list(METRICS)].notna().all(axis=None)
    for file, rows in metrics.groupby("file"):
        assert set(rows["variant"]) == {Path(file).stem} and set(rows["target"]) == {Path(file).parts[-3]}
        assert (chain.results / file).is_file()
    splits, _ = read_table(chain.benchmark / "splits.parquet")
    tested = splits[splits["role"] == "test"].groupby(["protocol", "split"]).size()
    for row in metrics.itertuples():
        assert row.n == tested[row.protocol, row.split]
        assert row.epoch == 1


def test_chain_leaves_no_parts_or_temporary_files(chain: Chain):
    names = [path.name for path in chain.folder.rglob("*")]
    assert [name for name in names if ".parts" in name or name.endswith(".tmp")] == []


def test_steps_give_the_same_bytes_again(chain: Chain, tmp_path: Path):
    run("samples", "agiqa-3k", "--root", chain.data, "--out", tmp_path / "samples.parquet")
    run(*chain.training(variant="mst-clipiqa-star", out=tmp_path / "runs.parquet"))
    assert sha256(tmp_path / "samples.parquet") == sha256(chain.benchmark / "samples.parquet")
    assert sha256(tmp_path / "runs.parquet") == sha256(chain.predictions("mst-clipiqa-star"))


def test_controls_are_of_the_chains_benchmark_and_recipe(chain: Chain):
    assert "AGIQA-3K quality, grouped2, 2 splits, prompt mean: left out" in chain.said["baselines"]
    baselines, metadata = read_table(chain.benchmark / "baselines.parquet")
    assert {"ridge on f_c", "CLIPScore", "generator mean"} < set(baselines["source"])
    assert {entry["source"] for entry in metadata["left_out"]} >= {"prompt mean"}
    [said] = [
        line.partition("ridge on f_c: ")[2]
        for line in chain.said["baselines"].splitlines()
        if "quality, grouped2, 2 splits, ridge on f_c: " in line
    ]
    rows = baselines.query("source == 'ridge on f_c' and target == 'quality' and protocol == 'grouped2'")
    assert said == ", ".join(
        f"{name.upper()} {statistics.mean(rows[name]):.4f} ± {statistics.stdev(rows[name]):.4f}"
        for name in ("srcc", "plcc")
    )
    curves, metadata = read_table(chain.results / "curves.parquet")
    assert set(curves["recipe"]) == {"tiny"} and metadata["protocol"] == "grouped2"
    transfer, _ = read_table(chain.results / "transfer.parquet")
    assert set(transfer["train_benchmark"]) == set(transfer["test_benchmark"]) == {"agiqa-3k"}


def test_probe_names_its_benchmark_and_encoders(chain: Chain):
    for name in ("readout", "gates"):
        table, metadata = read_table(chain.results / "probe" / "tiny" / f"{name}.parquet")
        assert set(table["recipe"]) == {"tiny"}
        assert (metadata["benchmark"], metadata["synthetic"], metadata["target"]) == ("agiqa-3k", True, "quality")
        assert [metadata["encoders"][role]["model"] for role in ("coarse", "fine")] == [COARSE[1], FINE[1]]


@pytest.mark.parametrize("role", ["coarse", "fine"])
def test_probe_of_other_encoders_than_the_features_is_one_line(chain: Chain, tmp_path: Path, role: str):
    done = invoke(*chain.probing(**{f"{role}_weights": "random:5"}, out=tmp_path / "probe"))
    assert_one_line(done, chain.benchmark / "features" / f"{role}.safetensors", "random weights (seed 5)")
    assert list(tmp_path.iterdir()) == []


def test_manifest_describes_the_chain(chain: Chain, tmp_path: Path):
    run(
        "manifest", "--config", json.dumps(chain.configuration()), "--recipes", chain.recipe.parent,
        "--results", chain.results, "--out", tmp_path / "manifest.json",
    )  # fmt: skip
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["benchmarks"]["agiqa-3k"]["status"] == "present"
    assert manifest["inputs"] == {"agiqa-3k/data.csv": sha256(chain.data / "data.csv")}
    expected = {"probe/tiny/gates.parquet", "levels/zero_shot.safetensors", "curves.parquet"}
    assert expected <= set(manifest["outputs"])
    assert "transfer.parquet" not in manifest["outputs"], "the configuration has one benchmark"
    for name, digest in manifest["outputs"].items():
        assert sha256(chain.results / name) == digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "clip"}, ["clip", "mst-clipiqa-star"]),
        ({"target": "beauty"}, ["agiqa-3k", "beauty", "quality"]),
        ({"target": "authenticity"}, ["agiqa-3k", "authenticity", "quality"]),
    ],
)
def test_unknown_name_in_training_is_one_line(changes: dict, words: list[str], chain: Chain):
    assert_one_line(invoke(*chain.training(**changes)), *words)
    assert not (chain.folder / "unwanted.parquet").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": "splits.parquet"},
        {"splits": "samples.parquet"},
        {"coarse": "features/prompts.safetensors"},
        {"prompts": "features/coarse.safetensors"},
        {"levels": "features/fine.safetensors"},
        {"coarse": "samples.parquet"},
        {"recipe": "samples.parquet"},
    ],
    ids=lambda changes: " is ".join(next(iter(changes.items()))),
)
def test_file_of_another_step_is_one_line(changes: dict, chain: Chain):
    (option, file) = next(iter(changes.items()))
    assert_one_line(invoke(*chain.training(**{option: chain.benchmark / file})), chain.benchmark / file)
    assert not (chain.folder / "unwanted.parquet").exists()


@pytest.mark.parametrize("verb", ["extract", "encode-texts", "split"])
def test_table_of_another_step_is_one_line(verb: str, chain: Chain):
    splits, out = chain.benchmark / "splits.parquet", chain.folder / "unwanted"
    options = {
        "extract": ["--encoder", *COARSE[1::2], out, "--root", chain.data],
        "encode-texts": [*COARSE, "--out", out],
        "split": ["--protocol", "lab-seed1", "--out", out],
    }
    assert_one_line(invoke(verb, *options[verb], "--samples", splits), splits)
    assert not out.exists()


#: How a recipe of our own is spoilt, and words of the line that says so.
RECIPE_MISTAKES = {
    "misspelt value": ("epochs:", "epoch:", ["epoch"]),
    "misspelt key": ("place:", "plaec:", ["place"]),
    "no epoch": ("value: 1\n", "value: 0\n", ["epochs"]),
    "half an epoch": ("value: 1\n", "value: 1.5\n", ["epochs"]),
    "a number that YAML 1.1 reads as text": ("value: 0.0002", "value: 2e-4", ["learning_rate", "2e-4"]),
    "no title": ("title: Tiny\n", "", ["title"]),
    "no source": ("source: a test\n", "", ["source"]),
}


@pytest.mark.parametrize("mistake", RECIPE_MISTAKES)
def test_mistake_in_a_recipe_is_one_line(mistake: str, chain: Chain, tmp_path: Path):
    old, new, words = RECIPE_MISTAKES[mistake]
    recipe = write_recipe(tmp_path / "tiny.yaml")
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))
    assert_one_line(invoke(*chain.training(recipe=recipe)), recipe, *words)
    assert not (chain.folder / "unwanted.parquet").exists()


def test_recipe_without_the_released_one_beside_it_is_one_line(chain: Chain, tmp_path: Path):
    recipe = write_recipe(tmp_path / "tiny.yaml")
    recipe.with_name("released_code.yaml").unlink()
    assert_one_line(invoke(*chain.training(recipe=recipe)), tmp_path / "released_code.yaml")


def test_levels_of_another_template_are_one_line(chain: Chain):
    levels = chain.benchmark / "features" / "prompts.safetensors"
    assert_one_line(invoke(*chain.training(levels=levels)), "a photo with bad quality", "not encoded")


def test_stores_of_other_images_are_one_line(chain: Chain, tmp_path: Path):
    run("draw", "agiqa-3k", "--root", tmp_path / "agiqa-3k", "--scale", 0.1, "--seed", 1)
    run("samples", "agiqa-3k", "--root", tmp_path / "agiqa-3k", "--out", tmp_path / "samples.parquet")
    done = invoke(*chain.training(samples=tmp_path / "samples.parquet"))
    assert_one_line(done, "coarse features are of other images")


def test_splits_of_another_benchmark_are_one_line(chain: Chain, tmp_path: Path):
    run("draw", "agiqa-1k", "--root", tmp_path / "agiqa-1k", "--scale", 0.05)
    run("samples", "agiqa-1k", "--root", tmp_path / "agiqa-1k", "--out", tmp_path / "samples.parquet")
    splits = tmp_path / "splits.parquet"
    run("split", "--samples", tmp_path / "samples.parquet", "--protocol", "lab-seed1", "--out", splits)
    assert_one_line(invoke(*chain.training(splits=splits)), "splits")


def test_seed_named_twice_trains_once(chain: Chain, tmp_path: Path):
    """Twice the same predictions would count every test image double."""
    out = tmp_path / "runs.parquet"
    done = invoke(*chain.training(out=out), "--seed", 0)
    if done.exit_code:
        assert_one_line(done, "seed")
    else:
        assert not read_table(out)[0].duplicated(["protocol", "split", "seed", "selection", "image"]).any()


def test_protocol_named_twice_splits_once(chain: Chain, tmp_path: Path):
    out = tmp_path / "splits.parquet"
    samples = ("--samples", chain.benchmark / "samples.parquet")
    done = invoke("split", *samples, "--protocol", "lab-seed1", "--protocol", "lab-seed1", "--out", out)
    if done.exit_code:
        assert_one_line(done, "lab-seed1")
    else:
        assert not read_table(out)[0].duplicated(["protocol", "split", "image"]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["samples", "koniq", "--root", "."], ["koniq", "agiqa-3k"]),
        (["draw", "koniq", "--root", "nowhere"], ["koniq", "agiqa-3k"]),
        (["extract", "--encoder", "ViT-B-33", "random:0", "{out}", "--root", "."], ["ViT-B-33"]),
        (["extract", "--encoder", "ViT-B-32", "openai", "{out}", "--root", "."], ["ViT-B-32-quickgelu"]),
        (["encode-texts", "--model", "mst-small-32", "--weights", "random:one", "--template", "{}"], ["random:one"]),
        (["split", "--protocol", "random-walk"], ["random-walk", "lab-seedN"]),
        (["split", "--protocol", "grouped0"], ["grouped0"]),
        (["split", "--protocol", f"lab-seed{2**32}"], [f"lab-seed{2**32}"]),
    ],
    ids=" ".join,
)
def test_unknown_name_is_one_line(arguments: list[str], words: list[str], chain: Chain, tmp_path: Path):
    if arguments[0] in ("split", "extract"):
        arguments = [*arguments, "--samples", chain.benchmark / "samples.parquet"]
    out = tmp_path / "out" / "unwanted"
    if arguments[0] not in ("draw", "extract"):
        arguments = [*arguments, "--out", out]
    assert_one_line(invoke(*(str(word).replace("{out}", str(out)) for word in arguments)), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("template", ["", "a photo", "{} and {}", "{quality}", "{0.real}", "a {"])
def test_template_without_one_place_for_the_level_is_one_line(template: str, tmp_path: Path):
    done = invoke("encode-texts", *COARSE, "--template", template, "--out", tmp_path / "levels")
    assert_one_line(done, repr(template))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["draw", "agiqa-3k", "--seed", "-1", "--root", "{tmp}/drawn"],
        ["draw", "agiqa-3k", "--scale", "0", "--root", "{tmp}/drawn"],
        ["draw", "agiqa-3k", "--scale", "0.1", "--root", "{tmp}/file"],
        [*EXTRACT, "--samples", "{samples}", "--root", "{tmp}", "--batch-size", "0"],
        [*EXTRACT, "--samples", "{samples}", "--root", "{tmp}", "--gpu-batch-size", "0"],
        [*EXTRACT, "--samples", "{samples}", "--root", "{tmp}", "--threads", "0"],
        [*EXTRACT, "--samples", "{samples}", "--root", "{tmp}", "--precision", "float16"],
        [*EXTRACT, *EXTRACT[1:], "--samples", "{samples}", "--root", "{tmp}"],
    ],
    ids=" ".join,
)
def test_value_out_of_range_is_refused(arguments: list[str], chain: Chain, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    done = invoke(*(text.format(tmp=tmp_path, samples=chain.benchmark / "samples.parquet") for text in arguments))
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in (1, 2) and done.stderr.splitlines()[-1].startswith("Error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_seed_out_of_range_is_refused(seed: int, chain: Chain):
    done = invoke(*chain.training(seed=seed))
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in (1, 2) and str(seed) in done.stderr.splitlines()[-1]
    assert not (chain.folder / "unwanted.parquet").exists()


def test_prompts_encoded_beside_images_are_those_encoded_alone(chain: Chain, tmp_path: Path):
    texts = ("--text-encoder", *COARSE[1::2], tmp_path / "prompts.safetensors")
    images = ("--samples", chain.benchmark / "samples.parquet", "--root", chain.data)
    run("extract", "--encoder", *COARSE[1::2], tmp_path / "coarse.safetensors", *texts, *images)
    for name in ("prompts", "coarse"):
        alone = chain.benchmark / "features" / f"{name}.safetensors"
        assert (tmp_path / alone.name).read_bytes() == alone.read_bytes()


def test_texts_come_from_one_place(chain: Chain, tmp_path: Path):
    out = ("--out", tmp_path / "texts")
    both = ("--samples", chain.benchmark / "samples.parquet", "--template", "{}")
    for choice in ((), both):
        done = invoke("encode-texts", *COARSE, *choice, *out)
        assert done.exit_code == 2 and "give one of --samples, --template and --zero-shot" in done.stderr


def test_predictions_outside_the_results_folder_are_one_line(chain: Chain, tmp_path: Path):
    runs = chain.predictions("mst-clipiqa")
    done = invoke("evaluate", runs, "--results", tmp_path, "--out", tmp_path / "metrics.parquet")
    assert_one_line(done, runs, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_results_folder_may_be_named_relatively(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(chain.folder)
    relative = chain.predictions("mst-clipiqa").relative_to(chain.folder)
    run("evaluate", relative, "--results", chain.results, "--out", tmp_path / "metrics.parquet")
    metrics, _ = read_table(tmp_path / "metrics.parquet")
    assert set(metrics["file"]) == {"agiqa-3k/runs/quality/tiny/mst-clipiqa.parquet"}


def test_predictions_named_twice_count_once(chain: Chain, tmp_path: Path):
    runs = chain.predictions("mst-clipiqa")
    done = invoke("evaluate", runs, runs, "--results", chain.results, "--out", tmp_path / "metrics.parquet")
    if done.exit_code:
        assert_one_line(done, runs)
    else:
        metrics, _ = read_table(tmp_path / "metrics.parquet")
        assert not metrics.duplicated(["variant", "protocol", "split", "seed", "selection"]).any()


def test_something_else_than_predictions_is_one_line(chain: Chain, tmp_path: Path):
    samples = chain.benchmark / "samples.parquet"
    done = invoke("evaluate", samples, "--results", chain.results, "--out", tmp_path / "metrics.parquet")
    assert_one_line(done, samples, "mstclipiqa train")


@pytest.mark.parametrize("out", ["folder", "file/below"])
def test_output_that_cannot_be_written_is_one_line(out: str, chain: Chain, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    samples = chain.benchmark / "samples.parquet"
    done = invoke("split", "--samples", samples, "--protocol", "lab-seed1", "--out", tmp_path / out)
    assert_one_line(done, tmp_path / out)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("config", ["no JSON", "[1]", "{}", '{"suit": "agiqa-3k"}'])
def test_configuration_that_is_none_is_one_line(config: str, chain: Chain, tmp_path: Path):
    done = invoke(
        "manifest", "--config", config, "--recipes", chain.recipe.parent,
        "--results", chain.results, "--out", tmp_path / "manifest.json",
    )  # fmt: skip
    assert_one_line(done, "config")
    assert list(tmp_path.iterdir()) == []


def test_report_without_a_manifest_is_one_line(tmp_path: Path):
    assert_one_line(invoke("report", "--results", tmp_path, "--out", tmp_path / "reports"), "manifest.json")
    assert list(tmp_path.iterdir()) == []
