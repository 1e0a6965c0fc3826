"""Which device a step gets, and what is said where there is no GPU. The GPUs here are made up."""

import re
from types import SimpleNamespace

import pytest
import torch

from mstclipiqa.base import device
from mstclipiqa.base.device import choose_device, describe_gpu, set_products, why_no_gpu
from mstclipiqa.base.errors import InputError

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Tue Jan  7 17:32:00 UTC 2025\nGCC version: 12\n"


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """Nothing chosen, no lock held, no driver."""
    choose_device.cache_clear()
    monkeypatch.setattr(device, "held", [])
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    choose_device.cache_clear()
    for lock in device.held:
        lock.close()


def driver(version: str) -> None:
    device.DRIVER.write_text(VERSION.format(version))


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs that can be used; the numbers of those that were taken."""
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"GPU-{number}"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: ([10, 20][number], 80))
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number=0: "NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90a", "sm_120"])
    return taken


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cpu") == choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="^device cuda: .* no NVIDIA driver; .*choose the device cpu$"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("version", "built", "said"),
    [
        (
            "535.104.05",
            "13.0",
            "CUDA 13.0, which needs a driver from 580, .* this one is 535.104.05; .*CUDA 12",
        ),
        ("470.82.01", "12.6", "needs a driver from 525, .* for CUDA 11"),
        ("390.10", "13.0", "update the driver to 450 or newer"),
        ("580.65.06", None, r"built for CPUs; install the build .* for CUDA 13 \(its version ends in \+cu13x\)"),
        ("580.65.06", "13.0", "ask nvidia-smi why"),
    ],
)
def test_why_there_is_no_gpu_names_the_driver_and_the_build_to_take(version, built, said, monkeypatch):
    driver(version)
    monkeypatch.setattr(torch.version, "cuda", built)
    line = why_no_gpu()
    assert "\n" not in line
    assert re.search(said, line), line


def test_hidden_gpus_are_named(monkeypatch):
    driver("580.65.06")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert "CUDA_VISIBLE_DEVICES=7" in why_no_gpu()


def test_auto_says_that_a_gpu_is_left_idle(monkeypatch, capsys):
    driver("535.104.05")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert choose_device("auto").type == "cpu"
    assert "computing on the CPU: no GPU can be used" in capsys.readouterr().err


def test_a_process_takes_a_gpu_that_no_other_has_and_shares_the_emptiest_when_all_are_taken(gpus):
    for _ in range(3):
        choose_device.cache_clear()
        assert choose_device("auto").type == "cuda"
    assert gpus == [0, 1, 1], "the third shares the one with the most free memory"
    device.held.pop(0).close()  # a process has ended
    choose_device.cache_clear()
    choose_device("cuda")
    assert gpus[-1] == 0


def test_a_process_asks_once(gpus):
    assert choose_device("cuda") is choose_device("cuda")
    assert choose_device("cuda") == torch.device("cuda", 0), "threads that it starts need the number"
    assert gpus == [0]


def test_the_gpu_is_described_with_driver_build_and_capability(gpus, monkeypatch):
    driver("580.65.06")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    text, wrong = describe_gpu()
    assert text.startswith("2 GPUs, the first NVIDIA H100, compute capability 9.0; driver 580.65.06; torch ")
    assert text.endswith("built for CUDA 13.0") and wrong is None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert "neither tf32 nor bfloat16" in describe_gpu()[1]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert "no code for compute capability 6.1" in describe_gpu()[1]


def test_products_and_convolutions_are_both_set():
    """torch's default rounds convolutions and not products."""
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, convolution.fp32_precision
    try:
        for tf32, expected in ((True, "tf32"), (False, "ieee")):
            set_products(tf32)
            assert (matmul.fp32_precision, convolution.fp32_precision) == (expected, expected)
    finally:
        matmul.fp32_precision, convolution.fp32_precision = before
