"""Protocols: functions from a samples table to (split, role), and what each split leaks."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.base.names import TEST, TRAIN, UNUSED, VAL
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.benchmarks.benchmark import KINDS, shuffled_rows
from mstclipiqa.data.label_files import MOST_ROWS
from mstclipiqa.data.leakage import SAME_TEST, Likeness, count_once
from mstclipiqa.data.published_splits import SPLIT_FILES, Roles, published_splits, read_published

#: Seeds the grouped and the random splits, so that split k is the same whatever their number; and those by generator.
GROUPED_SEED, RANDOM_SEED, GENERATOR_SEED, UNGROUPED_SEED = 16799, 2606, 1999, 799

#: Images that a generator or kind needs to be tested by itself: half of them are.
FEWEST_OF_GENERATOR = 20

#: Seeds the released code's split.
RELEASED_SEED = 42


@dataclass(frozen=True)
class Protocol:
    """A family of protocols. `pattern` is the family's name with `{n}` for its number, as in `grouped{n}`, or
    `{name}` for that of a file; a family of one has neither.

    `splits` maps (samples, number or file's name, the samples' card) to one array of roles per split, or to none where
    the protocol has no split of the benchmark; the samples have a column `cluster` more (`leakage.Likeness`).
    `selection` is the epoch that the protocol's headline number comes from, and `description` says for the report how
    it splits.
    """

    pattern: str
    numbers: range
    selection: str
    description: str
    splits: Callable[..., Iterator[Roles]]

    def argument(self, name: str) -> int | str | None:
        """The number or the file's name in `name`, or None where the name is of another family."""
        expression = self.pattern.replace("{n}", r"(?P<n>0|[1-9]\d*)").replace("{name}", r"(?P<name>[A-Za-z0-9_-]+)")
        match = re.fullmatch(expression, name)
        if not match:
            return None
        number = int(match.groupdict().get("n", 0))
        return match.groupdict().get("name", number) if number in self.numbers else None


