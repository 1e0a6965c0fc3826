"""The heads of other methods against the equations of their authors' code, written out in numpy."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from small_model import DIM, SMALL, WIDTH, affine, array, features, prompts, recipe, shake
from torch import nn

from mstclipiqa.analyses.zero_shot import expectation
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA, build_model
from mstclipiqa.model.rivals import ip_iqa_pool
from mstclipiqa.model.rivals.ma_agiqa_gate import WIDTH as EXPERT
from mstclipiqa.model.variants import RIVAL, VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "rivals.md"
RIVALS = [name for name, variant in VARIANTS.items() if variant.head == RIVAL]


def build(name: str, seed: int = 1) -> MSTCLIPIQA:
    return build_model(name, SMALL, DIM, WIDTH, features(len(LEVELS))[0], seed).eval()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def scored(name: str) -> tuple[np.ndarray, torch.nn.Module, np.ndarray, np.ndarray]:
    """The scores of a head whose trained weights are drawn, the head, and the streams."""
    model = build(name).double()
    shake(nn.ParameterList(value for value in model.parameters() if value.requires_grad))
    f_c, f_f = features()
    asked = prompts() if model.uses_prompt else ()
    return array(model(f_c, f_f, *asked)), model.head.rival, array(f_c), array(f_f)


def test_liqe_expects_the_level_under_a_softmax_of_cosines():
    scores, head, f_c, _ = scored("liqe-frozen")
    z, levels = f_c @ array(head.W).T, array(head.template.levels)
    expected = [softmax(100 * (unit(levels) @ unit(row))) @ [1, 2, 3, 4, 5] for row in z]
    np.testing.assert_allclose(scores, expected, atol=1e-10)


def test_liqe_starts_as_clips_own_answer_and_trains_one_map():
    model, (f_c, f_f), levels = build("liqe-frozen").double(), features(), features(len(LEVELS))[0]
    expected = expectation(array(f_c), array(levels), np.arange(1.0, 6))
    np.testing.assert_allclose(array(model(f_c, f_f)), expected, atol=1e-10)
    assert [name for name, value in model.named_parameters() if value.requires_grad] == ["head.rival.W"]


def test_clip_agiqa_regresses_on_the_image_beside_the_texts():
    scores, head, _, f_f = scored("clip-agiqa-frozen")
    texts = unit(array(features(len(LEVELS))[0])).ravel()
    x = np.concatenate([unit(f_f), np.tile(texts, (len(f_f), 1))], axis=1)
    first, last = head.regression[1], head.regression[4]
    expected = affine(last, np.maximum(affine(first, x), 0))[:, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_ma_agiqas_gate_weighs_experts_without_a_softmax():
    scores, head, *streams = scored("ma-agiqa-gate")
    experts = [np.maximum(affine(part[0], f), 0) for part, f in zip(head.experts, streams, strict=True)]
    gates = affine(head.gate, np.concatenate(experts, axis=1))
    mixed = sum(gates[:, [number]] * expert for number, expert in enumerate(experts))
    np.testing.assert_allclose(scores, affine(head.output, mixed)[:, 0], atol=1e-10)
    assert EXPERT == 28 * 28


def test_ip_iqas_prompt_asks_the_mean_and_both_streams(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ip_iqa_pool, "HEAD_WIDTH", 4)  # of 12 numbers, so that there are three heads
    scores, head, f_c, f_f = scored("ip-iqa-pool")
    tokens, padding = (array(part) for part in prompts())
    expected = []
    for coarse, fine, states, absent in zip(f_c, f_f, tokens, padding, strict=True):
        mean = (coarse + fine) / 2
        patches = np.stack([mean, coarse, fine]) + array(head.positions)
        query, key, value = (
            affine(head.query, states[~absent][-1]),
            affine(head.key, patches),
            affine(head.value, patches),
        )
        answer = np.concatenate([
            softmax(key[:, part] @ query[part] / np.sqrt(4)) @ value[:, part]
            for part in (slice(0, 4), slice(4, 8), slice(8, 12))
        ])  # fmt: skip
        x = np.concatenate([mean, affine(head.output, answer)])
        expected.append(affine(head.regression[4], np.tanh(affine(head.regression[1], x)))[0])
    np.testing.assert_allclose(scores, expected, atol=1e-10)


def test_ip_iqas_score_depends_on_the_prompt_and_not_on_padding():
    model, streams, (tokens, padding) = build("ip-iqa-pool").double(), features(), prompts()
    scores = model(*streams, tokens, padding)
    torch.testing.assert_close(model(*streams, *prompts(longest=9, filling=5.0)), scores)
    assert (model(*streams, tokens.flip(0), padding.flip(0)) - scores).abs().min() > 0


@pytest.mark.parametrize(
    ("name", "looks"),
    [("liqe-frozen", [1, 0]), ("clip-agiqa-frozen", [0, 1]), ("ma-agiqa-gate", [1, 1]), ("ip-iqa-pool", [1, 1])],
)
def test_which_streams_a_rival_looks_at(name: str, looks: list[int]):
    streams, model = [f.requires_grad_() for f in features()], build(name).double()
    score = model(*streams, *(prompts() if model.uses_prompt else ()))
    gradients = torch.autograd.grad(score.sum(), streams, allow_unused=True)
    assert [int(gradient is not None and bool(gradient.any())) for gradient in gradients] == looks


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_reads_the_prompt_and_drops_out_as_its_authors_say(name: str):
    model = build(name)
    assert model.uses_prompt == VARIANTS[name].prompt == (name == "ip-iqa-pool")
    assert [part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)] == {
        "liqe-frozen": [], "clip-agiqa-frozen": [0.5, 0.5], "ma-agiqa-gate": [0.1, 0.1], "ip-iqa-pool": [0.5, 0.5],
    }[name]  # fmt: skip


def test_parameters_beside_those_of_the_authors_code():
    """At D = 512, as at the authors': what is trained there, less what is left out here."""
    counts = {
        name: sum(
            value.numel()
            for value in build_model(name, recipe(), 512, 512, torch.ones(5, 512), 0).parameters()
            if value.requires_grad
        )
        for name in RIVALS
    }
    clip_agiqa = 7 * 512 * 512 + 512 + 512 + 1  # and eight words of context
    assert clip_agiqa - counts["clip-agiqa-frozen"] == 512 * 512, "a sixth text"
    mixture = 784 * 784 + 784 + 2 * (4096 * 784 + 784) + 3 * 784 * 3 + 3 + 784 + 1
    left_out = 784 * 784 + 784 + 2 * (4096 - 512) * 784 + (3 * 784 * 3 + 3) - (2 * 784 * 2 + 2)
    assert mixture - counts["ma-agiqa-gate"] == left_out, "the third expert, and wider features"
    assert counts["liqe-frozen"] == 512 * 512, "LIQE itself trains all of CLIP but its temperature"
    patches, width, dim = 16 * 16, 2048, 1024  # ResNet-50 at 512 pixels: its map, channels, embedding
    pooling = (patches + 1) * width + (dim * width + width) + 2 * (width * width + width) + (width * dim + dim)
    perceptron = (2 * dim) ** 2 + 2 * dim + 2 * (2 * dim + 1)
    here = 3 * 512 + 4 * (512 * 512 + 512), (2 * 512) ** 2 + 2 * 512 + (2 * 512 + 1)
    assert counts["ip-iqa-pool"] == sum(here), "two patches and their mean, D = 512, and one score"
    printed = {"clip-agiqa-frozen": clip_agiqa, "ma-agiqa-gate": mixture, "ip-iqa-pool": pooling + perceptron}
    rows = {  # of the page: what is trained here, and there
        name: [int(number.replace(",", "")) for number in re.findall(r"\b\d[\d,]+", cells)[:2]]
        for name, cells in re.findall(r"^\| `([\w-]+)` (\| [\d,]+ \|.*)$", PAGE.read_text(encoding="utf-8"), re.M)
    }
    assert rows.keys() == counts.keys() and {name: row[0] for name, row in rows.items()} == counts
    assert {name: rows[name][1] for name in printed} == printed
