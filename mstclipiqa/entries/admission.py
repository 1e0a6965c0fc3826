"""From an entry to predictions of a results folder, held against the benchmark's samples and splits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import RUNS, SAMPLES, SPLITS
from mstclipiqa.base.names import ENTERED, RUN, TEST, UNTRAINED
from mstclipiqa.base.words import mean_and_sd
from mstclipiqa.data.protocols import describe_protocol, split_samples
from mstclipiqa.entries.entry import (
    CARD,
    RUN_COLUMNS,
    SCORED,
    SCORES,
    Entry,
    check_card,
    images_digest,
    labels_digest,
    read_entry,
    read_scores,
    write_entry,
)
from mstclipiqa.evaluation.metrics import average_ranks, plcc, srcc
from mstclipiqa.evaluation.noise_ceiling import RATERS, simulate_truth
from mstclipiqa.evaluation.per_run import measure_runs

#: The protocols under which scores without one are tried.
TRIED = ("lab-seed1", "grouped10")

#: From this correlation with the MOS on, in size, predictions look like the MOS themselves.
MOS_ITSELF = 0.999

#: Below this SRCC a score seems to be one of which less is better.
REVERSED = -0.2

#: What is said of doubtful predictions, with the greatest correlation of them.
COPIED = "implausible: r = {:.4f} with the MOS, as if the predictions were the MOS"
BEYOND_RATERS = f"implausible: SRCC {{:.4f}} is more than the noise of {max(RATERS)} raters allows the true scores"
NEGATIVE = "SRCC {:.4f} is negative: if a lower score is better, the card must say so"
DOUBTS = (COPIED, BEYOND_RATERS, NEGATIVE)


def runs_of_scores(
    scores: pd.DataFrame, samples: pd.DataFrame, splits: pd.DataFrame, target: str, source: object
) -> pd.DataFrame:
    """The predictions (columns of RUNS) that scores are under the protocols of `splits`: those without a protocol under
    all of them, of each split's test images; those of a trained method under the protocols they have.

    Of a protocol, they are of its main selection. Raises InputError, which names the source, the run and the image, for
    images that are missing, doubled, unknown or none of the split's test images, for a split that the protocol lacks,
    and for predictions that are not finite, or equal for all images of a run.
    """
    tested = splits[splits["role"] == TEST][["protocol", "split", "image"]]
    keys = [column for column in ("protocol", "split", "seed") if column in scores]
    twice = scores[scores.duplicated([*keys, "image"])]
    if len(twice):
        place = _place(twice[keys].iloc[0]) if keys else ""
        raise InputError(
            f"{source}{place}: image {twice['image'].iloc[0]} stands twice ({len(twice)} such); keep one row"
        )
    unknown = scores[~scores["image"].isin(samples["image"])]
    if len(unknown):
        raise InputError(
            f"{source}: image {unknown['image'].iloc[0]} is none of {samples['benchmark'].iloc[0]} ({len(unknown)} "
            "such); give the names of the label file"
        )
    if not np.isfinite(scores["prediction"]).all():
        first = scores[~np.isfinite(scores["prediction"])].iloc[0]
        raise InputError(f"{source}: the prediction of {first['image']} is not finite; give every image a number")
    if keys:
        scores = scores[scores["protocol"].isin(set(splits["protocol"]))]
        for key, run in scores.groupby(["protocol", "split", "seed"]):
            _check_images(f"{source}{_place(key)}", run, splits, *key[:2])
        runs = scores.assign(epoch=UNTRAINED + 1)
    else:
        missing = samples["image"][~samples["image"].isin(scores["image"])]
        if len(missing):
            raise InputError(
                f"{source}: no score of image {missing.iloc[0]} ({len(missing)} of {len(samples)} images lack one); "
                "score every image, or name the split that was trained on (columns protocol and split)"
            )
        runs = tested.merge(scores, on="image").assign(seed=0, epoch=UNTRAINED)
    runs["selection"] = runs["protocol"].map(
        {name: describe_protocol(name)["selection"] for name in set(runs["protocol"])}
    )
    runs["mos"] = runs["image"].map(samples.set_index("image")[target]).astype(float)
    for key, run in runs.groupby(RUN):
        if np.ptp(run["prediction"]) == 0:
            raise InputError(
                f"{source}{_place(key[:3])}: all predictions are {run['prediction'].iloc[0]:g}; that ranks nothing"
            )
    return runs[list(RUNS.columns)].sort_values([*RUN, "image"], ignore_index=True)


def _place(key: tuple | pd.Series) -> str:
    return f", {key[0]}, split {key[1]}, seed {key[2]}" if isinstance(key, tuple) else _place(tuple(key))


def _check_images(place: str, run: pd.DataFrame, splits: pd.DataFrame, protocol: str, split: int) -> None:
    """Raises InputError where a run's images are not the test images of its split."""
    of_protocol = splits[splits["protocol"] == protocol]
    own = of_protocol[of_protocol["split"] == split].set_index("image")["role"]
    if own.empty:
        raise InputError(f"{place}: {protocol} has no split {split} here; its splits are {_list(of_protocol['split'])}")
    tested, given = set(own.index[own == TEST]), set(run["image"])
    if given == tested:
        return
    for other, rows in of_protocol[of_protocol["role"] == TEST].groupby("split"):
        if given == set(rows["image"]):
            raise InputError(f"{place}: these are the test images of split {other}; name the split that was trained on")
    if others := sorted(given - tested):
        role = own.get(others[0]) or "no"
        raise InputError(
            f"{place}: image {others[0]} has the role {role} in this split, not {TEST} ({len(others)} such); give its "
            "test images alone"
        )
    missing = sorted(tested - given)
    raise InputError(
        f"{place}: no score of test image {missing[0]} ({len(missing)} of {len(tested)} lack one); score all of them"
    )


