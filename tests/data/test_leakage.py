"""Likeness: same and nearly identical prompts, same bytes, what they link and leak; and splits that count once."""

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.base.names import TEST, TRAIN, UNUSED, VAL
from mstclipiqa.data.leakage import CHUNK, NEAR, SAME_TEST, Likeness, count_once
from mstclipiqa.data.protocols import split_samples
from mstclipiqa.data.samples import normalise_prompt


def samples_of(prompts, files=None, benchmark="agiqa-3k", images=None):
    images = images or [f"{row:05d}.png" for row in range(len(prompts))]
    return pd.DataFrame(
        {
            "benchmark": benchmark, "image": images, "row": range(len(prompts)), "sha256": files or images,
            "prompt": prompts, "prompt_group": [normalise_prompt(text) for text in prompts],
        }
    )  # fmt: skip


def random_samples(count=150, seed=0):
    """Prompts of few words, so that many are alike, and some files under two names."""
    rng = np.random.default_rng(seed)
    words = [f"w{k}" for k in range(30)]
    prompts = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]
    return samples_of(prompts, [f"file {k}" for k in rng.integers(0, 3 * count, count)])


def jaccard(one, other):
    one, other = set(one.split()), set(other.split())
    return len(one & other) / len(one | other)


def linked(prompts, files):
    """Clusters by plain search: frozensets of rows."""
    rest, found = set(range(len(prompts))), set()
    while rest:
        cluster, todo = set(), [rest.pop()]
        while todo:
            row = todo.pop()
            cluster.add(row)
            near = {r for r in rest if jaccard(prompts[row], prompts[r]) >= NEAR or files[row] == files[r]}
            rest -= near
            todo += near
        found.add(frozenset(cluster))
    return found


def clusters_of(samples):
    clusters = Likeness(samples).clusters
    return {frozenset(np.flatnonzero(clusters == number)) for number in set(clusters)}


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_what_a_plain_search_finds(seed):
    samples = random_samples(seed=seed)
    found = clusters_of(samples)
    assert found == linked(samples["prompt_group"].tolist(), samples["sha256"].tolist())
    assert 1 < len(found) < len(samples)


def test_images_that_are_linked_in_two_ways_are_linked():
    assert len(clusters_of(samples_of(["a red boat", "a red boat too"], files=["same", "same"]))) == 1


def test_prompts_in_different_chunks_are_compared():
    prompts = [f"{k} {k}a {k}b" for k in range(CHUNK + 20)]
    prompts[3], prompts[-1] = "a red boat", "some red boat at sea"
    assert Likeness(samples_of(prompts)).near.nnz == 0
    prompts[-1] = "z red boat"
    assert sorted(map(len, clusters_of(samples_of(prompts))))[-2:] == [1, 2]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("a red boat", "a red boat at sea, night", True),  # 3 of 6 words
        ("a red boat", "a red boat at sea by night", False),  # 3 of 7
        ("A red, RED boat!", "a red boat", True),
        ("fantasy,intricate", "fantasy, intricate, sharp", True),
        ("a", "b", False),
        ("...", "!!!", False),
    ],
)
def test_half_of_the_words_makes_prompts_nearly_identical(one, other, near):
    assert bool(Likeness(samples_of([one, other])).near.nnz) == near


def test_images_without_prompts_are_like_none():
    """Their text is their own name, as docs/add-a-benchmark.md says; names share most of their words."""
    images = [f"my holiday picture {k}.png" for k in range(30)]
    for texts in (images, [name.removesuffix(".png") for name in images]):
        samples = samples_of(texts, benchmark="my-set", images=images)
        assert len(set(Likeness(samples).clusters)) == 30
        _, counts = split_samples(samples, ["random1", "grouped2"])
        assert [count["test"] for count in counts["grouped2"]] == [6, 6]
        assert not any(count[key] for rows in counts.values() for count in rows for key in count if "in_train" in key)


def test_a_prompt_is_no_image_name_even_if_it_is_like_one():
    samples = samples_of(["a red boat", "a red boat two", "c"], images=["a red boat here.png", "b.png", "c.png"])
    assert Likeness(samples).near.nnz == 2


def test_clusters_do_not_depend_on_the_order_of_the_samples():
    samples = random_samples()
    shuffled = samples.sample(frac=1, random_state=1)
    again = pd.Series(Likeness(shuffled).clusters, shuffled.index).reindex(samples.index)
    assert again.tolist() == Likeness(samples).clusters.tolist()


# AGIQA-1K


def test_composed_prompts_are_near_where_one_attribute_differs():
    prompts = [
        "cat, driving car, city, anime", "cat, driving car, city, real", "cat, using cd, wild, real",
        "dog, driving car, city, anime", "dog, driving car, city", "dog",
    ]  # fmt: skip
    near = Likeness(samples_of(prompts, benchmark="agiqa-1k")).near.toarray()
    assert near.sum() == 2  # the first two, either way
    assert Likeness(samples_of(prompts)).near.nnz > 2, "by their words the subjects are alike"


