"""Scores of any number of images are those of a few, and every record has its row."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from shards import png, write_shard

from mstclipiqa.base.files import read_table
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.stores import write_store
from mstclipiqa.encoders.streaming import SETTINGS
from mstclipiqa.scoring.many import score_many
from mstclipiqa.scoring.scorer import Scorer


@pytest.fixture
def head(parts, tmp_path):
    write_store(tmp_path / "head.safetensors", *parts)
    return tmp_path / "head.safetensors"


@pytest.fixture
def shards(tmp_path):
    """Ten records of two shards: one cut short, one without a prompt."""
    for shard in range(2):
        files = {}
        for number in range(5):
            files |= {f"{number}.png": png(5 * shard + number), f"{number}.txt": f"scene {number}".encode()}
        if shard:
            files["2.png"] = files["2.png"][:50]
            del files["3.txt"]
        write_shard(tmp_path / "shards" / f"{shard}.tar", files)
    return tmp_path / "shards"


def test_every_record_has_its_score_or_its_reason(head, shards, tmp_path):
    out = tmp_path / "scores"
    words = ["score", shards, "--head", head, "--parts", out, "--part-size", 3, "--batch-size", 2]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 1 and "8 of 10 images scored in 4 parts\n" in done.output
    table = pd.read_parquet(out)
    assert table["image"].tolist() == [
        f"{shards}/{shard}.tar/{number}.png" for shard in range(2) for number in range(5)
    ]
    assert table["quality"].isna().tolist() == table["error"].notna().tolist() == [False] * 7 + [True] * 2 + [False]
    assert "does not decode" in table["error"][7] and "no prompt, which a head here reads" in table["error"][8]
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png(number))
    few = Scorer(head).score(paths, {path.name: f"scene {path.stem}" for path in paths})
    np.testing.assert_allclose(table["quality"][:5], few["quality"], rtol=0, atol=1e-4)
    assert "heads" in json.loads((out / SETTINGS).read_text())
    assert read_table(out / "000001-000001.parquet")[1]["failed"] == 1


def test_one_prompt_may_be_that_of_all_that_have_none(head, shards, tmp_path):
    counts = score_many(Scorer(head), [shards], tmp_path / "scores", prompt="a scene")
    assert (counts.records, counts.failed) == (10, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--parts", "p", "--out", "a.csv"], "--parts takes neither"),
        (["--shard", 1, 2], "--shard needs --parts"),
    ],
)
def test_options_that_do_not_go_together(head, shards, words, said):
    done = CliRunner().invoke(main, ["score", str(shards), "--head", str(head), *map(str, words)])
    assert done.exit_code == 2 and said in done.output
