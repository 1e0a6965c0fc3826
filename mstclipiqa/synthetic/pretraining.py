"""Pretraining of the embedded encoder pair on drawn images: contrastive, with quality and artefacts in words.

Both encoders are trained alike, each with a text tower of its own, on the losses

    contrastive      image and caption of a batch find each other (CLIP)
    levels           "a photo with {bad..perfect} quality" by the true quality, softly between two levels
    artefacts        "a {noisy, blurry, ..., clean} picture" by the true strengths
    auxiliary        a linear map of the image embedding gives the image statistics and the artefacts' strengths

The last keeps in the embedding what distinguishes renderings of one content; its linear map is thrown away.
Arithmetic is in bfloat16 on float32 master weights.
"""

import copy
import io
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel

from mstclipiqa.base.device import choose_device
from mstclipiqa.base.files import Parts, atomic
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.names import AUTO, LEVELS
from mstclipiqa.base.progress import progress
from mstclipiqa.base.workers import end_with_parent, naming_killed_workers
from mstclipiqa.encoders.compact_weights import UNKNOWN, write_weights
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.statistics import image_statistics
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.synthetic.corpus import ARTEFACT_WORDS, Corpus, draw_corpus

if TYPE_CHECKING:
    from open_clip import CLIP

LEVEL_TEXTS = [f"a photo with {level} quality" for level in LEVELS]
ARTEFACTS = list(ARTEFACT_WORDS)
ARTEFACT_TEXTS = ["a clean picture", *(f"a {ARTEFACT_WORDS[name]} picture" for name in ARTEFACTS)]

SCORES = torch.arange(1.0, 6.0)

#: From here on torch's fused attention is faster than the plain one on a CPU.
MANY_TOKENS = 100

#: Candidates of a retrieval.
WAYS = 64

#: Seeds of what is drawn to train on and to examine; `pretrain --seed` draws initial weights and batches.
TRAINING_SEED, HELD_OUT_SEED = 0, 1
HELD_OUT = 2000

#: All encoders share one tokenizer.
tokenize = open_clip.get_tokenizer("ViT-B-32")


#: What each loss counts for. The auxiliary one is a mean over some hundred targets.
WEIGHTS = {"contrastive": 1.0, "levels": 0.5, "artefacts": 0.5, "auxiliary": 8.0}


@dataclass(frozen=True)
class Settings:
    """How long and how fast one encoder learns. `patch_dropout` leaves patches out until `dropout_until`."""

    steps: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 150
    patch_dropout: float = 0.0
    dropout_until: float = 0.8
    word_dropout: float = 0.03
    checkpoint_every: int = 250


#: Leaving out most of the patches of the fine encoder costs little and saves most of its time.
PAIR = {
    "mst-small-32": Settings(steps=5200),
    "mst-small-16": Settings(steps=3800, patch_dropout=0.75, dropout_until=0.9),
}


def pretrain_pair(output: Path, work: Path, seed: int, images: int, workers: int, share: float = 1.0) -> None:
    """Draw the corpus into `work`, train both encoders, and write their weights and learning curves to `output`.

    `share` shortens the training. The two train side by side, on a core each, or on one GPU. Resumes where it was
    killed.
    """
    with naming_killed_workers("pretraining"):
        measure(draw_corpus(work, TRAINING_SEED, images, workers), work, workers)
        draw_corpus(work, HELD_OUT_SEED, HELD_OUT, workers)
        processes = min(workers, len(PAIR))
        with ProcessPoolExecutor(processes, get_context("spawn"), initializer=end_with_parent) as pool:
            futures = [pool.submit(_pretrain, name, output, work, seed, images, share) for name in PAIR]
            for future in futures:
                future.result()


def _pretrain(name: str, output: Path, work: Path, seed: int, images: int, share: float) -> None:
    settings = replace(PAIR[name], steps=max(2, round(share * PAIR[name].steps)))
    corpus = draw_corpus(work, TRAINING_SEED, images, 1)
    targets = auxiliary_targets(corpus.labels, measure(corpus, work, 1))
    held_out = draw_corpus(work, HELD_OUT_SEED, HELD_OUT, 1)
    pretrain_encoder(
        name, corpus, targets, held_out, seed, settings, output / f"{name}.safetensors", choose_device(AUTO)
    )


