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
    split_samples,
    splits_from_samples,
)

#: One name and more of every family but that of published files, which have tests of their own.
DRAWN = [protocol for protocol in PROTOCOLS if "{name}" not in protocol.pattern]
NAMES = sorted({protocol.pattern.replace("{n}", str(number)) for protocol in DRAWN for number in (1, 2, 42)})


#: Of AGIQA-3K: one GAN among diffusion models.
GENERATORS = ["AttnGAN", "SD1.5", "DALLE2"]

#: What leaves images out, so that training sets are of one size.
MATCHED = ("leave-generator-out", "generator-seen", "gan-to-diffusion", "diffusion-to-diffusion")


def make_samples(count, prompts, seed=0):
    """Images in label-file order; several share a prompt, unevenly."""
    group = np.random.default_rng(seed).integers(0, prompts, count)
    group[:prompts] = range(prompts)
    images = [f"{row:05d}.png" for row in range(count)]
    prompt_groups = [f"prompt {row}" for row in group]
    return pd.DataFrame(
        {
            "benchmark": "agiqa-3k", "image": images, "row": range(count), "sha256": images,
            "prompt_group": prompt_groups, "generator": [GENERATORS[row % 3] for row in range(count)],
        }
    )  # fmt: skip


def split_of(samples, name, split=0, card=None):
    table, _ = split_samples(samples, [name], card)
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


@pytest.fixture
def dropped():
    """Eleven label rows, of which rows 3, 6 and 10 have no sample; the images are named after their rows."""
    samples = make_samples(11, 3).drop([3, 6, 10]).reset_index(drop=True)
    return samples, {"rows_read": 11, "excluded": {}}


@pytest.mark.parametrize("seed", range(8))
def test_rows_without_a_sample_are_shuffled_too(seed, dropped, numpy_state):
    """One row less would be another permutation of the others."""
    np.random.seed(seed)
    rows = [f"{row:05d}.png" for row in range(11)]
    np.random.shuffle(rows)
    samples, card = dropped
    role = split_of(samples, f"lab-seed{seed}", card=card)
    assert set(role[role == TRAIN].index) == set(rows[:8]) & set(samples["image"])
    assert set(role[role == TEST].index) == set(rows[8:]) & set(samples["image"])


def test_the_released_code_splits_rows_without_a_sample_too(dropped):
    samples, card = dropped
    rows = [f"{row:05d}.png" for row in range(11)]
    train, test = torch.utils.data.random_split(rows, [8, 3], torch.Generator().manual_seed(42))
    role = split_of(samples, "released", card=card)
    assert set(role[role == TRAIN].index) == set(train) & set(samples["image"])
    assert set(role[role == TEST].index) == set(test) & set(samples["image"])


@pytest.mark.parametrize("rows", [10, 0, -1, 10**9, "11", None, 11.0])
@pytest.mark.parametrize("name", ["lab-seed1", "released", "loader"])
def test_a_card_of_other_label_rows_is_refused(rows, name):
    with pytest.raises(InputError, match="samples of agiqa-3k: their card says .* label rows, and one is of row 10"):
        split_samples(make_samples(11, 3), [name], {"rows_read": rows})


def test_agiqa_3k_is_split_2385_to_597():
    assert split_of(make_samples(2982, 300), "lab-seed1").value_counts().to_dict() == {TRAIN: 2385, TEST: 597}


# The public loader of each benchmark


@pytest.mark.parametrize("benchmark", ["agiqa-1k", "agiqa-3k", "aigciqa2023"])
def test_most_loaders_shuffle_with_seed_1(benchmark):
    samples = make_samples(60, 15).assign(benchmark=benchmark)
    assert split_of(samples, "loader").equals(split_of(samples, "lab-seed1"))


def test_the_loader_of_pku_aigiqa_4k_tests_every_fourth_label_row():
    samples = make_samples(4000, 200).assign(benchmark="pku-aigiqa-4k")
    roles = split_of(samples, "loader").to_numpy()
    assert [i for i in range(4000) if roles[i] == TEST] == [i for i in range(4000) if i % 4 == 3]
    kept = samples.drop([2, 3]).reset_index(drop=True)
    roles = split_of(kept, "loader", card={"rows_read": 4000, "official_order": True})
    assert set(roles[roles == TEST].index) == {f"{i:05d}.png" for i in range(7, 4000, 4)}


