"""The assembled model, and its parameters against counts by hand."""

from dataclasses import replace

import pytest
import torch
from small_model import DIM, SMALL, WIDTH, A, B, features, prompts, recipe, rng, shake

from mstclipiqa.base.names import LEVELS
from mstclipiqa.model.build import MSTCLIPIQA, build_model, count_trainable, used_streams
from mstclipiqa.model.variants import VARIANTS

#: What looks at one stream alone.
SINGLE = {
    **dict.fromkeys(("coarse-only", "coarse-only-star", "liqe-frozen"), [True, False]),
    **dict.fromkeys(("fine-only", "clip-agiqa-frozen"), [False, True]),
}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_which_streams_a_model_looks_at(variant):
    levels = torch.randn(len(LEVELS), DIM, generator=rng())
    model = build_model(variant, SMALL, DIM, WIDTH, levels, 0, levels).eval()
    assert used_streams(model, WIDTH) == SINGLE.get(variant, [True, True])


def test_the_model_is_its_head_on_its_fusion():
    f_c, f_f = features()
    levels = features(len(LEVELS))[0]
    template = shake(build_model(A, SMALL, DIM, WIDTH, levels, seed=1))
    prompt = shake(build_model(B, SMALL, DIM, WIDTH, levels, seed=1))
    assert (template.uses_prompt, prompt.uses_prompt) == (False, True)
    torch.testing.assert_close(template(f_c, f_f), template.head(template.fusion(f_c, f_f)))
    torch.testing.assert_close(prompt(f_c, f_f, *prompts()), prompt.head(prompt.fusion(f_c, f_f), *prompts()))
    assert isinstance(template, MSTCLIPIQA)


def test_the_template_model_starts_from_the_recipe():
    levels = torch.randn(len(LEVELS), DIM, generator=rng())
    for learnable in (True, False):
        chosen = replace(SMALL, temperature=30.0, learnable_levels=learnable)
        head = build_model(A, chosen, DIM, WIDTH, levels, seed=1).head
        assert torch.equal(head.levels, levels)
        assert head.levels.requires_grad == learnable
        assert head.temperature.item() == 30
        assert head.temperature.requires_grad


def linear(inputs, outputs, bias=True):
    return inputs * outputs + outputs * bias


def gff_parameters(hidden, bias=True):
    return linear(1024, hidden) + linear(hidden, 512) + 2 * linear(512, 512, bias)


TEMPERATURE, ALPHA = 1, 1
ATTENTION = 3 * linear(512, 512) + linear(512, 512)  # query, key, value; output
REGRESSION = 2 * linear(512, 512) + linear(512, 1)  # W_1, W_2; w_o


@pytest.mark.parametrize(
    ("variant", "chosen", "expected"),
    [
        (A, recipe(), gff_parameters(128) + TEMPERATURE),
        (B, recipe(), gff_parameters(128) + ATTENTION + ALPHA + REGRESSION),
        (A, recipe("main_text"), gff_parameters(128) + TEMPERATURE + 5 * 512),
        (B, recipe("main_text"), gff_parameters(128) + ATTENTION + ALPHA + REGRESSION),
        (A, recipe(gate_hidden=256, projection_bias=False), gff_parameters(256, bias=False) + TEMPERATURE),
    ],
)
def test_trainable_parameters(variant, chosen, expected):
    model = build_model(variant, chosen, 512, 512, torch.ones(5, 512), seed=0)
    assert count_trainable(model) == expected


def test_trainable_parameters_are_those_of_the_released_code():
    counts = [count_trainable(build_model(name, recipe(), 512, 512, torch.ones(5, 512), seed=0)) for name in (A, B)]
    assert counts == [722_561, 2_299_010]


@pytest.mark.parametrize("variant", [A, B])
def test_initial_weights_depend_on_the_seed_alone(variant):
    def weights(seed):
        model = build_model(variant, SMALL, DIM, WIDTH, torch.ones(len(LEVELS), DIM), seed)
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(weights(3), first)
    assert not torch.equal(weights(4), first)


