"""How a process is set up that trains."""

import ctypes

import torch

#: Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def prepare_process() -> None:
    """Let this process train: on one thread, since results must not depend on the cores and the matrices are small.

    glibc would return the memory of every step's gradients to the system; taking it anew costs up to a third of the
    prompt head's training (in page faults), so it is told to keep what is freed.
    """
    torch.set_num_threads(1)
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 25)
