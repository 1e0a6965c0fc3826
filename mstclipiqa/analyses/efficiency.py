"""What each model costs, from image to score: parameters, operations counted, time measured side by side.

A model's parts are the encoders that its fusion looks at, the text tower where its head reads the prompt, and its own
fusion and head; it costs what its parts do.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mstclipiqa.base.device import choose_device
from mstclipiqa.base.layout import EFFICIENCY, TIMED
from mstclipiqa.base.names import AUTO, LEVELS
from mstclipiqa.base.progress import progress
from mstclipiqa.encoders.adaptation import count_adapted
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.model.build import MSTCLIPIQA, build_model, count_trainable, made_up_inputs, used_encoders
from mstclipiqa.study.study import Study
from mstclipiqa.training.process import prepare_process

#: Images at a time: one, for the latency, and enough for the throughput.
BATCHES = (1, 32)

#: Each part is timed so many times, all parts in turn.
ROUNDS = 5

#: A prompt of a common length; CLIP's text towers pad it to their context.
PROMPT = "a red bicycle leaning against a brick wall in the morning light"


@dataclass(frozen=True)
class Part:
    """What takes a batch of images or prompts: `step` runs it on so many of them."""

    step: Callable[[int], object]
    parameters: int


def build_parts(study: Study, encoders: dict[str, Encoder]) -> tuple[dict[object, Part], dict[tuple, MSTCLIPIQA]]:
    """The parts of all models of a study (its encoders by name, "text", and the fusion and head of each recipe and
    variant by that pair), and the models by that pair. `encoders` are the configuration's, by name."""
    prepare_process()
    dim, width, device = encoders["coarse"].identity["dim"], _width(study, encoders), encoders["coarse"].device
    levels = torch.randn(len(LEVELS), dim, generator=torch.Generator().manual_seed(0))
    models = {
        (recipe, variant): build_model(
            variant, study.recipes[recipe], dim, width, levels, 0, levels,
            [encoders[name].identity["dim"] for name in study.streams(recipe, variant)],
        ).to(device).eval()
        for recipe, variant in dict.fromkeys((job.recipe, job.variant) for job in study.jobs)
    }  # fmt: skip
    parts: dict[object, Part] = {name: image_part(encoder) for name, encoder in encoders.items()}
    parts["text"] = text_part(encoders[study.config["text_encoder"]])
    parts |= {key: head_part(model, width, device) for key, model in models.items()}
    return parts, models


def _width(study: Study, encoders: dict[str, Encoder]) -> int:
    """The width T of the prompts' token states."""
    return encoders[study.config["text_encoder"]].identity["text_width"]


def count_efficiency(study: Study, encoders: dict[str, Encoder]) -> pd.DataFrame:
    """What is counted of every recipe and variant of a study, a row each.

    Columns: encoders (the names of those in use, joined by +), prompt (whether a prompt is read), trained and total
    (parameters), gflops (of one image and its prompt, a multiply-add being two; products and convolutions alone). The
    encoders' weights do not matter.
    """
    parts, models = build_parts(study, encoders)
    gflops = {name: count_flops(part) / 1e9 for name, part in parts.items()}
    rows = []
    for key, model in models.items():
        used = used_encoders(model, study.streams(*key), _width(study, encoders))
        needed = _needed(used, model, key)
        row = dict(zip(("recipe", "variant"), key, strict=True))
        adaptation = study.recipes[key[0]].adaptation
        # What is trained costs what it costs frozen: what LoRA adds is added to a matrix.
        trained = count_trainable(model) + sum(count_adapted(encoders[name], adaptation) for name in used if adaptation)
        row |= {"encoders": "+".join(used), "prompt": model.uses_prompt, "trained": trained}
        row |= {"total": sum(parts[name].parameters for name in needed)}
        rows.append(row | {"gflops": sum(gflops[name] for name in needed)})
    return pd.DataFrame(rows)


def count_again(study: Study) -> pd.DataFrame:
    """As `count_efficiency`, with encoders of the study's architectures whose weights are drawn, and then let go."""
    return count_efficiency(
        study, {name: hollow_encoder(one["model"]) for name, one in study.config["encoders"].items()}
    )


def hollow_encoder(model: str) -> Encoder:
    """An encoder to count, of which no weight is held."""
    encoder = load_encoder(model, "random:0")
    _let_go(encoder.model.parameters())
    return encoder


def _let_go(parameters: Iterable[nn.Parameter]) -> None:
    """Free the memory of weights that do not matter: each parameter keeps its shape, and is one zero, seen everywhere.
    The five encoders of the paper's study would take 3 GB."""
    for parameter in parameters:
        parameter.data = parameter.data.new_zeros(()).expand(parameter.shape)


