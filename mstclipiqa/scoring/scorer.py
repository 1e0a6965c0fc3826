"""Scores of any image by trained heads: one decoding, each encoder once, every head on what it was trained on."""

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import list_files, write_json, write_text
from mstclipiqa.base.json_values import finite
from mstclipiqa.base.names import IMAGE_FORMATS
from mstclipiqa.base.pixels import check_pixels
from mstclipiqa.base.progress import progress
from mstclipiqa.base.text import find_fault, inert, printable
from mstclipiqa.data.label_files import read_delimited
from mstclipiqa.encoders.clip import Encoder, check_encoder, find_weights, load_encoder
from mstclipiqa.encoders.compact_weights import EMBEDDED
from mstclipiqa.encoders.images import read_image
from mstclipiqa.encoders.text_towers import is_text_of_a_hub
from mstclipiqa.scoring.explanation import explain as explain_scores
from mstclipiqa.scoring.novelty import LEVEL
from mstclipiqa.scoring.trained_head import Head, load_head
from mstclipiqa.training.dataset import to_mos

#: What can be scored: a file or folder, an image, an array of one.
Source = Path | str | Image.Image | np.ndarray

#: Decimals of a score in MOS units: beyond them, batches and devices decide.
DECIMALS = 6

LOGGER = logging.getLogger(__name__)


