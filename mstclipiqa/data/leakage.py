"""What training may have seen of a test image: its prompt, its bytes, or a prompt that is nearly the same."""

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from mstclipiqa.base.names import TEST, TRAIN, VAL
from mstclipiqa.data.benchmarks import BENCHMARKS

#: Two prompts are nearly identical where so much of their words is shared: words of both by words of either (Jaccard).
NEAR = 0.5

#: Two splits count once where so much of their test images is shared: images of both by images of either.
SAME_TEST = 0.9

#: Prompts that are compared with all others at once.
CHUNK = 500


class Likeness:
    """What the images of a samples table have in common.

    `prompts` (N,) and `files` (N,) number their prompt groups and their bytes. `near` (P, P) is sparse and true where
    two prompt groups, in the order of their texts, are nearly identical, and not the same. `clusters` (N,) numbers what
    no split by prompt may part: images that the same prompt, nearly identical prompts or the same bytes link, directly
    or through others (single linkage). All but `files` are independent of the order of the samples.
    """

    def __init__(self, samples: pd.DataFrame):
        self.prompts, texts = pd.factorize(samples["prompt_group"], sort=True)
        self.files, _ = pd.factorize(samples["sha256"])
        benchmark = BENCHMARKS.get(samples["benchmark"].iloc[0])
        if benchmark and benchmark.composed:
            self.near = _differ_in_one_clause(texts)
        else:
            self.near = _share_words(texts, names=samples["image"])
        self.clusters = self._link()

    def _link(self) -> np.ndarray:
        of_files = sparse.csr_matrix((np.ones(len(self.files), bool), (self.prompts, self.files)))
        _, cluster = connected_components(self.near + of_files @ of_files.T, directed=False)
        return cluster[self.prompts]

    def count(self, roles: np.ndarray) -> dict[str, int]:
        """Of a split, by the role (N,) of each image: images of each role, and of the test images and prompts how many
        have in training the same prompt, a nearly identical one, or an image of the same bytes."""
        train, tested = roles == TRAIN, self.prompts[roles == TEST]
        seen = np.zeros(self.near.shape[0], bool)
        seen[self.prompts[train]] = True
        near, files = self.near @ seen, np.isin(self.files[roles == TEST], self.files[train])
        return {
            **{role: int((roles == role).sum()) for role in (TRAIN, VAL, TEST)},
            "test_images_with_prompt_in_train": int(seen[tested].sum()),
            "test_images_with_near_prompt_in_train": int(near[tested].sum()),
            "test_images_with_bytes_in_train": int(files.sum()),
            "test_prompts": len(np.unique(tested)),
            "test_prompts_in_train": int(seen[np.unique(tested)].sum()),
        }


def _share_words(texts: Sequence[str], names: Sequence[str]) -> sparse.csr_matrix:
    """Which texts share NEAR of their words. A text that is only the name of an image is no prompt, and like none."""
    no_prompts = {" ".join(text.casefold().split()) for name in names for text in (name, PurePath(name).stem)}
    words = [set() if text in no_prompts else set(re.findall(r"\w+", text)) for text in texts]
    has = _incidence(words)
    sizes, pairs = np.array([len(found) for found in words]), []
    for start in range(0, len(texts), CHUNK):
        shared = (has[start : start + CHUNK] @ has[start:].T).tocoo()
        one, other = shared.row + start, shared.col + start
        alike = (one < other) & (shared.data >= NEAR * (sizes[one] + sizes[other] - shared.data))
        pairs.append((one[alike], other[alike]))
    one, other = np.concatenate(pairs, axis=1)
    near = sparse.csr_matrix((np.ones(len(one), bool), (one, other)), (len(texts), len(texts)))
    return near + near.T


def _differ_in_one_clause(texts: Sequence[str]) -> sparse.csr_matrix:
    """Which texts have the same subject, which is the first of their clauses, and differ in one of the others."""
    clauses = [tuple(clause.strip() for clause in text.split(",")) for text in texts]
    rest = [{(k, *found[:k], *found[k + 1 :]) for k in range(1, len(found))} for found in clauses]
    has = _incidence(rest)
    near = (has @ has.T).astype(bool)
    near.setdiag(False)
    near.eliminate_zeros()
    return near


def _incidence(sets: Sequence[set]) -> sparse.csr_matrix:
    """A row for each set and a column for each element of any: 1 where the set has it."""
    numbers: dict[object, int] = {}
    columns = [numbers.setdefault(element, len(numbers)) for found in sets for element in found]
    starts = np.cumsum([0, *map(len, sets)])
    return sparse.csr_matrix((np.ones(len(columns), np.int32), columns, starts), (len(sets), max(len(numbers), 1)))


def count_once(roles: Sequence[np.ndarray]) -> list[int]:
    """For each split of a protocol, by the roles (N,) of its images, the number of the split that it counts as: the
    first that counts as itself and shares SAME_TEST of the test images, or else itself."""
    counted: list[int] = []
    if not roles:
        return counted
    tested = np.array([found == TEST for found in roles], np.float32)
    sizes, shared = tested.sum(1), tested @ tested.T
    same = shared >= SAME_TEST * (sizes[:, None] + sizes - shared)
    for split in range(len(roles)):
        counted.append(next((first for first in dict.fromkeys(counted) if same[split, first]), split))
    return counted
