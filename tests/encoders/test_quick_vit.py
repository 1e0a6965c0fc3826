"""The quickened image tower against open_clip's own."""

import pytest
import torch

from mstclipiqa.encoders.clip import HELD_IN
from mstclipiqa.encoders.open_clip_loader import open_clip
from mstclipiqa.encoders.quick_vit import quicken

TOWER = {"image_size": 32, "patch_size": 8, "width": 48, "layers": 2, "mlp_ratio": 2.0, "output_dim": 24}


@pytest.mark.parametrize(
    "settings",
    [
        {"heads": 2},
        {"heads": 3},
        {"heads": 3, "ls_init_value": 0.1, "final_ln_after_pool": True},
        {"heads": 3, "pool_type": "avg"},
        {"heads": 2, "attentional_pool": True, "attn_pooler_heads": 2},
        {"heads": 2, "block_type": "custom"},
        {"heads": 3, "act_layer": open_clip.transformer.QuickGELU},
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("on_gpu", [False, True], ids=["as on a CPU", "as on a GPU"])
def test_a_quickened_tower_computes_the_same_features(settings: dict, precision: str, on_gpu: bool):
    torch.manual_seed(0)
    tower = open_clip.transformer.VisionTransformer(**TOWER, **settings).eval().requires_grad_(False)
    for parameter in tower.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))  # biases and scales, too, do something
    pixels = torch.randn(3, 3, 32, 32)
    expected = tower(pixels)
    tower.to(HELD_IN[precision])
    quicken(tower, on_gpu)
    features = tower(pixels.to(HELD_IN[precision])).float()
    tolerance = 1e-5 if precision == "float32" else 0.02 * expected.abs().max().item()
    torch.testing.assert_close(features, expected, rtol=0, atol=tolerance)


def test_a_quickened_quick_gelu_has_the_same_bits():
    tower = open_clip.transformer.VisionTransformer(**TOWER, heads=2, act_layer=open_clip.transformer.QuickGELU)
    x = torch.randn(3, 17, 96)
    expected = tower.transformer.resblocks[0].mlp.gelu(x)
    quicken(tower)
    assert torch.equal(tower.transformer.resblocks[0].mlp.gelu(x), expected)


def test_a_quickened_tower_takes_the_class_token_alone_through_its_last_block():
    tower = open_clip.transformer.VisionTransformer(**TOWER, heads=2).eval()
    seen = []
    for block in tower.transformer.resblocks:
        block.mlp.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    quicken(tower)
    tower(torch.randn(3, 3, 32, 32))
    assert seen == [(3, 17, 48), (3, 1, 48)]
