"""Settings of the whole process that let it train on few, busy cores; made before torch is imported."""

import ctypes
import os

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
KEPT = 256 * 1024 * 1024  # bytes


def settle() -> None:
    """Let waiting threads sleep, and keep freed memory for the next step; what the environment says goes first."""
    # OpenMP's threads spin while they wait for each other: where others work too, that took six sevenths of the time
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # glibc gives every large tensor back and has it cleared again at the next step: a fifth of the time
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_MMAP_MAX, 0), (M_TOP_PAD, KEPT), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)
