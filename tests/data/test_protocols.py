"""Protocols: the lab's own shuffle, grouping by prompt, leakage, and what every protocol keeps to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from results_tables import table_of

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import read_table
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.base.names import BEST_ON_TEST, LAST, TEST, TRAIN, VAL, VALIDATION
from mstclipiqa.data.protocols import (
    PROTOCOLS,
    describe_protocol,
    get_protocol,
    measure_leakage,
    split_samples,
    splits_from_samples,
)

#: One name and more of every family but that of published files, which have tests of their own.
DRAWN = [protocol for protocol in PROTOCOLS if "{name}" not in protocol.pattern]
NAMES = sorted({protocol.pattern.replace("{n}", str(number)) for protocol in DRAWN for number in (1, 2, 42)})


def make_samples(count, prompts, seed=0):
    """Images in label-file order; several share a prompt, unevenly."""
    group = np.random.default_rng(seed).integers(0, prompts, count)
    group[:prompts] = range(prompts)
    return pd.DataFrame(
        {"image": [f"{row:05d}.png" for row in range(count)], "prompt_group": [f"prompt {row}" for row in group]}
    )


def split_of(samples, name, split=0):
    table, _ = split_samples(samples, [name])
    return table[table["split"] == split].set_index("image")["role"]


@pytest.fixture
def numpy_state():
    """Puts numpy's global generator back where it was."""
    state = np.random.get_state()
    yield
    np.random.set_state(state)


# The lab's shuffle


@pytest.mark.parametrize("count", [5, 40, 1078, 2982])
@pytest.mark.parametrize("seed", [0, 1, 2, 42])
def test_lab_splits_are_the_public_loaders_shuffle(count, seed, numpy_state):
    np.random.seed(seed)
    rows = list(range(count))
    np.random.shuffle(rows)
    roles = split_of(make_samples(count, 5), f"lab-seed{seed}").to_numpy()
    assert set(np.flatnonzero(roles == TRAIN)) == set(rows[: int(0.8 * count)])
    assert set(np.flatnonzero(roles == TEST)) == set(rows[int(0.8 * count) :])


def test_agiqa_3k_is_split_2385_to_597():
    assert split_of(make_samples(2982, 300), "lab-seed1").value_counts().to_dict() == {TRAIN: 2385, TEST: 597}


# By prompt


@pytest.mark.parametrize("prompts", [3, 4, 5, 8, 50, 300])
def test_grouped_splits_share_no_prompt_between_roles(prompts):
    samples = make_samples(4 * prompts, prompts)
    for split in range(4):
        roles = split_of(samples, "grouped4", split)
        groups = samples.set_index("image")["prompt_group"].groupby(roles).unique()
        assert set(groups.index) == {TRAIN, VAL, TEST}
        assert sum(len(found) for found in groups) == prompts


def test_grouped_splits_hold_out_a_fifth_of_the_prompts_and_a_fifth_of_the_rest():
    samples = make_samples(400, 100)
    roles = split_of(samples, "grouped1")
    groups = samples.set_index("image")["prompt_group"].groupby(roles).nunique()
    assert groups.to_dict() == {TRAIN: 64, VAL: 16, TEST: 20}


def test_a_grouped_split_does_not_depend_on_how_many_there_are():
    samples = make_samples(80, 20)
    for split in range(3):
        assert split_of(samples, "grouped3", split).equals(split_of(samples, "grouped10", split))
    assert not split_of(samples, "grouped3", 0).equals(split_of(samples, "grouped3", 1))


def test_a_grouped_split_does_not_depend_on_the_order_of_the_rows():
    samples = make_samples(80, 20)
    shuffled = samples.sample(frac=1, random_state=3)
    assert split_of(shuffled, "grouped2", 1).reindex(samples["image"]).equals(split_of(samples, "grouped2", 1))


@pytest.mark.parametrize("prompts", [1, 2])
def test_too_few_prompts_are_refused(prompts):
    with pytest.raises(InputError, match=f"{prompts} distinct prompts are too few") as error:
        split_samples(make_samples(12, prompts), ["grouped1"])
    assert "\n" not in str(error.value)


# Leakage


@pytest.mark.parametrize("name", ["lab-seed1", "lab-seed42", "grouped3"])
def test_leakage_is_what_a_count_by_hand_gives(name):
    samples = make_samples(120, 45)
    table, leakage = split_samples(samples, [name])
    group = dict(zip(samples["image"], samples["prompt_group"], strict=True))
    for counts in leakage[name]:
        rows = table[table["split"] == counts["split"]]
        images = {role: [row.image for row in rows.itertuples() if row.role == role] for role in (TRAIN, VAL, TEST)}
        seen = {group[image] for image in images[TRAIN]}
        leaked = [image for image in images[TEST] if group[image] in seen]
        assert counts == {
            "split": counts["split"],
            **{role: len(images[role]) for role in images},
            "test_images_with_prompt_in_train": len(leaked),
            "test_prompts": len({group[image] for image in images[TEST]}),
            "test_prompts_in_train": len({group[image] for image in leaked}),
        }
    assert any(counts["test_images_with_prompt_in_train"] for counts in leakage[name]) == (name != "grouped3")