@pytest.mark.parametrize(
    ("benchmark", "card"), [("aigiqa-20k", {}), ("my-set", {}), ("pku-aigiqa-4k", {"official_order": False})]
)
def test_no_split_is_invented_where_no_loader_or_not_its_label_file_is_known(benchmark, card):
    samples = make_samples(60, 15).assign(benchmark=benchmark)
    table, counts = split_samples(samples, ["loader", "random1"], card)
    assert counts["loader"] == [] and set(table["protocol"]) == {"random1"}
    with pytest.raises(InputError, match=f"^loader: no split of {benchmark}; choose another protocol$"):
        split_samples(samples, ["loader"], card)


# The real label files, with the loaders written out


def split_real(real, name):
    samples = real.usable.assign(prompt_group=real.usable["prompt"], sha256=real.usable["image"])
    return split_of(samples.assign(benchmark=real.name), name, card=real.labels.row_facts)


@pytest.fixture
def agiqa_1k(real_labels):
    return real_labels("agiqa-1k")


@pytest.mark.parametrize(("seed", "dropped"), [(0, 0), (1, 0), (2, 0), (42, 0)])
def test_agiqa_1k_is_split_as_by_the_laboratorys_loader(seed, dropped, agiqa_1k, shared_data, numpy_state):
    """All 216 test images, but for those of the two label rows that contradict each other."""
    sheet = pd.read_excel(shared_data / "agiqa-1k" / "AIGC_MOS_Zscore.xlsx")
    rows = list(zip(sheet["Image"], sheet["Prompt"], sheet["MOS"], strict=True))
    np.random.seed(seed)
    np.random.shuffle(rows)
    tested = [name for name, _, _ in rows[int(0.8 * len(rows)) :]]
    assert len(tested) == 216
    kept = [name for name in tested if name != "dreamStudio_8_9_1_1.jpg"]
    role = split_real(agiqa_1k, f"lab-seed{seed}")
    assert sorted(role[role == TEST].index) == sorted(kept)
    assert len(tested) - len(kept) == dropped
    if seed == 1:
        assert split_real(agiqa_1k, "loader").equals(role)


def test_agiqa_1k_is_split_as_by_the_released_code(agiqa_1k, shared_data):
    names = pd.read_excel(shared_data / "agiqa-1k" / "AIGC_MOS_Zscore.xlsx")["Image"].tolist()
    _, tested = torch.utils.data.random_split(names, [864, 216], torch.Generator().manual_seed(42))
    role = split_real(agiqa_1k, "released")
    assert set(role[role == TEST].index) == set(tested) - {"dreamStudio_8_9_1_1.jpg"}


@pytest.mark.parametrize(("name", "file", "column", "count"), [
    ("agiqa-3k", "data.csv", "name", 597), ("aigciqa2023", "all_set.csv", "image_name", 480),
])  # fmt: skip
def test_the_others_are_split_as_by_the_laboratorys_loader(
    name, file, column, count, real_labels, shared_data, numpy_state
):
    rows = list(enumerate(pd.read_csv(shared_data / name / file)[column]))
    np.random.seed(1)
    np.random.shuffle(rows)
    tested = {image if name == "agiqa-3k" else f"{row}.png" for row, image in rows[int(0.8 * len(rows)) :]}
    role = split_real(real_labels(name), "lab-seed1")
    assert set(role[role == TEST].index) == tested and len(tested) == count


# By prompt


@pytest.mark.parametrize("prompts", [3, 4, 5, 8, 50, 300])
def test_grouped_splits_share_no_prompt_between_roles(prompts):
    samples = make_samples(4 * prompts, prompts)
    for split in set(split_samples(samples, ["grouped4"])[0]["split"]):
        roles = split_of(samples, "grouped4", split)
        groups = samples.set_index("image")["prompt_group"].groupby(roles).unique()
        assert set(groups.index) == {TRAIN, VAL, TEST}
        assert sum(len(found) for found in groups) == prompts


def test_grouped_splits_hold_out_a_fifth_of_the_images_and_a_fifth_of_the_rest():
    samples = make_samples(400, 100)
    for split in range(5):
        roles = split_of(samples, "grouped5", split).value_counts()
        assert roles.to_dict() == pytest.approx({TRAIN: 256, VAL: 64, TEST: 80}, abs=5)


