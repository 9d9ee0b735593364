"""A Debian machine in a container that systemd starts as it would a real one: it boots, reboots and is switched off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.device.image import debian
from tests.system.device.sockets import awaited

_BOOT_S = 120.0
_HALT = signal.SIGRTMIN + 3  # to the first process
# a machine that wants to reboot ends with 133: it is switched on again
_AGAIN = ("sh", "-c", 'until "$@"; [ $? -ne 133 ]; do :; done', "sh")


class Container:
    """On from `__enter__` to `__exit__`; its files are Debian's with what was written since, in `root`."""

    def __init__(self, folder: Path, binds: Sequence[str] = (), environment: Sequence[str] = ()) -> None:
        self._folder = folder
        self.root = folder / "root"
        self._options = [f"--bind={each}" for each in binds] + [f"--setenv={each}" for each in environment]
        self._environment = list(environment)
        self._log = folder / "console.log"

    def __enter__(self) -> Container:
        upper, work = self._folder / "upper", self._folder / "work"
        for path in (upper, work, self.root):
            path.mkdir(parents=True)
        layers = f"lowerdir={debian() / 'files'},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        (self.root / "etc" / "hostname").write_text("station\n")
        command = [
            *_AGAIN,
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--boot",
            "--private-network",
        ]
        # without these nobody in it may have a real-time thread or locked memory
        command += ["--capability=CAP_SYS_NICE,CAP_IPC_LOCK", "--rlimit=RTPRIO=99", "--rlimit=MEMLOCK=infinity"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *self._options, "-D", self.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            awaited(self._is_up, "it boots", self.console, _BOOT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        return self.attempt("systemctl is-system-running")[1].strip() in ("running", "degraded")

    def __exit__(self, *_: object) -> None:
        if (pid := self._leader()) is not None:
            os.kill(pid, _HALT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        subprocess.run(["umount", self.root], check=True)
        shutil.rmtree(self._folder / "upper", ignore_errors=True)

    def reboot(self) -> None:
        """As a person would; it is up again when this returns."""
        before = self._leader()
        self.attempt("systemctl reboot")
        awaited(lambda: self._leader() not in (before, None) and self._is_up(), "it boots", self.console, _BOOT_S)

    def console(self) -> str:
        return self._log.read_text(errors="replace")

    def _leader(self) -> int | None:
        """The machine's first process; None while there is none."""
        return next((pid for pid in _descendants(self._process.pid) if _is_first(pid)), None)

    def attempt(self, command: str, within_s: float = 120.0) -> tuple[int, str]:
        """A shell command to its end; its exit code and output."""
        pid = self._leader()
        if pid is None:
            return 1, "the machine is off"
        words = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "env", "-i"]
        words += ["PATH=/usr/bin:/usr/sbin:/bin:/sbin", "TERM=dumb", "COLUMNS=100", *self._environment]
        done = subprocess.run(
            [*words, "sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout

    def run(self, command: str, within_s: float = 120.0) -> str:
        """A shell command to its end; its output. Fails the test when it does not succeed."""
        code, output = self.attempt(command, within_s)
        if code:
            pytest.fail(f"in the machine `{command}` ended with {code}: {output}")
        return output


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from _descendants(child)


def _is_first(pid: int) -> bool:
    """Whether this process is number 1 of a machine within this one."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return any(line.startswith("NSpid:") and line.split()[2:] == ["1"] for line in lines)
    return False
