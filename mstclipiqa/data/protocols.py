"""Protocols: functions from a samples table to (split, role), and how much of the test set they leak."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mstclipiqa.base.errors import InputError, no_rights
from mstclipiqa.base.layout import SAMPLES, SPLITS
from mstclipiqa.base.names import TEST, TRAIN, UNUSED, VAL
from mstclipiqa.base.text import printable
from mstclipiqa.data.benchmarks import BENCHMARKS
from mstclipiqa.data.label_files import first_row, read_delimited

#: Seeds the grouped and the random splits, so that split k is the same whatever their number.
GROUPED_SEED, RANDOM_SEED = 16799, 2606

#: Seeds the released code's split.
RELEASED_SEED = 42

#: Where published splits lie, relative to the checkout: NAME.csv for the protocol file-NAME, with the columns
#: benchmark, image (as in the label file), split (from 0) and role (train, val, test).
SPLIT_FILES = Path("config/splits")
SPLIT_COLUMNS = ["benchmark", "image", "split", "role"]

#: Roles of every sample, in the samples' order.
Roles = np.ndarray


@dataclass(frozen=True)
class Protocol:
    """A family of protocols. `pattern` is the family's name with `{n}` for its number, as in `grouped{n}`, or
    `{name}` for that of a file; a family of one has neither.

    `splits` maps (samples, number) to one array of roles per split, or, of a file, (samples, name, excluded images);
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


def lab_splits(samples: pd.DataFrame, seed: int) -> Iterator[Roles]:
    """The laboratory's public loaders: shuffle the label rows with numpy's legacy generator, first 80 % train."""
    order = np.arange(len(samples))
    np.random.RandomState(seed).shuffle(order)
    roles = np.full(len(samples), TEST, dtype=object)
    roles[order[: int(0.8 * len(samples))]] = TRAIN
    yield roles


def grouped_splits(samples: pd.DataFrame, count: int) -> Iterator[Roles]:
    """`count` random 64/16/20 splits by prompt group: no prompt of one role is seen in another."""
    groups = np.array(sorted(samples["prompt_group"].unique()), dtype=object)
    held_out = max(1, round(0.2 * len(groups)))
    chosen = max(1, round(0.2 * (len(groups) - held_out)))
    if len(groups) < held_out + chosen + 1:
        raise InputError(f"{len(groups)} distinct prompts are too few to split by prompt; use another protocol")
    for split in range(count):
        shuffled = np.random.default_rng([GROUPED_SEED, split]).permutation(groups)
        role_of = dict.fromkeys(groups, TRAIN)
        role_of |= dict.fromkeys(shuffled[:held_out], TEST)
        role_of |= dict.fromkeys(shuffled[held_out : held_out + chosen], VAL)
        yield samples["prompt_group"].map(role_of).to_numpy(dtype=object)


def random_splits(samples: pd.DataFrame, count: int) -> Iterator[Roles]:
    """`count` random 80/20 splits by image."""
    for split in range(count):
        order = np.random.default_rng([RANDOM_SEED, split]).permutation(len(samples))
        roles = np.full(len(samples), TEST, dtype=object)
        roles[order[: int(0.8 * len(samples))]] = TRAIN
        yield roles


def released_splits(samples: pd.DataFrame, _: int) -> Iterator[Roles]:
    """The released code's torch.utils.data.random_split, 80/20 by image, with a generator of seed 42."""
    import torch  # the Snakefile reads this module, and needs no torch

    sizes = [int(0.8 * len(samples)), len(samples) - int(0.8 * len(samples))]
    generator = torch.Generator().manual_seed(RELEASED_SEED)
    images = torch.utils.data.TensorDataset(torch.arange(len(samples)))
    train = torch.utils.data.random_split(images, sizes, generator)[0]
    roles = np.full(len(samples), TEST, dtype=object)
    roles[train.indices] = TRAIN
    yield roles


def published_splits(samples: pd.DataFrame, name: str, excluded: Mapping[str, str]) -> Iterator[Roles]:
    """The splits of config/splits/<name>.csv, in the order of their numbers; none where the file has no row of this
    benchmark. `excluded` says of images with labels why these are not used.

    Raises InputError for a file that is missing or not of the format; a benchmark, role or image that is unknown; an
    image that is not used, or stands twice in one split; and splits that are not numbered from 0, one after another.
    """
    path, table = SPLIT_FILES / f"{name}.csv", _read_published(name)
    table = table[table["benchmark"] == samples["benchmark"].iloc[0]]
    unused = table[table["image"].isin(excluded)]
    if len(unused):
        image, split = unused.iloc[0][["image", "split"]]
        raise InputError(
            f"{path}: image {image!r} of split {split} is excluded by the reader ({len(unused)} such rows), because of "
            f"{excluded[image]}; take it out"
        )
    for column, known in (("image", set(samples["image"])), ("role", [TRAIN, VAL, TEST])):
        _refuse_unknown(path, table, column, known)
    strange = table.loc[~table["split"].str.fullmatch("0|[1-9][0-9]{0,5}"), "split"]
    numbers = sorted(set(table["split"]), key=lambda number: (len(number), number))
    if len(strange) or numbers != [str(number) for number in range(len(numbers))]:
        shown = ", ".join(map(repr, list(dict.fromkeys([*strange, *numbers]))[:3]))
        raise InputError(f"{path}: splits are numbered from 0, one after another, not {shown}; mend it")
    twice = table[table.duplicated(["split", "image"])]
    if len(twice):
        image, split = twice.iloc[0][["image", "split"]]
        raise InputError(f"{path}: {image!r} stands twice in split {split} ({len(twice)} such rows); mend it")
    for number in numbers:
        roles = table[table["split"] == number].set_index("image")["role"]
        yield roles.reindex(samples["image"]).fillna(UNUSED).to_numpy(dtype=object)


