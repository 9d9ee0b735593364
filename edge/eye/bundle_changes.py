"""Another installed bundle or threshold for the eye's next start, by the `edge` commands in a process beside it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeAlias

from edge.clock import SECOND, Clock
from edge.control import ChangeBundle, MoveThreshold
from edge.errors import BundleError, KenpinError
from edge.install import Installed, before, installed
from edge.station import Station

log = logging.getLogger(__name__)

SOURCE = "bundles"
STARTS_AGAIN = 3  # exit code: the unit's RestartForceExitStatus
STEADY_NS = 60 * SECOND  # an eye that systemd starts more than 5 times in 2 min stays down
LONGEST_NS = 1_800 * SECOND  # TensorRT builds an engine for minutes
_IDLE_S, _LOOK_S = 0.5, 0.2
_BEHIND = 10  # niceness, where it may be set: the inspection goes first
_MOST_WORDS = 400
Change: TypeAlias = ChangeBundle | MoveThreshold
_OF_THIS_PROCESS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class BundleChanges:
    """Changes of one station, one after another. One thread runs `run`; `begin`, `words` and the rest are for any.

    The eye itself reads and judges nothing for it: the commands verify, accept and activate as they do by hand, and the
    bundles that are loaded stay until the eye starts again. `note` hears what came of each.
    """

    def __init__(
        self,
        station: Station,
        clock: Clock,
        note: Callable[[str, str], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._station = station
        self._clock = clock
        self._note = note
        self._is_service = environment.get("SYSTEMD_EXEC_PID") == str(os.getpid())
        self._began_ns = clock.now_ns()
        self._wanted: SimpleQueue[Change] = SimpleQueue()
        self._is_changing = False
        self.starts_again = False
        self.words = ""

    @property
    def is_busy(self) -> bool:
        """Whether a change is being made or waits."""
        return self._is_changing or not self._wanted.empty()

    def begin(self, request: Change) -> bool:
        """Let this change be made; never blocks."""
        self._wanted.put(request)
        return True

    def why_not_again(self) -> str:
        """Why the eye cannot be started again now; "" where it can."""
        if not self._is_service:
            return "this eye was started by hand: end it, and start edge run anew"
        if self._clock.now_ns() - self._began_ns < STEADY_NS:
            return f"this eye began less than {STEADY_NS // SECOND} s ago: wait, then ask again"
        return "a bundle is being accepted just now: wait until that has ended" if self.is_busy else ""

    def start_again(self) -> bool:
        """Let the run end in order with STARTS_AGAIN."""
        self.starts_again = True
        return True

    def run(self, stop: threading.Event) -> None:
        """Make changes until told to stop, which ends one that is being made; what it has not activated stays out."""
        while not stop.is_set():
            with suppress(Empty):
                request = self._wanted.get(timeout=_IDLE_S)
                self._is_changing = True
                try:
                    self.words = self._done(request, stop)
                except (KenpinError, OSError) as error:
                    self.words = f"{_not_done(request)}: {error}"
                self._note("threshold" if isinstance(request, MoveThreshold) else "bundle", self.words)
                self._is_changing = False

    def _done(self, request: Change, stop: threading.Event) -> str:
        return self._moved(request, stop) if isinstance(request, MoveThreshold) else self._made(request, stop)

    def _made(self, request: ChangeBundle, stop: threading.Event) -> str:
        """What came of it, in words. Raises KenpinError, OSError."""
        kept = [one for one in installed(self._station) if one.product == request.product]
        command = command_for(kept, request, self._station)
        self.words = f"{request.product} version {request.version} is being tried on this device"
        code, said = self._ends(command, stop)
        if code:
            raise BundleError(said or f"edge {command[0]} ended with {code}; see the log")
        active = next(one for one in installed(self._station) if one.active and one.product == request.product)
        return f"{active.product} version {active.version} is active when the eye starts again"

    def _moved(self, request: MoveThreshold, stop: threading.Event) -> str:
        """What came of it, in words. Raises KenpinError, OSError."""
        self.words = f"the threshold of {request.product} is being moved"
        code, said = self._ends(threshold_command(request, self._station), stop)
        if code:
            raise BundleError(said or f"edge threshold ended with {code}; see the log")
        return f"the threshold of {request.product} is {threshold_of(request)} when the eye starts again"

    def _ends(self, command: list[str], stop: threading.Event) -> tuple[int, str]:
        """Exit code and last words of an `edge` command; it is ended with the eye, or when it takes too long."""
        environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_PROCESS}
        words = [sys.executable, "-m", "edge.cli", *command]
        with os.fdopen(os.memfd_create("edge"), "w+b") as said:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment
            )
            with suppress(OSError):  # the eye's unit forbids it: there both have the same rank
                os.setpriority(os.PRIO_PROCESS, child.pid, _BEHIND)
            until_ns = self._clock.now_ns() + LONGEST_NS
            while child.poll() is None and not stop.wait(_LOOK_S) and self._clock.now_ns() < until_ns:
                pass
            if child.poll() is None:
                child.kill()
            code = child.wait()
            said.seek(0)
            text = said.read().decode(errors="replace")
        log.info("edge %s: %s", command[0], text.strip())
        return code, " ".join(text.rpartition("edge: ")[2].split())[:_MOST_WORDS] if code > 0 else ""


def _not_done(request: Change) -> str:
    if isinstance(request, MoveThreshold):
        return f"the threshold of {request.product} was not moved"
    return f"{request.product} version {request.version} was not made active"


def threshold_of(request: MoveThreshold) -> str:
    """Where the threshold goes, in words."""
    return "the bundle's own" if request.value is None else f"{request.value:.6g}"


def threshold_command(request: MoveThreshold, station: Station) -> list[str]:
    """The `edge` command that moves the threshold; it takes none that is unproven."""
    value = "--reset" if request.value is None else str(request.value)
    words = (f"--product={request.product}", f"--by={request.who}", f"--why={request.why}")
    return ["threshold", str(station.source), value, *words]


def command_for(kept: list[Installed], request: ChangeBundle, station: Station) -> list[str]:
    """The `edge` command that makes this version of the `kept` ones active. Raises BundleError where none does."""
    here = ["--station", str(station.source)]
    versions = {one.version: one for one in kept}
    active = next((one.version for one in kept if one.active), 0)
    wanted = versions.get(request.version)
    if wanted is None or wanted.active:
        why = "is active already" if wanted else "is not kept here: install it with `edge install`"
        raise BundleError(f"version {request.version} of {request.product} {why}")
    if wanted.version == max(versions) > active:
        return ["install", str(wanted.path), *here]
    if wanted.left and wanted.version < active:
        raise BundleError(
            f"version {wanted.version}: {wanted.words}; `edge rollback --version {wanted.version}` takes it anyway"
        )
    if wanted.version == before(kept):
        return ["rollback", request.product, *here]
    raise BundleError(
        f"from version {active} the way leads to the newest version or to the one before: choose one of these"
    )