def test_a_prompt_seen_only_in_validation_is_no_leak():
    roles = np.array([TRAIN, VAL, TEST, TEST], dtype=object)
    counts = measure_leakage(pd.Series(["a", "b", "b", "a"]), roles)
    assert counts["test_images_with_prompt_in_train"] == 1
    assert (counts["test_prompts"], counts["test_prompts_in_train"]) == (2, 1)


def test_released_split_is_torchs_random_split():
    """Against torch itself, on the list of the images."""
    samples = make_samples(103, 20)
    images = samples["image"].tolist()
    train, test = torch.utils.data.random_split(images, [82, 21], torch.Generator().manual_seed(42))
    role = split_of(samples, "released")
    assert set(role[role == TRAIN].index) == set(train)
    assert set(role[role == TEST].index) == set(test)


def test_random_splits_differ_and_do_not_depend_on_how_many_there_are():
    samples = make_samples(103, 20)
    assert split_of(samples, "random3", 1).equals(split_of(samples, "random10", 1))
    assert not split_of(samples, "random3", 0).equals(split_of(samples, "random3", 1))
    assert (split_of(samples, "random3") == TRAIN).sum() == 82


# Published splits


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Writes config/splits/ipce.csv from rows, as of a checkout in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "splits").mkdir(parents=True)

    def write(*rows, columns="benchmark,image,split,role"):
        (tmp_path / "config" / "splits" / "ipce.csv").write_text("\n".join([columns, *rows]) + "\n")
        return make_samples(4, 2).assign(benchmark="agiqa-3k")

    return write


def test_a_published_split_is_read_as_it_is(published):
    samples = published(
        "agiqa-3k,00000.png,0,train", "agiqa-3k,00002.png,0,test", "agiqa-3k,00001.png,1,val",
        "agiqa-3k,00000.png,1,test", "agiqa-3k,00003.png,1,train", "agiqa-1k,other.png,0,train",
    )  # fmt: skip
    table, leakage = split_samples(samples, ["file-ipce"])
    assert list(table.itertuples(index=False, name=None)) == [
        ("file-ipce", 0, "00000.png", TRAIN), ("file-ipce", 0, "00002.png", TEST),
        ("file-ipce", 1, "00000.png", TEST), ("file-ipce", 1, "00001.png", VAL), ("file-ipce", 1, "00003.png", TRAIN),
    ]  # fmt: skip
    assert [(counts[TRAIN], counts[VAL], counts[TEST]) for counts in leakage["file-ipce"]] == [(1, 0, 1), (1, 1, 1)]


def test_a_published_split_of_other_benchmarks_adds_none(published):
    samples = published("agiqa-1k,other.png,0,train")
    table, leakage = split_samples(samples, ["lab-seed1", "file-ipce"])
    assert set(table["protocol"]) == {"lab-seed1"} and leakage["file-ipce"] == []
    with pytest.raises(InputError, match="file-ipce: no split of agiqa-3k"):
        split_samples(samples, ["file-ipce"])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("agiqa-3k,nowhere.png,0,train", "image 'nowhere.png' is unknown"),
        ("agiqa-3k,00001.png,0,training", "role 'training' is unknown"),
        ("agiqa-3k,00001.png,1,train", "numbered from 0"),
        ("agiqa-3k,00001.png,0,train\nagiqa-3k,00001.png,0,test", "stands twice"),
    ],
)
def test_a_wrong_published_split_is_refused_in_one_line(published, row, said):
    samples = published(row)
    with pytest.raises(InputError, match=said) as error:
        split_samples(samples, ["file-ipce"])
    assert "ipce.csv" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_or_strange_published_split_is_refused(published):
    samples = make_samples(4, 2).assign(benchmark="agiqa-3k")
    with pytest.raises(OSError) as missing:
        Path("config/splits/ipce.csv").read_text()
    with pytest.raises(InputError, match=r"ipce\.csv: cannot be read") as error:
        split_samples(samples, ["file-ipce"])
    assert f"({missing.value})" in str(error.value)
    published("agiqa-3k,00001.png,1", columns="benchmark,name,fold")
    with pytest.raises(InputError, match="has the columns benchmark, name, fold; give benchmark, image, split, role"):
        split_samples(samples, ["file-ipce"])


# What every protocol keeps to


