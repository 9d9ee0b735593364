"""Asks the kernel for what punctual edges need, and says in words what it did not get."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

PRIORITY = 80
_SWITCH_INTERVAL_S = 0.0001  # a busy second thread may hold this one up that long, not 5 ms
_MCL_CURRENT_AND_FUTURE = 1 | 2
_TIMER_SLACK = 29  # PR_SET_TIMERSLACK


def acquire(priority: int = PRIORITY) -> list[str]:
    """SCHED_FIFO, locked memory, no timer slack; returns what is missing, with what to do."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_TIMER_SLACK, 1, 0, 0, 0)
    missing = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        missing.append(f"no SCHED_FIFO ({error.strerror}): set LimitRTPRIO={priority} in the unit")
    if libc.mlockall(_MCL_CURRENT_AND_FUTURE) != 0:
        reason = os.strerror(ctypes.get_errno())
        missing.append(f"memory is not locked ({reason}): set LimitMEMLOCK=infinity in the unit")
    return missing


def quieten() -> None:
    """No garbage collection from now on but by `collect`; call when everything is built."""
    gc.collect()
    gc.freeze()
    gc.disable()


def collect() -> None:
    """Collect the youngest cycles; for a moment when nothing is due."""
    gc.collect(0)
