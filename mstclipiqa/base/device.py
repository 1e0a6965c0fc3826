"""The device that a step computes on: which one, why there is none, and how exact float32 is on it."""

import fcntl
import functools
import os
import re
import tempfile
from pathlib import Path
from typing import IO, Any, cast

import torch

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import AUTO, BFLOAT16, CUDA, FLOAT32, TF32
from mstclipiqa.base.progress import say

#: The least version of NVIDIA's driver for each major version of CUDA that torch may be built for (table 2 of the
#: release notes of the CUDA Toolkit, "minimum required driver version for CUDA minor version compatibility").
LEAST_DRIVER = {11: 450, 12: 525, 13: 580}

#: The least compute capability that has TF32 and bfloat16 (CUDA C++ Programming Guide, "compute capability 8.x").
AMPERE = (8, 0)

#: Where the driver says its version.
DRIVER = Path("/proc/driver/nvidia/version")

#: In this process, the lock of its GPU, as long as it lives.
held: list[IO[str]] = []


@functools.cache
def choose_device(asked: str) -> torch.device:
    """The device that is `asked` for: the CPU; with `cuda` a GPU; with `auto` a GPU where one can be used.

    Of several GPUs a process takes one that no other process of this project has, and keeps it. Raises InputError for
    `cuda` without a GPU that can be used.
    """
    if asked in (AUTO, CUDA) and torch.cuda.is_available():
        number = _free_gpu()
        torch.cuda.set_device(number)  # of this thread; others know it by its number
        return torch.device("cuda", number)
    if asked == CUDA:
        raise InputError(f"device cuda: {why_no_gpu()}; or choose the device cpu")
    if asked == AUTO and driver_version():
        say(f"computing on the CPU: {why_no_gpu()}")
    return torch.device("cpu")


def choose_encoding_device(asked: str, precision: str) -> torch.device:
    """As `choose_device`, for encoders of a precision. Raises InputError for tf32 on a CPU, which has none."""
    chosen = choose_device(asked)
    if precision == TF32 and chosen.type != "cuda":
        raise InputError(f"precision {TF32}: only a GPU has it, and this runs on a CPU; take {FLOAT32} or {BFLOAT16}")
    return chosen


def driver_version() -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+(\.\d+)*)\s", DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[1] if found else "unknown"


def why_no_gpu() -> str:
    """Why torch can use no GPU here, and which build of torch would, in one line."""
    driver, built, shown = driver_version(), torch.version.cuda, torch.__version__.partition("+")[0]
    if driver is None:
        return "no GPU can be used, since there is no NVIDIA driver; take a machine with a GPU"
    if built is None:
        return f"no GPU can be used, since torch {torch.__version__} is built for CPUs; {build_for(driver, shown)}"
    least = LEAST_DRIVER.get(int(built.partition(".")[0]), 0)
    if driver != "unknown" and int(driver.partition(".")[0]) < least:
        return (
            f"no GPU can be used, since torch {torch.__version__} is built for CUDA {built}, which needs a driver from "
            f"{least}, and this one is {driver}; update it, or {build_for(driver, shown)}"
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"no GPU can be used, since CUDA_VISIBLE_DEVICES={hidden} names none that is there; unset it"
    return f"no GPU can be used, though torch is built for CUDA {built} and the driver is {driver}; ask nvidia-smi why"


def build_for(driver: str, shown: str) -> str:
    """Which build of torch a driver can run."""
    number = int(driver.partition(".")[0]) if driver != "unknown" else max(LEAST_DRIVER.values())
    majors = [major for major, least in LEAST_DRIVER.items() if number >= least]
    if not majors:
        return f"update the driver to {min(LEAST_DRIVER.values())} or newer"
    return f"install the build of torch {shown} for CUDA {max(majors)} (its version ends in +cu{max(majors)}x)"


def describe_gpu() -> tuple[str, str | None]:
    """The GPU with its compute capability, the driver and torch's build in one line; and what is wrong, if anything."""
    driver, build = driver_version(), f"torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'}"
    if not torch.cuda.is_available():
        return f"no GPU; driver {driver or 'none'}; {build}", why_no_gpu() if driver else None
    major, minor = torch.cuda.get_device_capability()
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    shown = names[0] if len(names) == 1 else f"{len(names)} GPUs, the first {names[0]}"
    text = f"{shown}, compute capability {major}.{minor}; driver {driver or 'unknown'}; {build}"
    built = [int(name[3:].rstrip("af")) for name in torch.cuda.get_arch_list() if name.startswith("sm_")]
    if built and 10 * major + minor < min(built):
        return text, f"this torch has no code for compute capability {major}.{minor}; take a build for an older CUDA"
    if (major, minor) < AMPERE:
        return text, "it has neither tf32 nor bfloat16; take extraction: precision: float32"
    return text, None


def set_products(tf32: bool) -> None:
    """Let products and convolutions of float32 on a GPU be float32 (IEEE), or TF32.

    torch's own defaults differ: products are float32, convolutions TF32. Each is set, since the setting of both at once
    does not reach convolutions.
    """
    wanted = "tf32" if tf32 else "ieee"
    torch.backends.cuda.matmul.fp32_precision = wanted
    cast(Any, torch.backends.cudnn).conv.fp32_precision = wanted  # torch's types do not know it


def _free_gpu() -> int:
    """The number of the first visible GPU that no process of this project has; where all are taken, of the one with the
    most free memory. The system frees the lock of a process that ended."""
    count = torch.cuda.device_count()
    for number in range(count) if count > 1 else ():
        name = str(getattr(torch.cuda.get_device_properties(number), "uuid", number))
        lock = open(Path(tempfile.gettempdir()) / f"mstclipiqa-gpu-{os.getuid()}-{name}.lock", "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process has it, or the file system knows no locks
            lock.close()
            continue
        held.append(lock)
        return number
    return max(range(count), key=lambda number: torch.cuda.mem_get_info(number)[0])