class Scorer:
    """Scores images with trained heads, at most one per target, on a GPU where there is one.

        from mstclipiqa import Scorer
        scorer = Scorer("quality.safetensors", "correspondence.safetensors")
        table = scorer.score("my-images/", prompts="a red fox in the snow")

    `heads` are files written by `mstclipiqa train-head`, or Head objects. `weights` says where an encoder's weights
    are, by the name of its open_clip model, if not where the card says: a pretrained tag or a file.

    Raises InputError for a file that is no head, two heads of one target, and an encoder that cannot be loaded or is
    not the one that a head was trained on: other weights or other preprocessing.
    """

    def __init__(
        self, *heads: Path | str | Head, weights: Mapping[str, str] | None = None, device: torch.device | None = None
    ):
        if not heads:
            raise InputError("no head to score with; train one with `mstclipiqa train-head`")
        self.heads: dict[str, Head] = {}
        for head in heads:
            head = head if isinstance(head, Head) else load_head(head)
            if head.target in self.heads:
                raise InputError(f"{head.name}: a second head of {head.target}, after {self.heads[head.target].name}")
            self.heads[head.target] = head
            if head.card["synthetic"]:
                name = printable(head.name)
                LOGGER.warning("%s has learned from drawn images: its scores of others say nothing", name)
        weights = weights or {}
        used = {identity["model"] for head in self.heads.values() for identity in _identities(head).values()}
        if unknown := sorted(set(weights) - used):
            raise InputError(f"weights of {unknown[0]}: no head uses it; they use {', '.join(sorted(used))}")
        #: By (model, hash of its weights, precision), so that heads share what they have in common.
        self.encoders: dict[tuple[str, str, str], Encoder] = {}
        for head in self.heads.values():
            self.encoders |= {_key(encoder.identity): encoder for encoder in head.encoders}
        for head in self.heads.values():
            for identity in _identities(head).values():
                if _key(identity) not in self.encoders:
                    self.encoders[_key(identity)] = _load(head, identity, weights.get(identity["model"]), device)
                _check(head, identity, self.encoders[_key(identity)])

    @property
    def reads_prompt(self) -> list[str]:
        """The targets whose head reads the generation prompt."""
        return [target for target, head in self.heads.items() if head.model.uses_prompt]

    def score(
        self,
        images: Source | Iterable[Source],
        prompts: str | Mapping[str, str] | Sequence[str] | None = None,
        batch_size: int = 32,
        explain: bool = False,
    ) -> pd.DataFrame:
        """One row per image, with the columns

        image: its path, or `[N]` for the N-th that was given as an image or array
        a column per target: the score, on the scale of the head's benchmark, not clipped
        synthetic: whether a head has learned from drawn images, so that the scores of others say nothing
        unlike_training: whether the image is farther from the training images than 95 % of images held out (`novelty`);
            missing where no head knows
        explanation, with `explain`: by target, what `explanation.explain` says, and the p-value behind unlike_training
        error: why there is no score

        `images` are files, folders, which stand for the images below them, PIL images, and arrays (H, W) or (H, W, 3)
        of uint8. `prompts` is the text that all images were generated from, or a text for each: in the order given, or
        by its path, or by its path inside the folder that was given. An image that does not decode has empty scores.
        Prompts beyond the text encoder's context are cut.

        Raises InputError where there is no image, for an array of another kind, and where a head reads the prompt and
        an image has none.
        """
        given = [images] if isinstance(images, Source) else list(images)
        found: dict[Path, str] = {}
        here: dict[Path, Image.Image] = {}
        for n, one in enumerate(given):
            if isinstance(one, Path | str):
                found |= find_images([one])
            else:
                here[Path(f"[{n}]")] = as_image(f"[{n}]", one)
                found[Path(f"[{n}]")] = f"[{n}]"
        if not found:
            raise InputError("no image to score")
        if prompts is not None and not isinstance(prompts, str | Mapping):
            if len(prompts) != len(found):
                raise InputError(f"{len(prompts)} prompts for {len(found)} images; give one for each")
            prompts = dict(zip(map(str, found), prompts, strict=True))
        texts = self._texts(found, prompts)
        paths, rows = list(found), []
        batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for batch in progress(batches, len(batches), "score", "batches"):
                decoded = list(pool.map(self._decode, [here.get(path, path) for path in batch]))
                said = [texts[path] for path in batch]
                rows.append(self.tabulate([str(path) for path in batch], decoded, said, explain))
        return pd.concat(rows, ignore_index=True)

    def tabulate(
        self,
        names: Sequence[str],
        decoded: Sequence[dict[str, Tensor] | InputError],
        texts: Sequence[str],
        explain: bool = False,
    ) -> pd.DataFrame:
        """The rows of one batch: of each image its name; its pixels (`prepare`), or why there are none; its prompt."""
        good = {n: pixels for n, pixels in enumerate(decoded) if not isinstance(pixels, InputError)}
        details: list[dict] = [{} for _ in good]
        scores, likeness = self._score_batch(
            list(good.values()), [texts[n] for n in good], details if explain else None
        )
        errors = {n: str(pixels) for n, pixels in enumerate(decoded) if isinstance(pixels, InputError)}
        errors |= {list(good)[n]: f"{names[list(good)[n]]}: {why}" for n, why in self._not_finite(scores)}
        frame = pd.DataFrame({"image": pd.Series(list(names), dtype=object)})
        for target in self.heads:
            found = pd.Series(scores.get(target, []), index=list(good), dtype=float)
            frame[target] = found.where(np.isfinite(found))
        frame["synthetic"] = any(head.card["synthetic"] for head in self.heads.values())
        known = pd.Series(likeness, index=list(good), dtype=float).reindex(frame.index)
        frame["unlike_training"] = known.le(LEVEL).astype("boolean").where(known.notna())
        if explain:
            frame["explanation"] = pd.Series(dict(zip(good, details, strict=True)), dtype=object)
        frame["error"] = pd.Series(errors, dtype=object)
        return frame.round(DECIMALS)

    def _not_finite(self, scores: Mapping[str, list[float]]) -> Iterator[tuple[int, str]]:
        """Of a batch, the number of each image that a head gives no finite score, and why it has none."""
        for target, values in scores.items():
            for number, value in enumerate(values):
                if not math.isfinite(value):
                    yield number, f"the {target} score is {value}; {self.heads[target].name} cannot score this image"

    def _texts(self, found: Mapping[Path, str], prompts: str | Mapping[str, str] | None) -> dict[Path, str]:
        """The prompt of every image; empty where no head reads it."""
        if not self.reads_prompt:
            if prompts is not None:
                LOGGER.warning("no head here reads the prompt")
            return dict.fromkeys(found, "")
        named = {} if isinstance(prompts, str) or prompts is None else prompts
        common = prompts if isinstance(prompts, str) else ""
        texts = {path: named.get(str(path)) or named.get(inside) or common for path, inside in found.items()}
        if missing := [path for path, text in texts.items() if not text.strip()]:
            name = self.heads[self.reads_prompt[0]].name
            more = f" ({len(missing)} such images)" if len(missing) > 1 else ""
            raise InputError(f"{missing[0]}: no prompt, which {name} reads; give the text it was generated from{more}")
        for path, text in texts.items():
            if fault := find_fault(text):
                raise InputError(f"{path}: its prompt {fault}; give the text it was generated from")
        if unused := set(named) - set(map(str, found)) - set(found.values()):
            LOGGER.warning("%d prompts are of no image to score, e.g. %s", len(unused), printable(min(unused)))
        self.count_truncated(set(texts.values()))
        return texts

    def count_truncated(self, texts: set[str]) -> None:
        """Say how many of the prompts are longer than a text encoder's context."""
        for identity in {_key(self.heads[target].card["text_encoder"]) for target in self.reads_prompt}:
            encoder = self.encoders[identity]
            limit = encoder.identity["context_length"]
            if count := sum(number > limit for number in encoder.token_counts(sorted(texts))):
                LOGGER.warning("%d prompts are longer than %d tokens and were cut, as in training", count, limit)

    def _decode(self, image: Path | Image.Image) -> dict[str, Tensor] | InputError:
        """The pixels (H, W, 3), uint8, for each preprocessing that an encoder wants, of one decoding."""
        try:
            return self.prepare(read_image(image) if isinstance(image, Path) else image)
        except InputError as error:
            return error

    def prepare(self, image: Image.Image) -> dict[str, Tensor]:
        """The pixels (H, W, 3), uint8, for each preprocessing that an encoder wants, of an RGB image."""
        preprocesses = {_preprocessing(encoder.identity): encoder.preprocess for encoder in self.encoders.values()}
        return {key: preprocess(image) for key, preprocess in preprocesses.items()}

    @torch.inference_mode()
    def _score_batch(
        self, pixels: list[dict[str, Tensor]], texts: list[str], details: list[dict] | None
    ) -> tuple[dict[str, list[float]], np.ndarray]:
        """The scores of a batch by target, from each image's pixels and prompt; and of each image the smallest p-value
        (B,) of being like a head's training images, NaN where no head knows. `details` of each image get what explains
        the scores, by target."""
        if not pixels:
            return {}, np.empty(0)
        streams = {_key(identity) for head in self.heads.values() for identity in head.card["encoders"].values()}
        features = {}
        for key in streams:
            wanted = _preprocessing(self.encoders[key].identity)
            features[key] = self.encoders[key].encode_images(torch.stack([image[wanted] for image in pixels]))
        prompts: dict[tuple[str, str, str], tuple[Tensor, Tensor]] = {}
        scores, likeness = {}, np.full(len(pixels), np.nan)
        for target, head in self.heads.items():
            inputs = [features[_key(head.card["encoders"][stream])] for stream in ("coarse", "fine")]
            if head.model.uses_prompt:
                key = _key(head.card["text_encoder"])
                if key not in prompts:
                    prompts[key] = _encode_prompts(self.encoders[key], texts)
                inputs += prompts[key]
            score = head.model(*inputs).double().numpy()
            scores[target] = to_mos(score, head.card["low"], head.card["high"]).tolist()
            p_values = head.neighbours.p_values(*(stream.numpy() for stream in inputs[:2])) if head.neighbours else None
            if p_values is not None:
                likeness = np.fmin(likeness, p_values)
            if details is not None:
                self._explain(head, inputs, texts, p_values, details)
        return scores, likeness

    def _explain(
        self, head: Head, inputs: list[Tensor], texts: list[str], p_values: np.ndarray | None, details: list[dict]
    ) -> None:
        """Put what explains a head's scores into the `details` of each image."""
        encoder = self.encoders[_key(head.card["text_encoder"])] if head.model.uses_prompt else None
        words = encoder.token_letters(texts) if encoder else []
        for n, found in enumerate(explain_scores(head.model, inputs, words)):
            details[n][head.target] = found
            if p_values is not None:
                details[n][head.target]["p_of_training"] = round(float(p_values[n]), DECIMALS)