def _list(splits: pd.Series) -> str:
    numbers = sorted(splits.unique())
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


def find_doubts(runs: pd.DataFrame, samples: pd.DataFrame, target: str) -> list[str]:
    """What is implausible of predictions, in words; none is refused for it.

    A correlation with the MOS of MOS_ITSELF or more in size: these look like the MOS. An SRCC above those of all draws
    of the true scores themselves, by the noise of the most raters that are spoken of (evaluation/noise_ceiling). An
    SRCC below REVERSED: a lower score seems to be better.
    """
    found: dict[str, list[tuple[float, str]]] = {what: [] for what in DOUBTS}
    truth = _truth_of(samples, target)
    place = pd.Series(range(len(samples)), index=samples["image"])
    for key, run in runs.groupby(RUN):
        predicted, mos = run["prediction"].to_numpy(float), run["mos"].to_numpy(float)
        correlation, rank = plcc(predicted, mos), srcc(predicted, mos)
        what = None
        if abs(correlation) >= MOS_ITSELF:
            what, rank = COPIED, correlation
        elif truth is not None and rank > _most(truth[:, place[run["image"]].to_numpy()], mos):
            what = BEYOND_RATERS
        elif rank < REVERSED:
            what = NEGATIVE
        if what:
            found[what].append((rank, f"{key[0]}, split {key[1]}"))
    count = len(runs[RUN].drop_duplicates())
    return [
        f"{what.format(max(cases)[0])} ({cases[0][1]}; {len(cases)} of {count} runs)"
        for what, cases in found.items()
        if cases
    ]


def _truth_of(samples: pd.DataFrame, target: str) -> np.ndarray | None:
    """Draws of the true scores (draws, images); None of a benchmark that does not publish every SD over raters."""
    if f"{target}_sd" not in samples or samples[f"{target}_sd"].isna().any():
        return None
    return simulate_truth(samples[target].to_numpy(float), samples[f"{target}_sd"].to_numpy(float), max(RATERS))


def _most(truth: np.ndarray, mos: np.ndarray) -> float:
    """The greatest SRCC of draws (draws, n) with the MOS (n,)."""
    ranks = rankdata(truth, axis=1)
    ranks, rated = ranks - ranks.mean(1, keepdims=True), average_ranks(mos)
    rated = rated - rated.mean()
    return float((ranks @ rated / np.sqrt((ranks**2).sum(1) * (rated**2).sum())).max())


