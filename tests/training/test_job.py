"""Many runs in one job: each is what it is alone, whatever was killed, changed or trained beside it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import psutil
import pytest
import torch
from click.testing import CliRunner
from small_benchmark import COUNT, DIM, HIGH, LOW, RECIPE, WIDTH, A, B, model_of

from mstclipiqa.base.errors import FailedRunError, InputError, MstclipiqaError
from mstclipiqa.base.files import read_table, sha256
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VALIDATION
from mstclipiqa.cli.main import main
from mstclipiqa.model.build import build_model, count_trainable
from mstclipiqa.training import job as jobs
from mstclipiqa.training.dataset import level_embeddings
from mstclipiqa.training.job import train_job, usable_device
from mstclipiqa.training.run import Trainer, train_run


@pytest.fixture
def job(tmp_path, data, splits, levels):
    """Trains a job into `runs.parquet`, with any argument changed; returns the path."""

    def train(name="runs.parquet", **changes):
        shared = {"data": data, "variant": B, "recipe": replace(RECIPE, epochs=2), "levels": levels}
        arguments = {"splits": splits, "seeds": [0, 1], "metadata": {"benchmark": "toy", "target": "quality"}}
        of_texts = shared.keys() | {"fine_levels"}
        own = {key: changes.pop(key) for key in of_texts & changes.keys()}
        train_job(tmp_path / name, Trainer.of_texts(**shared | own), **arguments | changes)
        return tmp_path / name

    return train


@pytest.fixture
def count_runs(monkeypatch):
    """A list that grows with every run trained from here on; training stops as if killed where it gets `stop_at`."""

    def install(stop_at=None):
        trained = []

        def counted(model, data, roles, recipe, seed):
            if len(trained) == stop_at:
                raise KeyboardInterrupt
            trained.append(seed)
            return train_run(model, data, roles, recipe, seed)

        monkeypatch.setattr("mstclipiqa.training.run.train_run", counted)
        return trained

    return install


def kill_the_second(number):
    """In place of a worker's task."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def of_run(frame, protocol, split, seed):
    chosen = (frame["protocol"] == protocol) & (frame["split"] == split) & (frame["seed"] == seed)
    return frame[chosen].reset_index(drop=True)


def test_a_job_holds_the_test_images_of_every_run(job, splits):
    frame, metadata = read_table(job())
    runs = [(protocol, split, seed) for protocol, split in (("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1))
            for seed in (0, 1)]  # fmt: skip
    assert set(frame[["protocol", "split", "seed"]].itertuples(index=False, name=None)) == set(runs)
    for protocol, split, seed in runs:
        chosen = splits[(splits["protocol"] == protocol) & (splits["split"] == split)]
        expected = chosen.loc[chosen["role"] == TEST, "image"].tolist()
        found = of_run(frame, protocol, split, seed)
        selections = {LAST, BEST_ON_TEST} | ({VALIDATION} if protocol == "grouped2" else set())
        assert set(found["selection"]) == selections
        for _, rows in found.groupby("selection"):
            assert rows["image"].tolist() == expected
    assert (metadata["benchmark"], metadata["target"], metadata["runs"]) == ("toy", "quality", len(runs))
    assert metadata["trainable_parameters"] == count_trainable(model_of(B))


def test_a_run_is_the_same_alone_and_among_others(job, data, splits, levels):
    together, _ = read_table(job())
    regrouped, _ = read_table(job("regrouped", splits=splits.sample(frac=1, random_state=1), seeds=[7, 1, 0]))
    for (protocol, split), group in splits.groupby(["protocol", "split"]):
        for seed in (0, 1):
            expected = of_run(together, protocol, split, seed)
            alone, _ = read_table(job("alone", splits=group, seeds=[seed]))
            pd.testing.assert_frame_equal(alone, expected, check_exact=True)
            pd.testing.assert_frame_equal(of_run(regrouped, protocol, split, seed), expected, check_exact=True)


def test_equal_jobs_write_equal_bytes(job):
    assert sha256(job("one")) == sha256(job("two"))


@pytest.mark.parametrize("stop_at", [0, 1, 4])
def test_a_killed_job_resumes_where_it_was(job, tmp_path, count_runs, stop_at):
    undisturbed = sha256(job("undisturbed.parquet"))
    count_runs(stop_at)
    with pytest.raises(KeyboardInterrupt):
        job()
    assert not (tmp_path / "runs.parquet").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("runs.parquet.parts/*/*")}
    assert len(before) == stop_at
    trained = count_runs()
    assert sha256(job()) == undisturbed
    assert len(trained) == 6 - stop_at


def test_finished_parts_are_not_written_again(job, tmp_path, count_runs):
    for stop_at in (2, 1):
        count_runs(stop_at)
        with pytest.raises(KeyboardInterrupt):
            job()
        parts = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("runs.parquet.parts/*/*")}
        assert len(parts) == (2 if stop_at == 2 else 3)
        if stop_at == 2:
            first = parts
    assert first.items() <= parts.items()