def _encode_prompts(encoder: Encoder, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Token states (B, L, T), padded to the longest, and the padding (B, L)."""
    distinct = list(dict.fromkeys(texts))
    states = dict(zip(distinct, encoder.encode_texts(distinct)[0], strict=True))
    tokens = pad_sequence([states[text] for text in texts], batch_first=True)
    lengths = torch.tensor([len(states[text]) for text in texts])
    return tokens, torch.arange(tokens.shape[1]) >= lengths[:, None]


def _identities(head: Head) -> dict[str, dict]:
    """The identities of the encoders that a head needs, by role."""
    text = {"text": head.card["text_encoder"]} if head.model.uses_prompt else {}
    return head.card["encoders"] | text


def _key(identity: Mapping) -> tuple[str, str, str]:
    return identity["model"], identity["weights_sha256"], identity["precision"]


def _preprocessing(identity: Mapping) -> str:
    return json.dumps(identity["preprocessing"], sort_keys=True)


def _load(head: Head, identity: Mapping, weights: str | None, device: torch.device | None) -> Encoder:
    """The encoder of an identity: from `weights`, from a file beside the head, or as the identity says."""
    try:
        place = weights or _place_of_card(head, identity)
        return load_encoder(identity["model"], place, device, identity["precision"])
    except InputError as error:
        raise InputError(f"{head.name}: {error}; --weights {identity['model']}=FILE says where they are") from None


def _place_of_card(head: Head, identity: Mapping) -> str:
    """Where a card's weights are on this machine. A card may be anyone's: it opens no file but one beside its head, and
    nothing is downloaded because it says so. Raises InputError for any other place."""
    model, weights = identity["model"], identity["weights"]
    beside = Path(head.name).parent / weights
    if beside.is_file():
        return str(beside)
    config, tag, file = check_encoder(model, weights)
    if file and weights != EMBEDDED:
        raise InputError(f"weights {weights!r} do not lie beside the head")
    if is_text_of_a_hub(config):
        raise InputError(f"encoder {model}: its text tower or its tokens come from a hub, which no card may ask for")
    if tag and find_weights(tag) is None:
        raise InputError(
            f"weights {weights!r} are not on this machine, and no card may ask for a download; --weights "
            f"{model}={weights} downloads them"
        )
    return weights


def _check(head: Head, identity: Mapping, encoder: Encoder) -> None:
    """Raises InputError where `encoder` is not the one that the head was trained on."""
    own = encoder.identity
    if _key(own) != _key(identity):
        raise InputError(
            f"{head.name}: trained on features of {identity['label']} (sha256 {identity['weights_sha256'][:12]}), but "
            f"these weights are others: {own['label']} (sha256 {own['weights_sha256'][:12]}); give the ones of its card"
        )
    if _preprocessing(own) != _preprocessing(identity):
        raise InputError(f"{head.name}: {own['label']} prepares images otherwise than when the head was trained")
    for size in ("dim", "text_width", "context_length"):
        if own.get(size) != identity.get(size):
            said = f"its card says {size} {identity.get(size)} of {own['label']}, which has {own.get(size)}"
            raise InputError(f"{head.name}: {said}; train the head again")


def as_image(name: str, given: object) -> Image.Image:
    """The RGB image of a PIL image or an array (H, W) or (H, W, 3) of uint8. Raises InputError, which calls it `name`,
    for anything else, and for pixels that no file may have either."""
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or given.ndim not in (2, 3) or given.shape[2:] not in ((), (3,)) or not given.size:
            shape = " x ".join(map(str, given.shape))
            raise InputError(f"{name}: an array of {given.dtype}, {shape}; give uint8, height x width x 3")
        given = Image.fromarray(given)
    if not isinstance(given, Image.Image):
        raise InputError(f"{name}: {type(given).__name__} is no image; give a path, a PIL image or an array")
    check_pixels(name, given)
    return given.convert("RGB")


def find_images(paths: Iterable[Path | str]) -> dict[Path, str]:
    """Every image, and its path inside the folder that was given (a file's own name), in the order given.

    Folders stand for the image files below them, sorted. Raises InputError for a path that does not exist, a folder
    without images, and where nothing is left.
    """
    found: dict[Path, str] = {}
    for path in map(Path, paths):
        if path.is_dir():
            below = [file for file in list_files(path) if file.suffix.lower() in IMAGE_FORMATS]
            if not below:
                raise InputError(f"{path}: no image below it ({', '.join(sorted(IMAGE_FORMATS))})")
            found |= {file: file.relative_to(path).as_posix() for file in below}
        elif path.is_file():
            found[path] = path.name
        else:
            raise InputError(f"{path}: no such file or folder")
    if not found:
        raise InputError("no image to score")
    return found


def read_prompts(path: Path | str) -> dict[str, str]:
    """The prompts of a CSV file with the columns image and prompt. Raises InputError where it is not one."""
    try:
        table = read_delimited(Path(path), dtype=str, keep_default_na=False)  # a prompt may be "None"
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path}: not a CSV file ({' '.join(str(error).split())[:200]})") from None
    if missing := [column for column in ("image", "prompt") if column not in table]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it needs image and prompt")
    twice = table[table.duplicated("image")]
    if len(twice):
        raise InputError(f"{path}: {twice['image'].iloc[0]} stands there twice; leave one")
    return dict(zip(table["image"], table["prompt"], strict=True))


def records(table: pd.DataFrame) -> list[dict]:
    """The rows as JSON has them: null where there is no score or no error."""
    return [{key: None if pd.isna(value) else value for key, value in row.items()} for row in table.to_dict("records")]


def write_scores(path: Path, scorer: Scorer, table: pd.DataFrame) -> None:
    """Write a table of scores as CSV, or as JSON with what each head is; by the ending of `path`."""
    if path.suffix == ".json":
        summaries = {target: finite(head.summary) for target, head in scorer.heads.items()}
        write_json(path, {"heads": summaries, "scores": records(table)})
    else:
        write_text(path, as_csv(table))


def as_csv(table: pd.DataFrame) -> str:
    """A table of scores as CSV. A name that a terminal or a spreadsheet would act on is shown; JSON has it as it is."""
    shown = table[["image", "error"]].map(lambda text: inert(printable(text)) if isinstance(text, str) else text)
    return table.assign(**shown).to_csv(index=False)