def test_the_real_agiqa_1k_is_grouped_by_subject(real_labels):
    """By exact text, every test prompt has a twin in training that differs in one clause; by words, all are one."""
    usable = real_labels("agiqa-1k").usable
    samples = samples_of(usable["prompt"].tolist(), benchmark="agiqa-1k")
    subject = samples["prompt_group"].str.split(",").str[0]
    assert subject.nunique() == 12
    assert pd.Series(Likeness(samples).clusters).groupby(subject).nunique().tolist() == [1] * 12
    assert len(set(Likeness(samples).clusters)) == 12
    assert len(set(Likeness(samples.assign(benchmark="agiqa-3k")).clusters)) == 1
    _, counts = split_samples(samples, ["random1", "grouped5"])
    assert counts["random1"][0]["test_images_with_near_prompt_in_train"] == counts["random1"][0]["test"] == 216
    for count in counts["grouped5"]:
        assert count["test_images_with_near_prompt_in_train"] == 0
        assert 160 <= count["test"] <= 300 and 100 <= count["val"] <= 240


@pytest.mark.parametrize(
    ("name", "clusters", "largest"),
    [("agiqa-3k", 291, 30), ("aigciqa2023", 96, 48), ("pku-aigiqa-4k", 178, 140), ("aigiqa-20k", 10959, 448)],
)
def test_no_real_benchmark_is_one_cluster(name, clusters, largest, real_labels):
    """By prompts alone: bytes link more. Measured on the label files; see docs/leakage.md."""
    found = Likeness(samples_of(real_labels(name).usable["prompt"].tolist(), benchmark=name)).clusters
    assert (len(set(found)), np.bincount(found).max()) == (clusters, largest)


# What a split leaks


def counted(samples, roles):
    """By hand, a test image after another."""
    rows = list(zip(samples["prompt_group"], samples["sha256"], roles, strict=True))
    train = [(prompt, file) for prompt, file, role in rows if role == TRAIN]
    test = [(prompt, file) for prompt, file, role in rows if role == TEST]
    seen = {prompt for prompt, _ in train}
    near = [any(prompt != other and jaccard(prompt, other) >= NEAR for other in seen) for prompt, _ in test]
    return {
        **{role: sum(given == role for given in roles) for role in (TRAIN, VAL, TEST)},
        "test_images_with_prompt_in_train": sum(prompt in seen for prompt, _ in test),
        "test_images_with_near_prompt_in_train": sum(near),
        "test_images_with_bytes_in_train": sum(file in {other for _, other in train} for _, file in test),
        "test_prompts": len({prompt for prompt, _ in test}),
        "test_prompts_in_train": len({prompt for prompt, _ in test} & seen),
    }


@pytest.mark.parametrize("name", ["lab-seed1", "random3", "grouped3"])
def test_leakage_is_what_a_count_by_hand_gives(name):
    samples = pd.concat([random_samples(), random_samples(60)], ignore_index=True)
    samples = samples.assign(row=range(len(samples)), image=[f"{row}.png" for row in range(len(samples))])
    table, counts = split_samples(samples, [name])
    for split, found in enumerate(counts[name]):
        roles = table[table["split"] == split]["role"].tolist()
        expected = counted(samples, roles)
        assert found == {"split": split, **expected, "counts_as": split}
        leaks = [value for key, value in expected.items() if key.startswith("test_images_with")]
        assert not any(leaks) if name == "grouped3" else all(leaks)


def test_what_is_seen_only_in_validation_is_no_leak():
    samples = samples_of(["a", "b", "b", "a", "c d", "c d e"], ["1", "2", "2", "3", "4", "5"])
    found = Likeness(samples).count(np.array([TRAIN, VAL, TEST, TEST, VAL, TEST], dtype=object))
    assert (found["test_images_with_prompt_in_train"], found["test_prompts"], found["test_prompts_in_train"]) == (
        1,
        3,
        1,
    )
    assert found["test_images_with_near_prompt_in_train"] == found["test_images_with_bytes_in_train"] == 0


def test_images_that_a_split_does_not_use_leak_nothing():
    samples = samples_of(["a", "a", "b"])
    found = Likeness(samples).count(np.array([UNUSED, TEST, TRAIN], dtype=object))
    assert found["test_images_with_prompt_in_train"] == 0 and found[TRAIN] == found[TEST] == 1


# Splits that count once


def roles_of(test, count=100):
    return np.array([TEST if row in set(test) else TRAIN for row in range(count)], dtype=object)


def test_equal_and_nearly_equal_splits_count_as_the_first():
    tests = [range(20), range(20, 40), range(20), range(1, 20), range(2, 20), range(20, 41), range(3, 23)]
    # 19 of 20 and 18 of 20 of split 0, 20 of 21 of split 1; and 17 of 23 of split 0
    assert count_once([roles_of(test) for test in tests]) == [0, 1, 0, 0, 0, 1, 6]


def test_splits_that_drift_apart_are_held_against_one_that_counts():
    tests = [range(start, start + 40) for start in range(5)]
    # 39 of 41, 38 of 42 are 0.95, 0.905; 37 of 43 are 0.86
    assert SAME_TEST == 0.9
    assert count_once([roles_of(test) for test in tests]) == [0, 0, 0, 3, 3]


def test_what_is_trained_on_does_not_make_a_split_count():
    one = np.array([TRAIN, VAL, TEST, UNUSED], dtype=object)
    assert count_once([one, np.array([VAL, TRAIN, TEST, TRAIN], dtype=object)]) == [0, 0]
    assert count_once([]) == []