def time_efficiency(study: Study, encoders: dict[str, Encoder]) -> tuple[pd.DataFrame, dict]:
    """What is timed of every recipe and variant of a study, a row each, and what it was timed on.

    Columns: ms_1 and ms_32 (milliseconds an image, one or 32 at a time: the median over ROUNDS; decoding is left out).
    Times are of one thread on a CPU, or of the GPU where there is one.
    """
    parts, models = build_parts(study, encoders)
    device = encoders["coarse"].device
    times, rows = time_parts(parts, device), []
    for key, model in models.items():
        needed = _needed(used_encoders(model, study.streams(*key), _width(study, encoders)), model, key)
        row = dict(zip(("recipe", "variant"), key, strict=True))
        rows.append(row | {f"ms_{size}": times.loc[size, needed].sum(axis=1).median() for size in BATCHES})
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "one CPU thread"
    labels = {name: encoder.identity["label"] for name, encoder in encoders.items()}
    return pd.DataFrame(rows), {"device": device.type, "machine": machine, "rounds": ROUNDS, "encoders": labels}


def _needed(used: list[str], model: MSTCLIPIQA, key: tuple[str, str]) -> list[object]:
    """The parts that a model has: the encoders in use, the text tower where it reads prompts, and its own."""
    return [*dict.fromkeys(used), *(["text"] if model.uses_prompt else []), key]


def measure_efficiency(study: Study, encoders: dict[str, Encoder]) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """As `count_efficiency` and `time_efficiency`."""
    timed, metadata = time_efficiency(study, encoders)
    return count_efficiency(study, encoders), timed, metadata


def efficiency_from_study(study: Study, output: Path, timings: Path) -> None:
    """Measure a study's models with its encoders; write what is counted to `output`, what is timed to `timings`. Where
    every benchmark comes from a pack, weights are drawn: they change neither, and may not be at hand."""
    extraction, drawn = study.config["extraction"], study.texts_packed is not None
    precision, device = extraction["precision"], choose_device(extraction.get("device", AUTO))
    encoders = {}
    for name, asked in study.config["encoders"].items():
        encoder = load_encoder(asked["model"], "random:0" if drawn else asked["weights"], device, precision)
        if name != study.config["text_encoder"]:
            _let_go(weight for part, weight in encoder.model.named_parameters() if not part.startswith("visual."))
        encoders[name] = encoder
    counted, timed, metadata = measure_efficiency(study, encoders)
    TIMED.write(timings, timed, metadata)
    EFFICIENCY.write(output, counted, {"encoders": metadata["encoders"]})


def image_part(encoder: Encoder) -> Part:
    """An image encoder, on made-up pixels."""
    visual = encoder.model.visual
    pixels = torch.randn(max(BATCHES), 3, *visual.image_size)
    return Part(lambda size: encoder.encode_images(pixels[:size]), _count(visual))


def text_part(encoder: Encoder) -> Part:
    """The text tower of an encoder, on PROMPT."""
    return Part(
        lambda size: encoder.encode_texts([PROMPT] * size), _count(encoder.model) - _count(encoder.model.visual)
    )


def head_part(model: MSTCLIPIQA, width: int, device: torch.device) -> Part:
    """A fusion and its head, on made-up features and prompts."""
    inputs = made_up_inputs(model, max(BATCHES), width, device, tokens=len(PROMPT.split()) + 2)
    with_gradients_off = torch.inference_mode()(lambda size: model(*(part[:size] for part in inputs)).cpu())
    return Part(with_gradients_off, _count(model))


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(part: Part) -> int:
    """Floating-point operations of a part on one image: those of matrix products and convolutions."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into fused attention
    try:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            part.step(1)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


def time_parts(parts: dict[object, Part], device: torch.device) -> pd.DataFrame:
    """Milliseconds an image of every part (columns), by images at a time and round (rows)."""
    rows = {}
    for number in progress(range(-1, ROUNDS), ROUNDS + 1, "time the models", "rounds"):
        for size in BATCHES:
            found = {}
            for name, part in parts.items():
                start = time.perf_counter()
                part.step(size)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                found[name] = 1e3 * (time.perf_counter() - start) / size
            if number >= 0:  # the first round sets up what later ones find
                rows[size, number] = found
    frame = pd.DataFrame(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["images", "round"]))
    return frame.set_axis(pd.Index(list(parts), tupleize_cols=False), axis=1)
