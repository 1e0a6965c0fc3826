"""Trained image towers against the frozen encoder, against torch's own attention, and by what moves in them."""

import copy
from pathlib import Path

import pandas as pd
import pytest
import torch
from encoder_families import FAMILIES, write_model
from encoding import CPU
from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.adaptation import LowRank, Tower, check_adaptable, read_inputs
from mstclipiqa.encoders.clip import Encoder, load_encoder
from mstclipiqa.model.build import count_trainable

LAST = {"blocks": 1, "rank": None, "learning_rate": 1e-4}
TWO = {**LAST, "blocks": 2}
LORA = {"blocks": None, "rank": 3, "learning_rate": 1e-4}
ALL = {"blocks": None, "rank": None, "learning_rate": 5e-6}
ADAPTATIONS = {"last block": LAST, "two blocks": TWO, "lora": LORA, "all": ALL, "lora, last": {**LORA, "blocks": 1}}
each = pytest.mark.parametrize("adaptation", ADAPTATIONS.values(), ids=ADAPTATIONS)


@pytest.fixture(scope="module", params=["clip-vit", "mst-small-32"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """One with two heads, which torch's own attention takes, and one with three and QuickGELU."""
    if request.param != "clip-vit":
        return load_encoder(request.param, "random:1", CPU)
    return load_encoder(write_model(tmp_path_factory.mktemp("vit"), request.param), "random:1", CPU)


def inputs_of(encoder: Encoder, samples: pd.DataFrame, root: Path, adaptation: dict) -> torch.Tensor:
    return read_inputs([encoder], samples, root, adaptation)[0]


def tower_of(encoder: Encoder, adaptation: dict) -> Tower:
    torch.manual_seed(0)
    return Tower(encoder.model.visual, encoder.identity["preprocessing"], adaptation).eval()


def prepared(encoder: Encoder, samples: pd.DataFrame, root: Path) -> torch.Tensor:
    images = [Image.open(root / path).convert("RGB") for path in samples["path"]]
    return torch.stack([encoder.preprocess(image) for image in images])


@each
def test_before_the_first_step_a_tower_gives_the_features_of_the_frozen_encoder(encoder, samples, root, adaptation):
    expected = encoder.encode_images(prepared(encoder, samples, root))
    with torch.no_grad():
        found = tower_of(encoder, adaptation)(inputs_of(encoder, samples, root, adaptation))
    if adaptation["rank"] and adaptation["blocks"] is None:
        assert torch.equal(found, expected)
    else:  # torch convolves otherwise with weights that are trained, tokens that were kept lie in memory otherwise
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@each
def test_lora_starts_as_the_tower_without_it(encoder, samples, root, adaptation):
    if adaptation["rank"] is None:
        pytest.skip("no LoRA")
    inputs = inputs_of(encoder, samples, root, adaptation)
    tower, plain = tower_of(encoder, adaptation), tower_of(encoder, adaptation)
    for block in plain.blocks:
        torch.nn.utils.parametrize.remove_parametrizations(block.attn, "in_proj_weight", leave_parametrized=True)
    with torch.no_grad():
        assert torch.equal(tower(inputs), plain(inputs))


def trained_names(encoder: Encoder, adaptation: dict) -> set[str]:
    """The names of what an adaptation says, of open_clip's own vision transformer."""
    layers = len(encoder.model.visual.transformer.resblocks)
    names = {name for name, _ in encoder.model.visual.named_parameters()}
    blocks = [f"transformer.resblocks.{number}." for number in range(layers - (adaptation["blocks"] or layers), layers)]
    if adaptation["rank"]:
        added = "attn.parametrizations.in_proj_weight.0"
        return {f"{block}{added}.{part}" for block in blocks for part in ("up", "down")}
    if adaptation["blocks"] is None:
        return names
    return {name for name in names if name.startswith((*blocks, "ln_post.", "proj"))}


@each
def test_only_what_the_adaptation_says_has_a_gradient_and_moves(encoder, samples, root, adaptation):
    tower, before = tower_of(encoder, adaptation), copy.deepcopy(encoder.model.visual.state_dict())
    inputs = inputs_of(encoder, samples, root, adaptation)
    optimiser = torch.optim.SGD((p for p in tower.parameters() if p.requires_grad), lr=0.1)
    started = {name: parameter.detach().clone() for name, parameter in tower.visual.named_parameters()}
    for _ in range(2):  # of LoRA's product, one factor starts at 0, and keeps the other in its place for one step
        optimiser.zero_grad()
        tower(inputs).square().mean().backward()
        optimiser.step()
    expected = trained_names(encoder, adaptation)
    moved = {name for name, parameter in tower.visual.named_parameters() if not torch.equal(parameter, started[name])}
    assert {name for name, parameter in tower.visual.named_parameters() if parameter.grad is not None} == expected
    assert moved == expected
    after = encoder.model.visual.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert inputs.equal(inputs_of(encoder, samples, root, adaptation))


def test_gradients_through_the_class_token_are_those_of_open_clips_own_block(encoder, samples, root):
    """The rearranged attention against the block as open_clip writes it."""
    inputs, tower = inputs_of(encoder, samples, root, LAST), tower_of(encoder, LAST)
    plain = copy.deepcopy(tower.visual)
    vars(plain.transformer.resblocks[-1]).pop("forward")
    for module in plain.modules():
        vars(module).pop("forward", None)
    block = plain.transformer.resblocks[-1]
    features = plain._pool(block(inputs))[0] @ plain.proj
    torch.testing.assert_close(tower(inputs), features, rtol=1e-5, atol=1e-5)
    for loss in (features.sin().sum(), tower(inputs).sin().sum()):
        loss.backward()
    for (name, own), other in zip(tower.visual.named_parameters(), plain.parameters(), strict=True):
        if own.requires_grad:
            scale = other.grad.abs().max().item()
            torch.testing.assert_close(own.grad, other.grad, rtol=1e-3, atol=1e-4 * scale, msg=name)


def test_as_many_parameters_are_trained_as_counted_by_hand(encoder):
    visual = encoder.model.visual
    width, layers, dim = visual.proj.shape[0], len(visual.transformer.resblocks), visual.proj.shape[1]
    block = sum(parameter.numel() for parameter in visual.transformer.resblocks[-1].parameters())
    assert count_trainable(tower_of(encoder, LAST)) == block + 2 * width + width * dim
    assert count_trainable(tower_of(encoder, LORA)) == layers * 3 * (3 * width + width)
    assert count_trainable(tower_of(encoder, ALL)) == sum(parameter.numel() for parameter in visual.parameters())


def test_two_encoders_read_an_image_once(samples, root, encoder, monkeypatch):
    read = []
    module = "mstclipiqa.encoders.adaptation"
    monkeypatch.setattr(
        f"{module}.read_image", lambda path, content: (read.append(path), Image.open(path).convert("RGB"))[1]
    )
    one, two = read_inputs([encoder, encoder], samples, root, LAST)
    assert torch.equal(one, two) and len(read) == len(samples) == len(one)


def test_an_image_that_changed_is_refused(samples, root, encoder):
    path = root / samples["path"].iloc[3]
    Image.new("RGB", (9, 9)).save(path)
    with pytest.raises(InputError, match=r"changed since the samples table was written"):
        inputs_of(encoder, samples, root, LAST)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"clip-vit"}))
def test_what_is_no_plain_vision_transformer_is_refused(tmp_path, family):
    other = load_encoder(write_model(tmp_path, family), "random:0", CPU)
    with pytest.raises(InputError, match="no plain vision transformer"):
        check_adaptable(other, LAST)


def test_more_blocks_than_there_are_are_refused(encoder):
    check_adaptable(encoder, TWO)
    with pytest.raises(InputError, match=r"has \d blocks.*trains the last 9; give fewer"):
        check_adaptable(encoder, {**LAST, "blocks": 9})


def test_what_lora_adds_is_where_the_matrix_is():
    """On a GPU the encoder is there before its tower is made of it."""
    added = LowRank(torch.empty(6, 4, device="meta"), 2)
    assert {parameter.device.type for parameter in added.parameters()} == {"meta"}