def test_building_does_not_disturb_the_global_generator():
    before = torch.get_rng_state()
    build_model(B, SMALL, DIM, WIDTH, torch.ones(len(LEVELS), DIM), seed=5)
    assert torch.equal(torch.get_rng_state(), before)


# Of every variant: D = 512, text width 512

RELEASED, APPENDIX = recipe(), recipe("appendix")
SQUARE, BIAS = 512 * 512, 512
BOTH = 2 * (SQUARE + BIAS)
GATE = 1024 * 128 + 128 + 128 * 512 + 512


#: Released code: what training changes.
RELEASED_COUNTS = {
    "mst-clipiqa": GATE + BOTH + TEMPERATURE,
    "mst-clipiqa-star": GATE + BOTH + ATTENTION + 1 + REGRESSION,
    "coarse-only-star": SQUARE + BIAS + ATTENTION + 1 + REGRESSION,
    "mstfe-1": BOTH + TEMPERATURE,
    "twin": GATE + BOTH + TEMPERATURE,
    "twin-fine": GATE + BOTH + TEMPERATURE,
    **dict.fromkeys(
        ("star-permuted", "star-permuted-within", "star-constant", "star-empty", "star-translated"),
        GATE + BOTH + ATTENTION + 1 + REGRESSION,
    ),
    "star-no-prompt": GATE + BOTH + REGRESSION,
    "adaptive-avg-pool": BOTH + TEMPERATURE,
    "adaptive-max-pool": BOTH + TEMPERATURE,
    "coarse-only": SQUARE + BIAS + TEMPERATURE,
    "cross-attention": BOTH + ATTENTION + TEMPERATURE,
    "fine-only": SQUARE + BIAS + TEMPERATURE,
    "fixed-gate": BOTH + TEMPERATURE,
    "linear-interpolation": BOTH + 1 + TEMPERATURE,
    "mlp": 1024 * 470 + 470 + 470 * 512 + 512 + TEMPERATURE,
    "liqe-frozen": SQUARE,
    "clip-agiqa-frozen": 6 * SQUARE + BIAS + 512 + 1,
    "ma-agiqa-gate": 2 * (512 * 784 + 784) + 2 * 784 * 2 + 2 + 784 + 1,
    "streams-gate": GATE + BOTH + TEMPERATURE,
    "streams-gate-star": GATE + BOTH + ATTENTION + 1 + REGRESSION,
    "streams-gate-no-prompt": GATE + BOTH + REGRESSION,
    "streams-mean": BOTH + TEMPERATURE,
    "streams-mlp": 1024 * 470 + 470 + 470 * 512 + 512 + TEMPERATURE,
    "ip-iqa-pool": 3 * 512 + ATTENTION + linear(1024, 1024) + linear(1024, 1),
}


#: The appendix prints 0.39 M for the gate, 0.52 M for the projections, 0.07 M for the head.
APPENDIX_GATE = 1024 * 256 + 256 + 256 * 512 + 512


APPENDIX_HEAD = 512 * 128 + 128 + 128 + 1


APPENDIX_COUNTS = {
    "mst-clipiqa": APPENDIX_GATE + 2 * SQUARE + TEMPERATURE,
    "mst-clipiqa-star": APPENDIX_GATE + 2 * SQUARE + ATTENTION + 2 * BIAS + 1 + APPENDIX_HEAD,
}


def count(name, recipe):
    levels = torch.ones(len(LEVELS), 512)
    return count_trainable(build_model(name, recipe, 512, 512, levels, seed=0, fine_levels=levels))


def test_every_variant_is_counted():
    assert set(RELEASED_COUNTS) == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_trainable_parameters_of_every_variant(name):
    assert count(name, RELEASED) == RELEASED_COUNTS[name]


@pytest.mark.parametrize("name", APPENDIX_COUNTS)
def test_trainable_parameters_of_the_appendix(name):
    assert count(name, APPENDIX) == APPENDIX_COUNTS[name]
    assert [round(part / 1e6, 2) for part in (APPENDIX_GATE, 2 * SQUARE, APPENDIX_HEAD)] == [0.39, 0.52, 0.07]


def test_mlp_is_as_large_as_gff():
    assert abs(count("mlp", RELEASED) / count("mst-clipiqa", RELEASED) - 1) < 0.001