def _read_published(name: str) -> pd.DataFrame:
    """The rows of config/splits/<name>.csv as text. Raises InputError where it is missing or not of the format."""
    path = SPLIT_FILES / f"{name}.csv"
    try:
        header = first_row(path)
        if header != SPLIT_COLUMNS:
            shown = printable(", ".join(header)[:200])
            raise InputError(f"{path}: has the columns {shown}; give {', '.join(SPLIT_COLUMNS)}")
        table = read_delimited(path, dtype=str, keep_default_na=False)
    except PermissionError:
        raise no_rights(path) from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}); protocol file-{name} is this file") from None
    _refuse_unknown(path, table, "benchmark", sorted(BENCHMARKS))
    return table.fillna("")


def _refuse_unknown(path: Path, table: pd.DataFrame, column: str, known: Collection[str]) -> None:
    strange = table.loc[~table[column].isin(known), column]
    if len(strange):
        listed = f"; known: {', '.join(known)}" if isinstance(known, list) else ""
        raise InputError(f"{path}: {column} {strange.iloc[0]!r} is unknown ({len(strange)} such rows); mend it{listed}")


PROTOCOLS = (
    Protocol(
        "lab-seed{n}",
        range(2**32),
        "best-on-test",
        "label rows shuffled by numpy.random.seed({n}), first 80 % for training, by image; "
        "the epoch with the best SRCC on the test images is reported, as the released code does",
        lab_splits,
    ),
    Protocol(
        "grouped{n}",
        range(1, 1000),
        "validation",
        "{n} random splits by prompt (64/16/20 % train/validation/test): no test prompt is seen in training; "
        "the epoch is chosen on the validation prompts",
        grouped_splits,
    ),
    Protocol(
        "released",
        range(1),
        "best-on-test",
        "torch.utils.data.random_split with a generator of seed 42, 80/20 by image, as the released code splits and "
        "reports: the epoch with the best SRCC on the test images",
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
    samples: pd.DataFrame, names: list[str], excluded: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    """Every split of the named protocols, and each one's counts and prompt leakage. `excluded` is that of the samples'
    card: why images with labels are not used.

    The table has a row per (protocol, split, image) with its role: train, val or test. Raises InputError for a split
    without training images or without test images, where no protocol has a split of the benchmark, and as the
    protocols do.
    """
    tables = []
    leakage: dict[str, list[dict]] = {}
    files: list[str] = []
    for name in dict.fromkeys(names):
        protocol, argument = get_protocol(name)
        leakage[name] = []
        if isinstance(argument, str):
            files.append(argument)
            splits = protocol.splits(samples, argument, excluded or {})
        else:
            splits = protocol.splits(samples, argument)
        for split, roles in enumerate(splits):
            for role in (TRAIN, TEST):
                if not (roles == role).any():
                    raise InputError(
                        f"{name}: split {split} has no {role} images; every split needs {TRAIN} and {TEST}"
                    )
            table = pd.DataFrame({"protocol": name, "split": split, "image": samples["image"], "role": roles})
            tables.append(table[table["role"] != UNUSED])
            leakage[name].append({"split": split, **measure_leakage(samples["prompt_group"], roles)})
    if not tables:
        found = [
            f"{SPLIT_FILES / file}.csv has {', '.join(sorted(set(_read_published(file)['benchmark'])))}"
            for file in files
        ]
        own = samples["benchmark"].iloc[0]
        raise InputError(f"{', '.join(names)}: no split of {own}; {'; '.join(found)}; choose another protocol")
    return pd.concat(tables, ignore_index=True), leakage


def measure_leakage(prompt_groups: pd.Series, roles: Roles) -> dict[str, int]:
    """Images per role, and how many test images and test prompts have their prompt in training too."""
    training = set(prompt_groups[roles == TRAIN])
    test = prompt_groups[roles == TEST]
    return {
        **{role: int((roles == role).sum()) for role in (TRAIN, VAL, TEST)},
        "test_images_with_prompt_in_train": int(test.isin(training).sum()),
        "test_prompts": int(test.nunique()),
        "test_prompts_in_train": len(set(test) & training),
    }


def splits_from_samples(output: Path, samples: Path, names: Sequence[str]) -> list[str]:
    """Split a samples table under the named protocols, write the splits table `output`, and say what leaks, a line
    for each split."""
    frame, card = SAMPLES.read(samples)
    splits, leakage = split_samples(frame, list(names), card.get("excluded"))
    SPLITS.write(output, splits, {"benchmark": card["benchmark"], "protocols": leakage})
    return [
        f"{card['title']}, {protocol} split {count['split']}: {count['train']} train, {count['val']} val, "
        f"{count['test']} test; {count['test_images_with_prompt_in_train']} test images have their prompt in training"
        for protocol, counts in leakage.items()
        for count in counts
    ]
