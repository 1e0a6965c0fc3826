"""Unseen generators: differences by hand, with Student's interval over the splits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.unseen_generators import unseen_generators

UNSEEN, SEEN = [0.2, 0.5, 0.3], [0.4, 0.6, 0.35]


@pytest.fixture
def results(make_results):
    """AGIQA-3K with three generators left out in turn and seen, from two seeds, and GANs carried over by one split."""
    read = read_results(make_results())
    one = read.metrics.iloc[:1].assign(selection="last", target="quality", variant="mst-clipiqa")
    protocols = {
        "leave-generator-out": UNSEEN,
        "generator-seen": SEEN,
        "gan-to-diffusion": [0.1],
        "diffusion-to-diffusion": [0.5],
    }
    rows = [
        one.assign(protocol=protocol, split=split, seed=seed, srcc=srcc + (0.01 if seed else -0.01))
        for protocol, scores in protocols.items()
        for split, srcc in enumerate(scores)
        for seed in (0, 1)
    ]
    described = {name: {"selection": "last", "description": ""} for name in protocols}
    manifest = read.manifest | {"protocols": read.manifest["protocols"] | described}
    rival = pd.DataFrame(
        [("agiqa-3k", "quality", protocol, RIVAL, split, srcc - 0.1)
         for protocol, scores in protocols.items() for split, srcc in enumerate(scores)],
        columns=["benchmark", "target", "protocol", "source", "split", "srcc"],
    )  # fmt: skip
    return replace(
        read, metrics=pd.concat([read.metrics, *rows], ignore_index=True), manifest=manifest, baselines=rival
    )


def test_differences_are_paired_by_generator(results):
    table = unseen_generators(results)
    assert len(table.full) == 4
    row = table.full.set_index(["variant", "protocol"]).loc[("mst-clipiqa", "leave-generator-out")]
    differences = np.subtract(UNSEEN, SEEN)
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert row["difference"] == pytest.approx(differences.mean()) and row["splits"] == 3
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["unseen"], row["seen"]) == pytest.approx((np.mean(UNSEEN), np.mean(SEEN)))
    shown = table.shown[[group.text == "Quality: leave-generator-out beside generator-seen" for group in table.groups]]
    assert list(shown["Method"]) == ["MST-CLIPIQA", RIVAL]
    assert list(map(str, shown["Difference"])) == [f"-0.1167 [{expected.low:+.4f}, {expected.high:+.4f}]"] * 2


def test_one_split_has_no_interval(results):
    full = unseen_generators(results).full
    assert full.loc[full["protocol"] == "gan-to-diffusion", ["low", "high"]].isna().all(axis=None)
    assert unseen_generators(results).notes[0].startswith("Of 2 differences with an interval, 0 have one below 0")


def test_a_protocol_without_its_pair_has_no_table(results, make_results):
    alone = results.metrics[~results.metrics["protocol"].isin(["generator-seen", "diffusion-to-diffusion"])]
    rivals = results.baselines[results.baselines["protocol"] == "leave-generator-out"]
    assert unseen_generators(replace(results, metrics=alone, baselines=rivals)) is None
    assert unseen_generators(read_results(make_results())) is None
