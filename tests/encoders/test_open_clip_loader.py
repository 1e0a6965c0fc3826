import torch

from mstclipiqa.encoders import open_clip_loader


def test_missing_operators_are_declared_once():
    open_clip_loader._declare_torchvision_operators()
    open_clip_loader._declare_torchvision_operators()
    assert torch.ops.torchvision.nms is not None and torch.ops.torchvision.qnms is not None
    import torchvision

    assert torchvision.transforms.CenterCrop(2)(torch.zeros(3, 4, 4)).shape == (3, 2, 2)