@pytest.mark.parametrize("name", NAMES)
def test_every_split_gives_every_image_one_role(name):
    samples = make_samples(60, 15)
    table, leakage = split_samples(samples, [name])
    assert list(table.columns) == ["protocol", "split", "image", "role"]
    assert set(table["protocol"]) == {name}
    for split, rows in table.groupby("split"):
        assert rows["image"].tolist() == samples["image"].tolist()
        assert {TRAIN, TEST} <= set(rows["role"]) <= {TRAIN, VAL, TEST}
        assert leakage[name][split]["split"] == split
    assert len(leakage[name]) == table["split"].nunique()


@pytest.mark.parametrize("name", NAMES)
def test_splits_neither_use_nor_disturb_the_global_generator(name, numpy_state):
    samples = make_samples(60, 15)
    tables = []
    for seed in (1, 2):
        np.random.seed(seed)
        tables.append(split_samples(samples, [name])[0])
        after = np.random.random()
        np.random.seed(seed)
        assert after == np.random.random()
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_main_selection_can_be_made_on_every_split(name):
    described = describe_protocol(name)
    assert described["selection"] in (LAST, VALIDATION, BEST_ON_TEST)
    assert described["description"]
    assert "{" not in described["description"]
    if described["selection"] == VALIDATION:
        table, _ = split_samples(make_samples(60, 15), [name])
        assert (table.groupby("split")["role"].agg(set) == {TRAIN, VAL, TEST}).all()


def test_a_description_has_the_number_or_the_file():
    assert describe_protocol("grouped7")["description"].startswith("7 random splits by prompt")
    assert "numpy.random.seed(42)" in describe_protocol("lab-seed42")["description"]
    assert "config/splits/ipce.csv" in describe_protocol("file-ipce")["description"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.pattern)
def test_a_name_leads_to_its_own_family_and_number(protocol):
    for number in (1, 42):
        name = protocol.pattern.replace("{n}", str(number)).replace("{name}", "ipce")
        argument = number if "{n}" in protocol.pattern else "ipce" if "{name}" in protocol.pattern else 0
        assert get_protocol(name) == (protocol, argument)
        assert [other.argument(name) for other in PROTOCOLS if other is not protocol] == [None] * (len(PROTOCOLS) - 1)


@pytest.mark.parametrize(
    "name",
    [
        "random",
        "released1",
        "file-",
        "file-a/b",
        "grouped",
        "grouped-3",
        "lab-seed",
        "Grouped3",
        "grouped3 ",
        "grouped3.5",
        "",
    ],
)
def test_an_unknown_protocol_is_refused_with_the_known_ones(name):
    with pytest.raises(InputError, match=r"unknown protocol .*lab-seedN.*groupedN") as error:
        get_protocol(name)
    patterns = [protocol.pattern.replace("{n}", "N").replace("{name}", "NAME") for protocol in PROTOCOLS]
    assert f"unknown protocol {name!r}; known: {', '.join(patterns)}, with" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["grouped0", "lab-seed4294967296"])
def test_a_number_that_gives_no_split_is_refused(name):
    with pytest.raises(InputError):
        split_samples(make_samples(40, 10), [name])


def test_several_protocols_stand_one_after_another():
    samples = make_samples(60, 15)
    table, leakage = split_samples(samples, ["grouped2", "lab-seed1"])
    assert list(leakage) == table["protocol"].unique().tolist() == ["grouped2", "lab-seed1"]
    alone, _ = split_samples(samples, ["lab-seed1"])
    assert table[table["protocol"] == "lab-seed1"].reset_index(drop=True).equals(alone)
    assert table.index.tolist() == list(range(len(table)))


# From a samples table


def test_the_step_writes_the_splits_and_says_what_leaks(tmp_path):
    samples = table_of(SAMPLES, make_samples(60, 15).assign(benchmark="agiqa-3k"))
    SAMPLES.write(tmp_path / "samples.parquet", samples, {"benchmark": "agiqa-3k", "title": "AGIQA-3K"})
    names = ["lab-seed1", "grouped2"]
    said = splits_from_samples(tmp_path / "splits.parquet", tmp_path / "samples.parquet", names)
    table, leakage = split_samples(samples, names)
    written, metadata = read_table(tmp_path / "splits.parquet")
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    assert metadata["benchmark"] == "agiqa-3k" and metadata["protocols"] == leakage
    held = {key: set(rows["image"]) for key, rows in table.groupby(["protocol", "split", "role"])}
    prompt = samples.set_index("image")["prompt_group"]
    for line, (name, split) in zip(said, [("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1)], strict=True):
        train, val, test = (held.get((name, split, role), set()) for role in (TRAIN, VAL, TEST))
        leaking = sum(prompt[image] in set(prompt[list(train)]) for image in test)
        assert line == (
            f"AGIQA-3K, {name} split {split}: {len(train)} train, {len(val)} val, {len(test)} test; "
            f"{leaking} test images have their prompt in training"
        )