def test_the_parts_are_gone_at_the_end(job, tmp_path):
    job()
    assert [path.name for path in tmp_path.iterdir()] == ["runs.parquet"]


CHANGES = {
    "recipe": lambda job: {"recipe": replace(job["recipe"], learning_rate=0.02)},
    "variant": lambda job: {"variant": A},
    "coarse features": lambda job: {"data": replace(job["data"], f_c=job["data"].f_c + 1e-3)},
    "fine features": lambda job: {"data": replace(job["data"], f_f=job["data"].f_f + 1e-3)},
    "token states": lambda job: {"data": replace(job["data"], tokens=job["data"].tokens + 1e-3)},
    "which prompt": lambda job: {"data": replace(job["data"], starts=job["data"].starts.flip(0))},
    "MOS": lambda job: {"data": replace(job["data"], score=job["data"].score + 1e-3)},
    "levels": lambda job: {"levels": replace(job["levels"], pooled=job["levels"].pooled + 1e-3)},
    "metadata": lambda job: {"metadata": job["metadata"] | {"target": "correspondence"}},
    "roles": lambda job: {
        "splits": job["splits"].assign(role=job["splits"]["role"].replace({TEST: TRAIN, TRAIN: TEST}))
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_parts_of_another_configuration_are_not_used(job, data, splits, levels, count_runs, change):
    arguments = {"data": data, "splits": splits[splits["protocol"] == "lab-seed1"], "levels": levels}
    arguments |= {"recipe": replace(RECIPE, epochs=1), "metadata": {"benchmark": "toy", "target": "quality"}}
    count_runs(1)
    with pytest.raises(KeyboardInterrupt):
        job(**arguments)
    changed = arguments | change(arguments)
    trained = count_runs()
    resumed = job(**changed)
    assert len(trained) == 2
    assert sha256(resumed) == sha256(job("fresh", **changed))


def test_parts_of_other_code_are_not_used(job, count_runs, monkeypatch):
    count_runs(3)
    with pytest.raises(KeyboardInterrupt):
        job()
    monkeypatch.setattr(jobs, "fingerprint", lambda *modules: "edited")
    trained = count_runs()
    job()
    assert len(trained) == 6


@pytest.mark.parametrize("change", ["scale", "names"])
def test_parts_on_another_mos_scale_or_of_other_names_are_not_used(job, data, splits, count_runs, change):
    if change == "scale":
        changed = {"data": replace(data, mos=2 * data.mos, low=2 * LOW, high=2 * HIGH)}
    else:
        changed = {"data": replace(data, images=[f"new-{name}" for name in data.images])}
        changed |= {"splits": splits.assign(image="new-" + splits["image"])}
    count_runs(3)
    with pytest.raises(KeyboardInterrupt):
        job()
    count_runs()
    assert sha256(job(**changed)) == sha256(job("fresh", **changed))


def test_a_failed_run_is_named_and_leaves_no_result(job, tmp_path):
    with pytest.raises(
        FailedRunError, match="train toy quality released_code mst-clipiqa-star, grouped2, split 0, seed 0: "
    ) as error:
        job(recipe=replace(RECIPE, learning_rate=1e38))
    assert "\n" not in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_levels_of_another_template_are_refused(job, tmp_path):
    with pytest.raises(InputError, match="level text 'a sketch of bad quality' is not encoded") as error:
        job(recipe=replace(RECIPE, template="a sketch of {} quality"))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_levels_are_found_by_their_text(job, data, splits, levels):
    by_image = splits[splits["protocol"] == "lab-seed1"]
    frame, _ = read_table(job(variant=A, splits=by_image, seeds=[0]))
    recipe = replace(RECIPE, epochs=2)
    embeddings = torch.from_numpy(levels.pooled[::-1].copy())  # the store has them from perfect to bad
    model = build_model(A, recipe, DIM, WIDTH, embeddings, seed=0)
    expected = train_run(model, data, by_image["role"].to_numpy(dtype=object), recipe, seed=0)
    assert frame["prediction"].equals(expected["prediction"])


def test_levels_of_another_size_are_refused(job, levels):
    with pytest.raises(InputError):
        job(variant=A, levels=replace(levels, pooled=levels.pooled[:, :-1]))


@pytest.mark.parametrize("strangers", [1, COUNT])
def test_splits_of_other_images_are_refused(job, splits, strangers):
    images = {f"{row:03d}.png": f"strange-{row}.png" for row in range(strangers)}
    with pytest.raises(InputError):
        job(splits=splits.assign(image=splits["image"].replace(images)))


def test_an_image_that_stands_twice_in_a_split_is_refused(job, splits):
    again = splits[splits["protocol"] == "lab-seed1"].iloc[[0]]
    with pytest.raises(InputError, match=f"lab-seed1, split 0: image {again['image'].iloc[0]} stands twice"):
        job(splits=pd.concat([splits, again]))


def test_a_repeated_seed_is_one_run(job):
    frame, _ = read_table(job(seeds=[0, 0]))
    assert not frame.duplicated(["protocol", "split", "seed", "selection", "image"]).any()


def test_heads_that_do_not_divide_the_embedding_are_refused(job):
    with pytest.raises(InputError):
        job(recipe=replace(RECIPE, attention_heads=3))


def test_a_recipe_of_views_needs_them(job):
    with pytest.raises(InputError, match="recipe released_code trains on augmented views"):
        job(recipe=replace(RECIPE, views=2))


def test_a_job_with_two_towers_needs_both_texts(job, levels):
    with pytest.raises(InputError, match="mstfe-1 needs the level texts"):
        job(variant="mstfe-1")
    frame, metadata = read_table(job(variant="mstfe-1", fine_levels=levels))
    assert metadata["trainable_parameters"] == 2 * (DIM * DIM + DIM) + 1 and len(frame)


def test_workers_change_nothing(job):
    assert sha256(job("one")) == sha256(job("two", workers=2))


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """Killed without warning, it takes them along, though they have work for hours."""
    code = (
        "from dataclasses import replace; from small_benchmark import *; from mstclipiqa.training.job import train_job;"
        "from mstclipiqa.training.run import Trainer;"
        "from pathlib import Path;"
        "from mstclipiqa.training.dataset import assemble_dataset; from mstclipiqa.data.protocols import split_samples;"
        "samples = make_samples(); data = assemble_dataset(samples, RANGES, 'quality', **make_stores(samples));"
        "splits = split_samples(samples, ['random2'])[0]; recipe = replace(RECIPE, epochs=10**6);"
        "train_job(Path('runs'), Trainer.of_texts(data, B, recipe, make_levels()), splits, [0], "
        "{'benchmark': 'toy', 'target': 'quality'}, workers=2)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*map(str, sys.path)]))}
    started = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    process, deadline = psutil.Process(started.pid), time.monotonic() + 120
    while len(busy := [child for child in process.children() if child.cpu_times().user > 4]) < 2:
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    started.kill()
    started.wait()
    assert psutil.wait_procs(busy, timeout=30)[1] == []


def test_a_worker_that_is_killed_is_one_line(job, monkeypatch):
    """By the system for want of memory, say. What was finished is there for the next call."""
    monkeypatch.setattr(jobs, "_train_number", kill_the_second)
    with pytest.raises(
        MstclipiqaError, match="^train toy .*: a worker process was killed, .* what was finished is kept"
    ):
        job(workers=2)


def test_a_run_that_fails_in_a_worker_is_named(job):
    with pytest.raises(FailedRunError, match=r"^train toy quality released_code mst-clipiqa-star, .*, seed \d: "):
        job(recipe=replace(RECIPE, learning_rate=1e38), workers=2)


def test_a_model_with_dropout_within_is_trained_on_the_cpu_and_its_file_says_so(job):
    variant, elsewhere = "ma-agiqa-gate", torch.device("meta")  # where nothing can be trained
    (found, said), (expected, _) = (
        read_table(job(f"{device.type}.parquet", variant=variant, device=device))
        for device in (elsewhere, torch.device("cpu"))
    )
    assert found.equals(expected) and said["device"] == "cpu"


def test_a_model_that_can_be_stacked_is_trained_where_it_is_asked_for(data, levels):
    device = torch.device("cuda", 1)
    assert usable_device(Trainer(data, B, RECIPE, level_embeddings(levels, RECIPE)), device) == device


def test_a_job_may_be_of_some_protocols(small_study, tmp_path):
    """By the verb, as the workflow runs it: the runs are those of the whole job, and the file says which they are."""
    features, recipe = small_study.results / "agiqa-3k" / "features", small_study.config / "recipes" / "slow.yaml"
    files = [f"--{name}={features / name}.safetensors" for name in ("coarse", "fine", "prompts")]
    files += [f"--{name}={small_study.results / 'agiqa-3k' / name}.parquet" for name in ("samples", "splits")]
    files += [f"--levels={small_study.results / 'levels' / 'slow.safetensors'}", f"--recipe={recipe}", "--seed=0"]
    words = ["train", *files, "--variant=mst-clipiqa", "--target=quality", f"--out={tmp_path / 'some.parquet'}"]
    assert CliRunner().invoke(main, [*words, "--protocol=grouped1"]).exit_code == 0
    some, metadata = read_table(tmp_path / "some.parquet")
    whole, _ = read_table(small_study.runs())
    assert metadata["protocols"] == ["grouped1"] and metadata["runs"] == 1
    pd.testing.assert_frame_equal(some, whole[whole["protocol"] == "grouped1"].reset_index(drop=True))
    refused = CliRunner().invoke(main, [*words, "--protocol=random3"])
    assert refused.exit_code == 1 and "no split of random3; split again, or name other protocols" in refused.output
