"""The modem lines of a serial port in place of the kernel's, at the ioctl border: a test machine has no such port."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import termios
import threading
import types
from typing import Any

import pytest

import edge.line.inputs.modem

_PLACES = {termios.TIOCM_CTS: 0, termios.TIOCM_DSR: 1, termios.TIOCM_RI: 2, termios.TIOCM_CD: 3}
_libc = ctypes.CDLL(None, use_errno=True)


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class ModemPort:
    """Inputs by their bit (termios.TIOCM_CTS...). TIOCMIWAIT waits in a system call that a signal interrupts.

    `asleep` holds back the waking of whoever waits; `counts_ends_only` counts no rise, as many drivers do for RI.
    """

    def __init__(self) -> None:
        self.bits = 0
        self.gone = False
        self.counts_ends_only = False
        self.waits = 0
        self._counts = [0] * 20
        self._changed = threading.Condition()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._asleep = False

    def install(self, patch: pytest.MonkeyPatch) -> None:
        names = {name: getattr(fcntl, name) for name in dir(fcntl) if not name.startswith("__")}
        border = types.SimpleNamespace(**names | {"ioctl": self.ioctl})
        patch.setattr(edge.line.inputs.modem, "fcntl", border)

    def set(self, bit: int, level: bool) -> None:
        """Drive an input from outside."""
        with self._changed:
            if bool(self.bits & bit) == level:
                return
            self.bits = self.bits | bit if level else self.bits & ~bit
            if not (level and self.counts_ends_only):
                self._counts[_PLACES[bit]] += 1
        if not self._asleep:
            os.eventfd_write(self._wake, 1)

    def sleep(self) -> None:
        """From now on nobody is woken."""
        self._asleep = True

    def awake(self) -> None:
        """Wake whoever waits."""
        self._asleep = False
        os.eventfd_write(self._wake, 1)

    def unplug(self) -> None:
        self.gone = True
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        os.close(self._wake)

    def ioctl(self, descriptor: int, request: int, argument: Any = 0, *rest: Any) -> Any:
        if self.gone:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if request == termios.TIOCMGET:
            return struct.pack("i", self.bits)
        if request == termios.TIOCGICOUNT:
            return struct.pack("20i", *self._counts)
        if request == termios.TIOCMIWAIT:
            return self._wait(_PLACES[argument])
        return fcntl.ioctl(descriptor, request, argument, *rest)

    def _wait(self, place: int) -> int:
        before = self._counts[place]
        self.waits += 1
        while self._asleep or self._counts[place] == before:
            waited = _PollFd(self._wake, 1, 0)
            if _libc.poll(ctypes.byref(waited), 1, -1) < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            os.eventfd_read(self._wake)
            if self.gone:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return 0