@pytest.mark.parametrize("sizes", [(9, 1, 1), (5, 5, 5), (40, 30, 20, 10), (90, *[1] * 10), (1, 1, 1), (60, 60, 1)])
def test_however_unequal_the_prompts_every_role_has_images(sizes):
    prompts = np.repeat([f"p{k}" for k in range(len(sizes))], sizes)
    samples = make_samples(len(prompts), 1).assign(prompt_group=prompts)
    for split in set(split_samples(samples, ["grouped6"])[0]["split"]):
        roles = split_of(samples, "grouped6", split).to_numpy()
        parts = [set(prompts[roles == role]) for role in (TRAIN, VAL, TEST)]
        assert all(parts) and sum(map(len, parts)) == len(sizes)


def test_a_prompt_of_more_images_than_a_test_set_stays_in_training_where_others_do():
    prompts = np.repeat([f"p{k}" for k in range(51)], [50, *[1] * 50])
    samples = make_samples(100, 1).assign(prompt_group=prompts)
    for split in range(4):
        assert split_of(samples, "grouped4", split).value_counts().to_dict() == {TRAIN: 64, VAL: 16, TEST: 20}


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
    with pytest.raises(InputError, match=f"{prompts} clusters of like prompts are too few") as error:
        split_samples(make_samples(12, prompts), ["grouped1"])
    assert "\n" not in str(error.value)


# Of the released code, and by image


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