def measure(corpus: Corpus, work: Path, workers: int) -> np.ndarray:
    """The image statistics (N, S) of every image, kept in `work` per shard."""
    parts = Parts(work / "statistics", fingerprint("mstclipiqa.encoders.statistics", "mstclipiqa.synthetic.corpus"))
    paths = [parts.path(f"{number:04d}.npy") for number in range(len(corpus.shards))]
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    if todo:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            files = [str(shard.filename) for shard in corpus.shards]
            futures = [pool.submit(_measure_shard, files[number], paths[number]) for number in todo]
            for future in progress(as_completed(futures), len(todo), "measure the corpus", "shards"):
                future.result()
    return np.concatenate([np.load(path) for path in paths])


def _measure_shard(shard: str, path: Path) -> None:
    values = np.stack([image_statistics(Image.fromarray(image)) for image in np.load(shard, mmap_mode="r")])
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, values)


def caption(row: pd.Series, rng: np.random.Generator) -> str:
    """The content in words; half the time with words for the quality, the artefacts, or both."""
    words = [str(row["content"])]
    if rng.random() < 0.25:
        words.append(f"{LEVELS[min(4, int(5 * row['quality']))]} quality")
    if rng.random() < 0.25:
        for name in ARTEFACTS:
            if row[name]:
                words.append(
                    ("slightly " if row[name] < 0.35 else "very " if row[name] > 0.7 else "") + ARTEFACT_WORDS[name]
                )
    return ", ".join(words)


def level_targets(quality: np.ndarray) -> np.ndarray:
    """Weights (B, 5) of the levels whose mean is the quality (B,) in 0..1: on the two nearest levels."""
    position = 4 * quality[:, None]
    return np.clip(1 - np.abs(position - np.arange(5)), 0, 1).astype(np.float32)


def artefact_targets(strengths: np.ndarray) -> np.ndarray:
    """Weights (B, 11) of the artefact texts: clean, or in proportion to the strengths (B, 10)."""
    total = strengths.sum(1, keepdims=True)
    shares = np.where(total > 0, strengths / np.maximum(total, 1e-9), 0)
    return np.concatenate([total == 0, shares], 1).astype(np.float32)


def few_tokens() -> AbstractContextManager:
    """Attention as its formula: on a CPU torch's fused kernel takes twice as long for fifty tokens."""
    return sdpa_kernel(SDPBackend.MATH)