def admit(entry: Entry, samples: pd.DataFrame, card: Mapping, splits: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """The predictions of an entry under the splits of a benchmark, and what they say of themselves. `card` is that of
    the samples.

    Raises InputError where the entry was made for other labels or images, where it has no run under these protocols,
    and as `runs_of_scores` does.
    """
    for what, held in (("labels", labels_digest(samples, entry.target)), ("images", images_digest(samples))):
        if entry.card[what] != held:
            raise InputError(
                f"{entry.folder}: was entered for other {what} than {entry.benchmark} has here "
                f"({entry.card[what][:12]}, not {held[:12]}); enter the scores again"
            )
    scores = turned(entry.scores, entry.card)
    runs = runs_of_scores(scores, samples, splits, entry.target, entry.folder / SCORES)
    if runs.empty:
        asked, own = (", ".join(dict.fromkeys(table["protocol"])) for table in (splits, scores))
        raise InputError(
            f"{entry.folder}: has scores under {own}, and the protocols here are {asked}; add one of these"
        )
    return runs, describe(entry, card["synthetic"], runs, find_doubts(runs, samples, entry.target))


def describe(entry: Entry, synthetic: bool, runs: pd.DataFrame, doubts: list[str]) -> dict:
    """What predictions of an entry say of themselves."""
    return {
        "benchmark": entry.benchmark,
        "target": entry.target,
        "recipe": ENTERED,
        "variant": entry.name,
        "synthetic": synthetic,
        "encoders": {},
        "entry": entry.identity,
        "doubts": doubts,
        "runs": len(runs[RUN[:3]].drop_duplicates()),
    }


def turned(scores: pd.DataFrame, card: Mapping) -> pd.DataFrame:
    """Scores of which more is better."""
    return scores.assign(prediction=-scores["prediction"]) if card["lower_is_better"] else scores


def admit_from_files(output: Path, folder: Path, samples: Path, splits: Path) -> list[str]:
    """Write the predictions of the entry in a folder to `output`, and say what is doubtful of them, a line each."""
    frame, card = SAMPLES.read(samples)
    runs, metadata = admit(read_entry(folder), frame, card, SPLITS.read(splits)[0])
    RUNS.write(output, runs, metadata)
    return metadata["doubts"]


def enter(
    folder: Path,
    file: Path,
    samples: pd.DataFrame,
    sample_card: Mapping,
    card: Mapping,
    run: tuple[str, int] | None = None,
) -> list[str]:
    """Check the scores in a CSV file, write them with the `card` as an entry into `folder`, and say how they do, a line
    each: mean SRCC by protocol, then what is doubtful. `sample_card` is that of the samples.

    `run` is the protocol and split that the method was trained on, where the file does not say it. Scores without one
    are tried under the protocols TRIED. Raises InputError as `read_scores` and `runs_of_scores` do.
    """
    check_card(card, folder / CARD)
    scores = read_scores(file)
    if run and "protocol" in scores:
        raise InputError(f"{file}: names protocols itself; leave out --protocol and --split")
    if run:
        scores = scores.assign(protocol=run[0], split=run[1], seed=0)[[*RUN_COLUMNS, *SCORED]]
    protocols = list(dict.fromkeys(scores["protocol"])) if "protocol" in scores else TRIED
    splits, _ = split_samples(samples, protocols, sample_card)
    runs = runs_of_scores(turned(scores, card), samples, splits, card["target"], file)
    measured = pd.DataFrame(measure_runs(runs))
    write_entry(folder, card, scores)
    said = [
        f"{card['method']}, {protocol}: SRCC {mean_and_sd(of_protocol['srcc'])} over {len(of_protocol)} "
        f"run{'s' * (len(of_protocol) > 1)}"
        for protocol, of_protocol in measured.groupby("protocol", sort=False)
    ]
    return said + find_doubts(runs, samples, card["target"])
