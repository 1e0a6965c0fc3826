"""Protocols: functions from a samples table to (split, role), and how much of the test set they leak."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mstclipiqa.errors import InputError

TRAIN, VAL, TEST = "train", "val", "test"

#: Seeds the grouped splits, so that split k is the same whatever their number.
GROUPED_SEED = 16799

#: Roles of every sample, in the samples' order.
Roles = np.ndarray


@dataclass(frozen=True)
class Protocol:
    """A family of protocols. `pattern` is the family's name with `{n}` for its number, as in `grouped{n}`.

    `splits` maps (samples, n) to one array of roles per split; `selection` is the epoch that the protocol's
    headline number comes from, and `description` says for the report how it splits.
    """

    pattern: str
    numbers: range
    selection: str
    description: str
    splits: Callable[[pd.DataFrame, int], Iterator[Roles]]

    def number(self, name: str) -> int | None:
        """The n in `name`, or None where the name is of another family."""
        match = re.fullmatch(self.pattern.replace("{n}", r"(0|[1-9]\d*)"), name)
        return int(match[1]) if match and int(match[1]) in self.numbers else None


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
)


def get_protocol(name: str) -> tuple[Protocol, int]:
    """The protocol family and number of a name such as `grouped10`. Raises InputError for an unknown one."""
    for protocol in PROTOCOLS:
        number = protocol.number(name)
        if number is not None:
            return protocol, number
    known = ", ".join(protocol.pattern.replace("{n}", "N") for protocol in PROTOCOLS)
    raise InputError(f"unknown protocol {name!r}; known: {known}, with a number for N")


def describe_protocol(name: str) -> dict[str, str]:
    """What the report says of a protocol: description and main selection."""
    protocol, number = get_protocol(name)
    return {
        "description": protocol.description.replace("{n}", str(number)),
        "selection": protocol.selection,
    }


def split_samples(samples: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    """Every split of the named protocols, and each one's counts and prompt leakage.

    The table has a row per (protocol, split, image) with its role: train, val or test.
    """
    tables, leakage = [], {}
    for name in dict.fromkeys(names):
        protocol, number = get_protocol(name)
        leakage[name] = []
        for split, roles in enumerate(protocol.splits(samples, number)):
            tables.append(pd.DataFrame({"protocol": name, "split": split, "image": samples["image"], "role": roles}))
            leakage[name].append({"split": split, **measure_leakage(samples["prompt_group"], roles)})
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
