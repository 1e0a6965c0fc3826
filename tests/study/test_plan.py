"""What is planned from label files is split as what is run will be."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from layouts import LAYOUTS

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import TEST, TRAIN
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import collect_samples
from mstclipiqa.study.plan import count_steps, read_samples
from mstclipiqa.study.study import Job

LAYOUT = LAYOUTS["agiqa-3k"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Of eight images one has two label rows that contradict each other; every recipe trains on one image a step."""
    monkeypatch.chdir(tmp_path)
    rows = LAYOUT.rows()
    folder = tmp_path / "data" / "agiqa-3k"
    folder.mkdir(parents=True)
    LAYOUT.make(folder, pd.concat([rows[:5], rows[5:6].assign(quality=1.25), rows[5:]]))
    return SimpleNamespace(
        packed={},
        benchmarks=["agiqa-3k"],
        data_root=tmp_path / "data",
        jobs=[Job("agiqa-3k", "quality", "slow", "mst-clipiqa")],
        recipes={"slow": SimpleNamespace(batch_size=1, epochs=1)},
        config={
            "protocols": ["lab-seed1", "released", "grouped2"],
            "seeds": [0],
            "also": [],
            "benchmarks": ["agiqa-3k"],
            "recipes": ["slow"],
            "variants": ["mst-clipiqa"],
        },
    )


def test_label_files_are_split_as_the_samples_table_will_be(study, tmp_path):
    planned = count_steps(study, read_samples(study, tmp_path / "results"))
    samples, card = collect_samples(LAYOUT.benchmark, tmp_path / "data" / "agiqa-3k")
    splits, _ = split_samples(samples, study.config["protocols"], card)
    assert len(samples) == 7 and card["rows_read"] == 9
    assert planned["runs"].tolist() == [4]
    assert planned["steps"].tolist() == [(splits["role"] == TRAIN).sum()]
    assert planned["evaluated"].tolist() == [(splits["role"] == TEST).sum()]
    SAMPLES.write(SAMPLES.at(tmp_path / "results", benchmark="agiqa-3k"), samples, card)
    pd.testing.assert_frame_equal(count_steps(study, read_samples(study, tmp_path / "results")), planned)


def test_a_published_split_of_an_excluded_image_is_refused_with_the_reason(study, tmp_path):
    (tmp_path / "config" / "splits").mkdir(parents=True)
    rows = f"agiqa-3k,{LAYOUT.names[5]},0,train"
    (tmp_path / "config" / "splits" / "mine.csv").write_text(f"benchmark,image,split,role\n{rows}\n")
    study.config["protocols"] = ["file-mine"]
    with pytest.raises(InputError, match="of split 0 is excluded by the reader .* with different values"):
        count_steps(study, read_samples(study, tmp_path / "results"))
