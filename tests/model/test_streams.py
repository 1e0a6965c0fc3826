"""Models of any number of streams; of two, they are the paper's and our controls."""

from dataclasses import replace

import pytest
import torch
from small_model import DIM, SMALL, WIDTH, A, B, features, prompts

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA, build_model, count_trainable, used_streams
from mstclipiqa.model.variants import VARIANTS, get_variant

SIZES = (DIM, DIM + 5, 3)
MANY = [name for name, variant in VARIANTS.items() if variant.many]
TWINS = {
    "streams-gate": A,
    "streams-gate-star": B,
    "streams-gate-no-prompt": "star-no-prompt",
    "streams-mean": "fixed-gate",
    "streams-mlp": "mlp",
}


def build(name: str, sizes=SIZES, recipe=SMALL) -> MSTCLIPIQA:
    levels = torch.randn(len(LEVELS), sizes[0], generator=torch.Generator().manual_seed(1))
    return build_model(name, recipe, sizes[0], WIDTH, levels, seed=5, sizes=sizes).eval()


@pytest.mark.parametrize("name", MANY)
def test_of_two_streams_it_is_the_papers_model_or_our_control(name: str):
    """From the same seed the same weights, in the same order, and so the same scores."""
    ours, theirs = build(name, (DIM, DIM)).double(), build(TWINS[name], (DIM, DIM)).double()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(own, other)
    inputs = [*features(), *(prompts() if ours.uses_prompt else ())]
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))


@pytest.mark.parametrize("name", MANY)
def test_a_model_looks_at_every_stream(name: str):
    assert used_streams(build(name), WIDTH) == [True] * len(SIZES)


def test_the_mlp_is_as_large_as_the_gate():
    sizes, hidden = (512, 768, 384), 128
    gate, mlp = (
        build(name, sizes, replace(SMALL, gate_hidden=hidden)).fusion for name in ("streams-gate", "streams-mlp")
    )
    total = sum(sizes)
    assert count_trainable(gate) == (total + 1) * hidden + (hidden + 1) * 2 * 512 + (total + 3) * 512
    assert abs(count_trainable(mlp) / count_trainable(gate) - 1) < 0.001


def test_a_model_of_two_streams_takes_no_others():
    said = "mlp takes two streams of 12 numbers, not of 12, 17, 3; choose encoders of one size"
    with pytest.raises(InputError, match=said):
        build("mlp")


def test_the_configuration_names_the_streams_of_a_variant_of_any_number():
    many, pair = get_variant("streams-gate"), get_variant(A)
    assert many.encoders("fine") == pair.encoders("fine", ["coarse", "third"]) == ("coarse", "fine")
    assert many.encoders("retokenised", ["coarse", "fine", "third"]) == ("coarse", "retokenised", "third")