@pytest.mark.parametrize("count", [40, 300])
def test_ungrouped_splits_are_grouped_splits_of_images_at_random(count):
    """As many images in each role, other ones, and prompts in all of them."""
    samples = make_samples(count, count // 4)
    for split in range(3):
        grouped, ungrouped = (split_of(samples, name, split) for name in ("grouped3", "ungrouped3"))
        assert ungrouped.value_counts().to_dict() == grouped.value_counts().to_dict()
        assert not ungrouped.equals(grouped)
        assert ungrouped.equals(split_of(samples, "ungrouped10", split))
    prompts = samples.set_index("image")["prompt_group"].groupby(ungrouped).unique()
    assert set(prompts[TRAIN]) & set(prompts[TEST]) and set(prompts[TRAIN]) & set(prompts[VAL])


# Published splits

ROLES = (TRAIN, TRAIN, VAL, TEST)


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
        ("agiqa-3k,nowhere.png,0,train", "image 'nowhere.png' of split 0 is unknown"),
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


# By generator


@pytest.fixture
def generated():
    """Images of four generators, one of them of too few images to be tested by itself."""
    samples = make_samples(230, 15)
    generators = ["SD1.5"] * 100 + ["AttnGAN"] * 70 + ["DALLE2"] * 50 + ["GLIDE"] * 10
    return samples.assign(generator=np.random.default_rng(1).permutation(generators))


def splits_of(samples, name):
    table, _ = split_samples(samples, [name])
    generator = samples.set_index("image")["generator"]
    return {
        split: {role: set(group["image"]) for role, group in rows.groupby("role")}
        for split, rows in table.groupby("split")
    }, generator


def test_each_generator_is_left_out_in_turn(generated):
    splits, generator = splits_of(generated, "leave-generator-out")
    assert len(splits) == 3
    for split, name in zip(splits.values(), ["AttnGAN", "DALLE2", "SD1.5"], strict=True):
        assert set(generator[list(split[TEST])]) == {name}
        assert len(split[TEST]) == (generator == name).sum() // 2
        assert name not in set(generator[list(split[TRAIN])])
        assert len(split[TRAIN]) == 130  # those that are not of SD1.5
        assert set(split) == {TRAIN, TEST}


def test_a_generator_is_seen_among_equally_many_images_and_tested_on_the_same(generated):
    out, generator = splits_of(generated, "leave-generator-out")
    seen, _ = splits_of(generated, "generator-seen")
    for split, name in zip(out, ["AttnGAN", "DALLE2", "SD1.5"], strict=True):
        assert seen[split][TEST] == out[split][TEST]
        assert len(seen[split][TRAIN]) == len(out[split][TRAIN])
        assert not seen[split][TRAIN] & seen[split][TEST]
        own = {image for image in seen[split][TRAIN] if generator[image] == name}
        assert own | seen[split][TEST] == set(generator.index[generator == name])


def test_one_generator_is_not_left_out(generated):
    samples = generated.assign(generator="SD1.5")
    for name in MATCHED:
        table, counts = split_samples(samples, ["random1", name])
        assert counts[name] == [] and set(table["protocol"]) == {"random1"}


def test_gans_train_for_diffusion_models_beside_as_many_of_these(generated):
    splits, generator = splits_of(generated, "gan-to-diffusion")
    (gan,), (diffusion,) = splits.values(), splits_of(generated, "diffusion-to-diffusion")[0].values()
    assert set(generator[list(gan[TRAIN])]) == {"AttnGAN"} and len(gan[TRAIN]) == 70
    assert "AttnGAN" not in set(generator[list(diffusion[TRAIN])]) and len(diffusion[TRAIN]) == 70
    assert gan[TEST] == diffusion[TEST] and len(gan[TEST]) == 160 - 70
    assert diffusion[TRAIN] | diffusion[TEST] == set(generator.index[generator != "AttnGAN"])


def test_no_gan_no_split_by_kind(generated):
    samples = generated[generated["generator"] != "AttnGAN"].assign(row=range(160))
    assert split_samples(samples, ["random1", "gan-to-diffusion"])[1]["gan-to-diffusion"] == []
    unknown = generated.assign(benchmark="toy")
    assert split_samples(unknown, ["random1", "gan-to-diffusion"])[1]["gan-to-diffusion"] == []


# What every protocol keeps to


@pytest.mark.parametrize("name", NAMES)
def test_every_split_gives_every_image_one_role(name):
    samples = make_samples(60, 15)
    table, leakage = split_samples(samples, [name])
    assert list(table.columns) == ["protocol", "split", "image", "role"]
    assert set(table["protocol"]) == {name}
    for split, rows in table.groupby("split"):
        used = samples["image"][samples["image"].isin(rows["image"])] if name in MATCHED else samples["image"]
        assert rows["image"].tolist() == used.tolist()
        assert {TRAIN, TEST} <= set(rows["role"]) <= {TRAIN, VAL, TEST}
        assert leakage[name][split]["split"] == split
    counted = [count["split"] for count in leakage[name] if count["counts_as"] == count["split"]]
    assert counted == table["split"].unique().tolist()


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
    samples = table_of(SAMPLES, make_samples(60, 15))
    SAMPLES.write(tmp_path / "samples.parquet", samples, {"benchmark": "agiqa-3k", "title": "AGIQA-3K"})
    names = ["lab-seed1", "grouped2"]
    said = splits_from_samples(tmp_path / "splits.parquet", tmp_path / "samples.parquet", names)
    table, counts = split_samples(samples, names)
    written, metadata = read_table(tmp_path / "splits.parquet")
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    assert metadata["benchmark"] == "agiqa-3k" and metadata["protocols"] == counts
    held = {key: set(rows["image"]) for key, rows in table.groupby(["protocol", "split", "role"])}
    prompt = samples.set_index("image")["prompt_group"]
    for line, (name, split) in zip(said, [("lab-seed1", 0), ("grouped2", 0), ("grouped2", 1)], strict=True):
        train, val, test = (held.get((name, split, role), set()) for role in (TRAIN, VAL, TEST))
        leaking = sum(prompt[image] in set(prompt[list(train)]) for image in test)
        assert line == (
            f"AGIQA-3K, {name} split {split}: {len(train)} train, {len(val)} val, {len(test)} test; "
            f"{leaking} test images have their prompt in training, 0 a nearly identical one, 0 their bytes"
        )


def test_the_step_says_which_splits_count_as_others_and_what_has_none(tmp_path, published):
    published(*(f"agiqa-3k,{image:05d}.png,{split},{role}" for split in (0, 1) for image, role in enumerate(ROLES)))
    samples = table_of(SAMPLES, make_samples(4, 2).assign(benchmark="aigiqa-20k"))
    path = tmp_path / "samples.parquet"
    SAMPLES.write(path, samples, {"benchmark": "aigiqa-20k", "title": "AIGIQA-20K"})
    said = splits_from_samples(tmp_path / "splits.parquet", path, ["random1", "file-ipce", "loader"])
    assert said[1:] == [f"AIGIQA-20K, {name}: no split of this benchmark" for name in ("file-ipce", "loader")]
    SAMPLES.write(path, samples.assign(benchmark="agiqa-3k"), {"benchmark": "agiqa-3k", "title": "AGIQA-3K"})
    first, again = splits_from_samples(tmp_path / "splits.parquet", path, ["file-ipce"])
    assert "not run" not in first
    assert again.endswith("; not run: it is split 0 again (90 % or more of the test images)")
    assert set(read_table(tmp_path / "splits.parquet")[0]["split"]) == {0}
