import numpy as np
import pandas as pd
import pytest
from results_tables import table_of

from mstclipiqa.base.files import write_table
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.evaluation import metrics
from mstclipiqa.evaluation.per_run import evaluate_runs

JOB = {"benchmark": "agiqa-3k", "target": "quality", "recipe": "main_text"}
SELECTIONS = {"lab-seed1": ["last", "best-on-test"], "grouped3": ["last", "validation"]}
IMAGES, PER_PROMPT = 200, 4


@pytest.fixture
def samples():
    generators = ["AttnGAN"] * 60 + ["SD1.5"] * 115 + ["an unheard-of one"] * 20 + ["GLIDE"] * 5
    rows = pd.DataFrame(
        {
            "image": [f"{row:03d}.png" for row in range(IMAGES)],
            "sha256": [f"{row:064x}" for row in range(IMAGES)],
            "prompt_group": [f"prompt {row // PER_PROMPT}" for row in range(IMAGES)],
            "generator": np.random.default_rng(1).permutation(generators),
        }
    )
    return table_of(SAMPLES, rows.assign(quality=np.random.default_rng(7).normal(size=IMAGES)))


def split(samples):
    """lab-seed1 with one split by image, grouped3 with three by prompt: 40 test images each.

    grouped3 has one image to validate on, as its runs have that selection."""
    tables, prompts = [], samples["prompt_group"].unique()
    for protocol, count in (("lab-seed1", 1), ("grouped3", 3)):
        for number in range(count):
            rng = np.random.default_rng(number)
            if protocol == "grouped3":
                test = samples["prompt_group"].isin(rng.choice(prompts, 10, replace=False))
            else:
                test = samples["image"].isin(rng.choice(samples["image"], 40, replace=False))
            role = np.where(test, "test", "train").astype(object)
            if protocol == "grouped3":
                role[np.flatnonzero(~test)[0]] = "val"
            tables.append(
                pd.DataFrame({"protocol": protocol, "split": number, "image": samples["image"], "role": role})
            )
    return pd.concat(tables, ignore_index=True)


def predict(samples, splits, noise, seeds=(0, 1), constant_within=None):
    """Runs of every split, seed and selection; noisier predictions are worse."""
    mos = samples["quality"].to_numpy()
    runs = []
    for (protocol, number), table in splits.groupby(["protocol", "split"]):
        test = np.flatnonzero(table["role"] == "test")
        for seed in seeds:
            for selection in SELECTIONS[protocol]:
                rng = np.random.default_rng([number, seed, len(selection)])
                prediction = mos[test] + noise * rng.normal(size=len(test))
                if constant_within:
                    prediction[samples["generator"].to_numpy()[test] == constant_within] = 0.5
                key = {"protocol": protocol, "split": number, "seed": seed, "selection": selection, "epoch": 1}
                key |= {"image": samples["image"].iloc[test], "prediction": prediction, "mos": mos[test]}
                runs.append(pd.DataFrame(key))
    return pd.concat(runs).sample(frac=1, random_state=0)


@pytest.fixture
def suite(tmp_path, samples, monkeypatch):
    """Writes a results folder from predictions by variant; returns it with its metrics."""
    monkeypatch.setattr("mstclipiqa.evaluation.per_run.METRICS", {"srcc": metrics.srcc, "plcc": metrics.plcc})
    splits = split(samples)
    sizes = {"train": 160, "val": 0, "test": 40}
    leakage = {
        "lab-seed1": [sizes | {"split": 0, "test_prompts_in_train": 9}],
        "grouped3": [
            sizes | {"split": number, "train": 159, "val": 1, "test_prompts_in_train": 0} for number in range(3)
        ],
    }

    def write(**noises):
        folder = tmp_path / "agiqa-3k"
        write_table(folder / "samples.parquet", samples, {})
        write_table(folder / "splits.parquet", splits, {"protocols": leakage})
        for variant, options in noises.items():
            options = options if isinstance(options, dict) else {"noise": options}
            name = variant.replace("_", "-")
            path = folder / "runs" / "quality" / "main_text" / f"{name}.parquet"
            write_table(path, predict(samples, splits, **options), JOB | {"variant": name})
        return tmp_path, evaluate_runs(tmp_path.rglob("runs/*/*/*.parquet"), tmp_path)

    return write