class Student(nn.Module):
    """A CLIP model, and the linear map of its image embedding to what an image measures."""

    def __init__(self, name: str, targets: int):
        super().__init__()
        self.clip = open_clip.create_model(name)
        self.auxiliary = nn.Linear(self.clip.visual.output_dim, targets)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """As open_clip's."""
        patches = self.clip.visual.grid_size[0] * self.clip.visual.grid_size[1]
        if isinstance(dropout := self.clip.visual.patch_dropout, open_clip.transformer.PatchDropout):
            patches *= 1 - dropout.prob
        with few_tokens() if patches < MANY_TOKENS else nullcontext():
            return self.clip.encode_image(pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """As open_clip's, cut to the longest text of the batch, which changes nothing under a causal mask."""
        clip, length = self.clip, int(tokens.argmax(-1).max()) + 1
        x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
        with few_tokens():
            x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
        return x[torch.arange(len(x)), tokens.argmax(-1)] @ clip.text_projection


def whitened_dct(convolution: nn.Conv2d, pixels: Tensor) -> None:
    """Set the patch embedding to cosines of many frequencies, each scaled to unit variance over `pixels`.

    Three quarters see luminance, half of these the lowest frequencies and half all over the spectrum; the others
    see the two opponent colours at the lowest.
    """
    count, _, side, _ = convolution.weight.shape
    order = sorted(np.ndindex(side, side), key=lambda frequency: (sum(np.square(frequency)), frequency))
    colour, low = count // 8, count // 8 * 3
    spread = np.linspace(low, len(order) - 1, count - 2 * colour - low).astype(int)
    channels = torch.tensor([[1.0, 1, 1], [1, -1, 0], [0.5, 0.5, -1]])
    position = (torch.arange(side) + 0.5) * math.pi / side
    chosen = [(0, order[i]) for i in (*range(low), *spread)]
    chosen += [(channel, order[i]) for channel in (1, 2) for i in range(colour)]
    for row, (channel, (v, u)) in zip(convolution.weight.data, chosen, strict=True):
        row.copy_(channels[channel][:, None, None] * torch.outer(torch.cos(v * position), torch.cos(u * position)))
    with torch.no_grad():
        spread_of = convolution(pixels).std((0, 2, 3))
        convolution.weight /= spread_of[:, None, None, None].clamp(min=1e-4)


def normalise(pixels: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Images (B, 224, 224, 3), uint8, as a model's input (B, 3, 224, 224) on a device; open_clip's own mean and SD."""
    mean, std = 255 * torch.tensor([open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD], device=device)
    return torch.from_numpy(pixels).to(device).float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def batches(count: int, size: int, steps: int, seed: int, start: int) -> Iterator[np.ndarray]:
    """Rows of batch `start` and on; every epoch is a permutation of its own."""
    per_epoch = count // size
    for step in range(start, steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == start:
            order = np.random.default_rng([seed, epoch]).permutation(count)
        yield order[position * size : (position + 1) * size]


def auxiliary_targets(labels: pd.DataFrame, statistics: np.ndarray) -> np.ndarray:
    """What the auxiliary map is to give (N, T), standardised: image statistics, artefacts' strengths, quality."""
    values = np.concatenate([statistics, labels[[*ARTEFACTS, "quality"]].to_numpy()], axis=1, dtype=np.float64)
    values = (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)
    return np.clip(values, -4, 4).astype(np.float32)


def pretrain_encoder(
    name: str,
    corpus: Corpus,
    targets: np.ndarray,
    held_out: Corpus,
    seed: int,
    settings: Settings,
    output: Path,
    device: torch.device,
) -> None:
    """Train the open_clip model `name` and write its weights and its learning curve (`<output>.csv`).

    Resumes at its last checkpoint. Equal seeds on one machine give equal bytes.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    master = Student(name, targets.shape[1])
    whitened_dct(master.clip.visual.conv1, normalise(corpus.pixels(np.arange(0, len(corpus.labels), 97)[:256])))
    master.to(device)
    decayed = [p for p in master.parameters() if p.ndim > 1]
    others = [p for p in master.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True,
    )  # fmt: skip
    parts = Parts(
        output,
        [fingerprint(__name__, data=["encoders/model_configs"]), name, seed, asdict(settings), len(corpus.labels)],
    )
    checkpoint, start, curve = parts.path("checkpoint.pt"), 0, []
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        master.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        start, curve = state["step"], state["curve"]
    student = copy.deepcopy(master).to(torch.bfloat16)
    # The scale of the logits is the master's: it needs more digits than bfloat16 has.
    pairs = list(zip(student.parameters(), master.parameters(), strict=True))
    labels = corpus.labels
    strengths, quality = labels[ARTEFACTS].to_numpy(np.float32), labels["quality"].to_numpy(np.float32)
    rows_of = batches(len(labels), settings.batch_size, settings.steps, seed, start)
    steps = range(start, settings.steps)
    fixed = tokenize(LEVEL_TEXTS + ARTEFACT_TEXTS)
    for step, rows in zip(progress(steps, len(steps), f"pretrain {name}", "steps"), rows_of, strict=True):
        rng = np.random.default_rng([seed, step, 1])
        torch.manual_seed(int(rng.integers(2**31)))  # of the patch dropout
        dropout = settings.patch_dropout if step < settings.dropout_until * settings.steps else 0.0
        student.clip.visual.patch_dropout = open_clip.transformer.PatchDropout(dropout) if dropout else nn.Identity()
        student.train()
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        tokens = tokenize([caption(labels.iloc[row], rng) for row in rows])
        ends = tokens >= 49406
        dropped = torch.from_numpy(rng.random(tuple(tokens.shape)) < settings.word_dropout) & ~ends & (tokens > 0)
        tokens = torch.cat([tokens.masked_fill(dropped, UNKNOWN), fixed]).to(device)
        pixels = normalise(corpus.pixels(rows), device).to(torch.bfloat16)
        loss, parts_of_loss = losses(
            student, master.clip.logit_scale, pixels, tokens,
            level_targets(quality[rows]), artefact_targets(strengths[rows]), targets[rows],
        )  # fmt: skip
        optimiser.zero_grad(set_to_none=True)
        student.zero_grad(set_to_none=True)
        loss.backward()
        for low, high in pairs:
            if low.grad is not None:
                high.grad = low.grad.float()
        torch.nn.utils.clip_grad_norm_(master.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            master.clip.logit_scale.clamp_(0, math.log(100))
            for low, high in pairs:
                low.copy_(high)
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            curve.append({"step": step + 1, **parts_of_loss, **examine(student.clip, held_out, 768)})
            state = {"model": master.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            buffer = io.BytesIO()  # of a full disk torch.save says less than writing bytes does
            torch.save({**state, "curve": curve}, buffer)
            with atomic(checkpoint) as temporary:
                temporary.write_bytes(buffer.getvalue())
    used = torch.unique(tokenize([*LEVEL_TEXTS, *ARTEFACT_TEXTS, *all_words(labels)]))
    write_weights(output, master.clip, used)
    with atomic(output.with_suffix(".csv")) as temporary:
        pd.DataFrame(curve).round(4).to_csv(temporary, index=False)
    parts.clear()


def schedule(step: int, settings: Settings) -> float:
    """The learning rate as a share of its highest: linear warm-up, then a cosine to zero."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    share = (step - settings.warm_up) / (settings.steps - settings.warm_up)
    return 0.5 + 0.5 * math.cos(math.pi * share)


def losses(
    student: Student, logit_scale: Tensor, pixels: Tensor, tokens: Tensor,
    levels: np.ndarray, artefacts: np.ndarray, measures: np.ndarray,
) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
    """The weighted sum of the losses of a batch of B images, and each of them.

    `tokens` are those of B captions, then of the five levels, then of the eleven artefact texts.
    """
    count, device = len(pixels), pixels.device
    features = student.encode_image(pixels)
    image = F.normalize(features.float(), dim=-1)
    text = F.normalize(student.encode_text(tokens).float(), dim=-1)
    scale = logit_scale.exp()
    logits = scale * image @ text[:count].T
    pairs = torch.arange(count, device=device)
    parts = {
        "contrastive": 0.5 * (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)),
        "levels": F.cross_entropy(scale * image @ text[count : count + 5].T, torch.from_numpy(levels).to(device)),
        "artefacts": F.cross_entropy(scale * image @ text[count + 5 :].T, torch.from_numpy(artefacts).to(device)),
        "auxiliary": F.smooth_l1_loss(student.auxiliary(features).float(), torch.from_numpy(measures).to(device)),
    }
    total = sum((WEIGHTS[name] * part for name, part in parts.items()), torch.zeros((), device=device))
    return total, {name: part.item() for name, part in parts.items()}


@torch.inference_mode()
def examine(model: "CLIP", held_out: Corpus, count: int | None = None) -> dict[str, float]:
    """How well a CLIP model does on the first `count` images of a corpus that training does not see.

    retrieval: share of images that find their own caption among those of WAYS images. zero_shot_quality: SRCC of
    the true quality with the expected level under LEVEL_TEXTS.
    """
    model.eval()
    kind, labels = model.visual.conv1.weight, held_out.labels.iloc[:count]
    rows = np.arange(len(labels))

    def encode(texts: list[str]) -> Tensor:
        return F.normalize(model.encode_text(tokenize(texts).to(kind.device)).float(), dim=-1)

    shown = (normalise(held_out.pixels(rows[i : i + 64]), kind.device).to(kind) for i in rows[::64])
    encoded = [model.encode_image(pixels) for pixels in shown]
    images = F.normalize(torch.cat(encoded).float(), dim=-1)
    quality = torch.softmax(model.logit_scale.float().exp() * images @ encode(LEVEL_TEXTS).T, -1) @ SCORES.to(
        kind.device
    )
    distinct = labels.drop_duplicates("content").index.to_numpy(copy=True)
    groups = distinct[: len(distinct) // WAYS * WAYS].reshape(-1, WAYS)
    found = [(images[group] @ encode(labels["content"][group].tolist()).T).argmax(1).cpu() for group in groups]
    return {
        "retrieval": (torch.stack(found) == torch.arange(WAYS)).float().mean().item(),
        "zero_shot_quality": srcc(quality.cpu().numpy(), labels["quality"]),
    }


def all_words(labels: pd.DataFrame) -> list[str]:
    """Every text that training may have shown, in its words."""
    adverbs = [f"{adverb}{word}" for adverb in ("", "slightly ", "very ") for word in ARTEFACT_WORDS.values()]
    return [*labels["content"].unique(), *(f"scene, {level} quality, {word}" for level in LEVELS for word in adverbs)]
