"""What a stranger adds to the workflow: a benchmark of another shape, a fusion that is none."""

import shutil
from pathlib import Path

import yaml
from checkout import REPOSITORY, SMALL, Checkout, count_jobs
from layouts import STRANGE

from mstclipiqa.base.documents import read_yaml

READER = """from pathlib import Path

import pandas as pd

from mstclipiqa.data.benchmarks.benchmark import Benchmark, Labels
from mstclipiqa.data.label_files import read_sheet, require_label_file, to_numbers


def read(root: Path) -> Labels:
    path = require_label_file(root, "aligned.json")
    sheet = read_sheet(path, ["key", "prompt", "score"])
    frame = pd.DataFrame({"image": sheet["key"], "prompt": sheet["prompt"], "generator": "DALLE"})
    frame["correspondence"] = to_numbers(path, "score", sheet["score"])
    return Labels(frame, [path], {"correspondence": f"score of {path.name}, 1-5"})


BENCHMARK = Benchmark("aligned", "Aligned", "arXiv:0000.00000", "CC0", {"correspondence": (1, 5)}, read)
"""


def test_a_benchmark_without_quality_is_planned_without_what_trains_on_quality(checkout: Checkout):
    (checkout.folder / "mstclipiqa" / "data" / "benchmarks" / "aligned.py").write_text(READER)
    data = checkout.folder / "data" / "aligned"
    data.mkdir(parents=True)
    STRANGE["aligned"].make(data)
    config = read_yaml(checkout.folder / "config" / "agiqa-3k.yaml") | {"suite": "mine", "benchmarks": ["aligned"]}
    (checkout.folder / "config" / "mine.yaml").write_text(yaml.safe_dump(config))
    planned = checkout.planned("--configfile", "config/mine.yaml")
    assert planned["train"] == 6 and not {"probe", "curves", "transfer"} & set(planned)


def test_a_data_root_in_which_snakemake_sees_names_is_one_line(checkout: Checkout):
    config = read_yaml(checkout.folder / "config" / "reduced.yaml")
    files = [f"config/mine{number}.yaml" for number in range(4)]
    for file, root in zip(files, ["{x}", "data/{benchmark}", "{{", "a\nb"], strict=True):
        (checkout.folder / file).write_text(yaml.safe_dump(config | {"data_root": root}))
    done = checkout.calls((None, ["--dry-run", "--cores", "1", "--configfile", file]) for file in files)
    for file, (code, said) in zip(files, done, strict=True):
        lines = [line for line in said.splitlines() if line.startswith("Error: ")]
        assert code != 0 and len(lines) == 1 and f"{file}: data_root: " in lines[0], said
        assert "Traceback" not in said


def test_no_drawing_takes_the_place_of_files_of_others(checkout: Checkout, tmp_path: Path):
    """Snakemake would empty the folder: it is an output of the rule that draws."""
    labels = tmp_path / "data" / "agiqa-3k" / "data.csv"
    labels.parent.mkdir(parents=True)
    labels.write_text("mine")
    asked = ["--cores", "1", *SMALL, f"data_root={tmp_path / 'data'}"]
    calls = [
        ["--delete-all-output", *asked],
        ["--forceall", "--until", "draw", *asked],
        ["--dry-run", *asked, "draw=null"],
    ]
    *refused, read = checkout.calls((None, arguments) for arguments in calls)
    for code, said in refused:
        lines = [line for line in said.splitlines() if line.startswith("Error: ")]
        assert code != 0 and len(lines) == 1 and f"{labels.parent} holds files that were not drawn here" in lines[0]
    assert labels.read_text() == "mine"
    assert read[0] == 0 and "draw" not in count_jobs(read[1])


def test_a_fusion_that_cannot_be_read_is_one_line(checkout: Checkout):
    fusion: Path = checkout.folder / "mstclipiqa" / "model" / "fusions" / "mine.py"
    fusion.write_text("class Fusion:\n    pass\n")
    done = checkout.snakemake("--dry-run")
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error: ")]
    assert done.returncode != 0 and len(lines) == 1 and 'mine.py: a fusion needs TITLE = "..."' in lines[0]
    assert "Traceback" not in done.stdout + done.stderr


def test_an_entry_is_one_job_and_an_edited_score_runs_it_again(checkout: Checkout):
    entry = checkout.folder / "mine"
    entry.mkdir()
    for name in ("card.yaml", "scores.csv"):
        shutil.copy(REPOSITORY / "entries" / "agiqa-3k" / "quality" / "clipscore" / name, entry)
    pack = ("--configfile", "config/agiqa-3k-pack.yaml")
    run = (*pack, "--config", "entries=[mine]")
    planned, alone = checkout.plans((None, arguments) for arguments in (run, pack))
    assert planned == alone | {"admit": 1}
    path = "results/agiqa-3k-pack/agiqa-3k/runs/quality/entered/clipscore.parquet"
    done = checkout.snakemake(path, *run)
    assert done.returncode == 0, done.stderr
    assert "admit" not in checkout.planned(path, *run)
    scores = entry / "scores.csv"
    lines = scores.read_text().splitlines()
    scores.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    assert checkout.planned(path, *run)["admit"] == 1