def lab_splits(samples: pd.DataFrame, seed: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The shuffle of the laboratory's public loaders, with any seed: of all label rows, first 80 % train."""
    yield _roles_of_rows(samples, shuffled_rows(_count_label_rows(samples, card), seed))


def loader_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The laboratory's public loader of this very benchmark. None where no loader is known, and where the label rows
    stand in another order than in the file that it reads."""
    benchmark = BENCHMARKS.get(samples["benchmark"].iloc[0])
    if benchmark and benchmark.loader and card.get("official_order", True):
        yield _roles_of_rows(samples, benchmark.loader(_count_label_rows(samples, card)))


def released_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The released code's torch.utils.data.random_split of all label rows, 80/20, with a generator of seed 42."""
    import torch  # the Snakefile reads this module, and needs no torch

    rows = _count_label_rows(samples, card)
    sizes = [int(0.8 * rows), rows - int(0.8 * rows)]
    generator = torch.Generator().manual_seed(RELEASED_SEED)
    images = torch.utils.data.TensorDataset(torch.arange(rows))
    tested = np.zeros(rows, dtype=bool)
    tested[torch.utils.data.random_split(images, sizes, generator)[1].indices] = True
    yield _roles_of_rows(samples, tested)


def _count_label_rows(samples: pd.DataFrame, card: Mapping[str, Any]) -> int:
    """How many label rows were read, those without a usable image too: loaders shuffle them all, and one row less
    gives another permutation. Raises InputError for a card that cannot be that of the samples."""
    rows = card.get("rows_read", len(samples))
    if not isinstance(rows, int) or not 0 <= samples["row"].min() <= samples["row"].max() < rows <= MOST_ROWS:
        raise InputError(
            f"samples of {samples['benchmark'].iloc[0]}: their card says {rows!r:.40} label rows, and one is of row "
            f"{samples['row'].max()}; read the benchmark again"
        )
    return rows


def _roles_of_rows(samples: pd.DataFrame, tested: np.ndarray) -> Roles:
    """The role of every sample, by whether its label row is tested (rows,)."""
    return np.where(tested[samples["row"]], TEST, TRAIN).astype(object)


def grouped_splits(samples: pd.DataFrame, count: int, _: Mapping[str, Any]) -> Iterator[Roles]:
    """`count` random splits, 64/16/20 % of the images as nearly as whole clusters allow: no prompt of one role, no
    nearly identical one and no file is seen in another."""
    sizes = samples["cluster"].value_counts().sort_index()
    if len(sizes) < 3:
        raise InputError(f"{len(sizes)} clusters of like prompts are too few to split by prompt; use another protocol")
    for split in range(count):
        shuffled = np.random.default_rng([GROUPED_SEED, split]).permutation(sizes.index)
        test = _take(sizes[shuffled], 0.20 * len(samples), leave=2)
        validation = _take(sizes[shuffled].drop(test), 0.16 * len(samples), leave=1)
        role_of = dict.fromkeys(sizes.index, TRAIN) | dict.fromkeys(test, TEST) | dict.fromkeys(validation, VAL)
        yield samples["cluster"].map(role_of).to_numpy(dtype=object)


def _take(sizes: pd.Series, wanted: float, leave: int) -> list[int]:
    """The first clusters, of those in `sizes` with their images, that together come nearer to `wanted` images with each
    one; at least one, and all but `leave`."""
    taken: list[int] = []
    images = 0
    for cluster, size in sizes.items():
        if len(taken) < len(sizes) - leave and abs(images + size - wanted) < abs(images - wanted):
            taken.append(cluster)
            images += size
    return taken or [sizes.idxmin()]


def ungrouped_splits(samples: pd.DataFrame, count: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """`count` random splits by image, each with as many images in each role as the split of `grouped_splits` of its
    number: what differs is leakage alone."""
    for split, grouped in enumerate(grouped_splits(samples, count, card)):
        yield np.random.default_rng([UNGROUPED_SEED, split]).permutation(grouped)


def random_splits(samples: pd.DataFrame, count: int, _: Mapping[str, Any]) -> Iterator[Roles]:
    """`count` random 80/20 splits by image."""
    for split in range(count):
        order = np.random.default_rng([RANDOM_SEED, split]).permutation(len(samples))
        roles = np.full(len(samples), TEST, dtype=object)
        roles[order[: int(0.8 * len(samples))]] = TRAIN
        yield roles


def leave_generator_out_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """For each generator in turn: half of its images tested, others' trained on. None where there is one generator."""
    yield from _by_generator(samples, seen=False)


def generator_seen_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The same test images, and as many trained on, the other half of the generator's own among them."""
    yield from _by_generator(samples, seen=True)


def _by_generator(samples: pd.DataFrame, seen: bool) -> Iterator[Roles]:
    """A split for each generator of enough images, in the order of their names. All train on equally many images: as
    many as the others of the most frequent one have."""
    sizes = samples["generator"].value_counts().sort_index()
    for number, name in enumerate(sizes[sizes >= FEWEST_OF_GENERATOR].index if len(sizes) > 1 else ()):
        rng = np.random.default_rng([GENERATOR_SEED, number])
        is_own = (samples["generator"] == name).to_numpy()
        own, others = (rng.permutation(np.flatnonzero(rows)) for rows in (is_own, ~is_own))
        half, count = len(own) // 2, len(samples) - sizes.max()
        yield _roles_of(samples, np.concatenate([own[half:], others] if seen else [others])[:count], own[:half])


def gan_to_diffusion_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """GANs' images trained on, diffusion models' tested. None where either kind is missing."""
    yield from _by_kind(samples, "GAN")


def diffusion_to_diffusion_splits(samples: pd.DataFrame, _: int, card: Mapping[str, Any]) -> Iterator[Roles]:
    """The same test images, and as many trained on, of diffusion models."""
    yield from _by_kind(samples, "diffusion")


def _by_kind(samples: pd.DataFrame, trained: str) -> Iterator[Roles]:
    """One split: images of the kind `trained`, as many as there are of GANs, but at most half of the diffusion models',
    are trained on; and all other images of diffusion models tested."""
    listed = read_yaml(KINDS).get(samples["benchmark"].iloc[0], {})
    kinds = samples["generator"].map(lambda name: listed.get(name, {}).get("kind")).to_numpy(dtype=object)
    rng = np.random.default_rng(GENERATOR_SEED)
    by_kind = {kind: rng.permutation(np.flatnonzero(kinds == kind)) for kind in ("GAN", "diffusion")}
    if all(len(rows) >= FEWEST_OF_GENERATOR for rows in by_kind.values()):
        count = min(len(by_kind["GAN"]), len(by_kind["diffusion"]) // 2)
        yield _roles_of(samples, by_kind[trained][:count], by_kind["diffusion"][count:])


def _roles_of(samples: pd.DataFrame, trained: np.ndarray, tested: np.ndarray) -> Roles:
    """The role of every sample, by the rows that are trained on and tested; the others are not used."""
    roles = np.full(len(samples), UNUSED, dtype=object)
    roles[trained], roles[tested] = TRAIN, TEST
    return roles


PROTOCOLS = (
    Protocol(
        "lab-seed{n}",
        range(2**32),
        "best-on-test",
        "all label rows shuffled by numpy.random.seed({n}), first 80 % for training, by image; "
        "the epoch with the best SRCC on the test images is reported, as the released code does",
        lab_splits,
    ),
    Protocol(
        "loader",
        range(1),
        "best-on-test",
        "the one split of the laboratory's public loader of the benchmark, by image: lab-seed1 on AGIQA-1K, AGIQA-3K "
        "and AIGCIQA2023; on PKU-AIGIQA-4K every fourth label row of the official file for test; none on a benchmark "
        "whose loader is not known, such as AIGIQA-20K; the epoch with the best SRCC on the test images is reported",
        loader_splits,
    ),
    Protocol(
        "grouped{n}",
        range(1, 1000),
        "validation",
        "{n} random splits by prompt (about 64/16/20 % of the images train/validation/test): no test prompt, no nearly "
        "identical one and no test image's bytes are seen in training; the epoch is chosen on the validation prompts",
        grouped_splits,
    ),
    Protocol(
        "ungrouped{n}",
        range(1, 1000),
        "validation",
        "{n} random splits by image, as many images in each role as in grouped{n}, the epoch chosen on validation too; "
        "so that what numbers differ by is what it is worth to have seen the prompts",
        ungrouped_splits,
    ),
    Protocol(
        "released",
        range(1),
        "best-on-test",
        "torch.utils.data.random_split of all label rows with a generator of seed 42, 80/20 by image, as the released "
        "code splits and reports: the epoch with the best SRCC on the test images",
        released_splits,
    ),
    Protocol(
        "random{n}",
        range(1, 1000),
        "last",
        "{n} random 80/20 splits by image; the last epoch is reported",
        random_splits,
    ),
    Protocol(
        "leave-generator-out",
        range(1),
        "last",
        "a split for each generator of at least 20 images: a random half of its images is tested, images of the other "
        "generators are trained on, in every split equally many; none with one generator; test prompts are seen in "
        "training, with other generators' images; nothing is chosen, and the last epoch is reported",
        leave_generator_out_splits,
    ),
    Protocol(
        "generator-seen",
        range(1),
        "last",
        "leave-generator-out with the other half of the generator's images among equally many training images; the "
        "test images are the same, so that the difference is what it is worth to have seen the generator",
        generator_seen_splits,
    ),
    Protocol(
        "gan-to-diffusion",
        range(1),
        "last",
        "trained on images of GANs, tested on images of diffusion models, other than diffusion-to-diffusion trains on; "
        "none where either kind is missing; the last epoch is reported",
        gan_to_diffusion_splits,
    ),
    Protocol(
        "diffusion-to-diffusion",
        range(1),
        "last",
        "gan-to-diffusion with as many training images of diffusion models; the test images are the same",
        diffusion_to_diffusion_splits,
    ),
    Protocol(
        "file-{name}",
        range(1),
        "last",
        "the published splits of config/splits/{name}.csv; the last epoch is reported",
        published_splits,
    ),
)


def get_protocol(name: str) -> tuple[Protocol, int | str]:
    """The protocol family and number (or file name) of a name such as `grouped10`. Raises InputError for an unknown
    one."""
    for protocol in PROTOCOLS:
        argument = protocol.argument(name)
        if argument is not None:
            return protocol, argument
    known = ", ".join(protocol.pattern.replace("{n}", "N").replace("{name}", "NAME") for protocol in PROTOCOLS)
    raise InputError(f"unknown protocol {name!r}; known: {known}, with a number for N")


def describe_protocol(name: str) -> dict[str, str]:
    """What the report says of a protocol: description and main selection."""
    protocol, argument = get_protocol(name)
    return {
        "description": protocol.description.replace("{n}", str(argument)).replace("{name}", str(argument)),
        "selection": protocol.selection,
    }


def split_samples(
    samples: pd.DataFrame, names: Sequence[str], card: Mapping[str, Any] | None = None
) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    """Every split of the named protocols, and what each one counts and leaks. `card` is that of the samples; without
    one, they are all label rows.

    The table has a row per (protocol, split, image) with its role: train, val or test; a split that is another again
    (`count_once`) is left out, so that it is not run. The counts are those of `Likeness.count`, and `counts_as`, which
    says what a split is again; a protocol without a split of the benchmark has none. Raises
    InputError for a split without training images or without test images, where no protocol has a split of the
    benchmark, and as the protocols do.
    """
    tables, counts = [], {}
    likeness = Likeness(samples)
    clustered = samples.assign(cluster=likeness.clusters)
    for name in dict.fromkeys(names):
        protocol, argument = get_protocol(name)
        splits = list(protocol.splits(clustered, argument, card or {}))
        counted = count_once(splits)
        check_roles(name, splits)
        for split, roles in enumerate(splits):
            table = pd.DataFrame({"protocol": name, "split": split, "image": samples["image"], "role": roles})
            if counted[split] == split:
                tables.append(table[table["role"] != UNUSED])
        counts[name] = [
            {"split": split, **likeness.count(splits[split]), "counts_as": first} for split, first in enumerate(counted)
        ]
    if not tables:
        reasons = "; ".join([f"no split of {samples['benchmark'].iloc[0]}", *_list_published(names)])
        raise InputError(f"{', '.join(names)}: {reasons}; choose another protocol")
    return pd.concat(tables, ignore_index=True), counts


def check_roles(name: object, splits: Sequence[Roles]) -> None:
    """Raise InputError for a split without training images or without test images."""
    for split, roles in enumerate(splits):
        for role in (TRAIN, TEST):
            if not (roles == role).any():
                raise InputError(f"{name}: split {split} has no {role} images; every split needs {TRAIN} and {TEST}")


def _list_published(names: Sequence[str]) -> list[str]:
    """Which benchmarks the files of the named protocols have, for those that are files."""
    files = [SPLIT_FILES / f"{name.removeprefix('file-')}.csv" for name in names if name.startswith("file-")]
    return [f"{file} has {', '.join(sorted(set(read_published(file)['benchmark'])))}" for file in files]


def splits_from_samples(output: Path, samples: Path, names: Sequence[str]) -> list[str]:
    """Split a samples table under the named protocols, write the splits table `output`, and say what leaks, a line
    for each split."""
    frame, card = SAMPLES.read(samples)
    splits, protocols = split_samples(frame, names, card)
    SPLITS.write(output, splits, {"benchmark": card["benchmark"], "protocols": protocols})
    lines = []
    for protocol, counts in protocols.items():
        if not counts:
            lines.append(f"{card['title']}, {protocol}: no split of this benchmark")
        for count in counts:
            lines.append(f"{card['title']}, {protocol} split {count['split']}: {_describe_split(count)}")
    return lines


def _describe_split(count: dict[str, int]) -> str:
    same = f"; not run: it is split {count['counts_as']} again ({100 * SAME_TEST:.0f} % or more of the test images)"
    return (
        f"{count['train']} train, {count['val']} val, {count['test']} test; "
        f"{count['test_images_with_prompt_in_train']} test images have their prompt in training, "
        f"{count['test_images_with_near_prompt_in_train']} a nearly identical one, "
        f"{count['test_images_with_bytes_in_train']} their bytes" + same * (count["counts_as"] != count["split"])
    )
