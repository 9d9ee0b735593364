"""The emulated machine (QEMU without hardware acceleration): it boots, its cables come and go, its power is cut."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.system.device.app import app
from tests.system.device.guest import Guest
from tests.system.device.image import image
from tests.system.device.sockets import awaited, connected

BOARD = "board"
ADAPTER = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_BOARD-if00-port0"  # its path in the guest
_KERNEL = "console=ttyS0 quiet mitigations=off systemd.show_status=0 net.ifnames=0 random.trust_cpu=on"
_BEHIND_OTHERS = "setpriv --pdeathsig KILL nice -n 10"  # and gone when the test's thread is
_MACHINE = "-accel tcg,thread=multi -cpu max,la57=off -smp 2 -m 1536 -machine q35 -nodefaults -display none"
_BOOT_S = 300.0


class Monitor:
    """QEMU's own commands (QMP)."""

    def __init__(self, link: socket.socket) -> None:
        self._socket = link
        self._socket.settimeout(60.0)
        self._file = self._socket.makefile("rw", encoding="utf-8")
        self.events: list[dict[str, Any]] = []
        self._read()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Execute and return what it answers; events that came meanwhile are kept."""
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                pytest.fail(f"the emulator refuses {command} {arguments}: {answer['error']}")
            if "return" in answer:
                return answer["return"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            pytest.fail("the emulator has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Device:
    """A machine with a USB serial adapter whose wire ends at the socket `board`, and what `extra` says; on from
    `__enter__` until `cut`, or `__exit__`."""

    def __init__(self, folder: Path, *, board: Path | None = None, extra: Sequence[str] = ()) -> None:
        self._folder = folder
        self._board = board
        self._extra = extra
        self.console = folder / "console.log"
        self.guest = Guest()
        self.on_ns = 0  # when it was switched on, on the host's monotonic clock
        self.monitor: Monitor | None = None
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Device:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in ("agent.sock", "monitor.sock"):
            (self._folder / left).unlink(missing_ok=True)
        self.on_ns = time.monotonic_ns()
        with (self._folder / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.monitor = Monitor(connected(self._folder / "monitor.sock", self._ended))
            self.guest.connect(connected(self._folder / "agent.sock", self._ended))
            awaited(lambda: self.guest.greetings > 0 or self._ended(), "the device boots", self._console, _BOOT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        if self.monitor is not None:
            self.monitor.close()

    def cut(self) -> None:
        """The power goes: whatever is not on the disk is lost. May be called twice."""
        self.process.kill()
        self.process.wait()
        self.guest.close()

    def unplug(self, adapter: str = BOARD) -> None:
        """Pull the USB serial adapter; it is gone when this returns."""
        self._monitored().do("device_del", id=adapter)

    def plug(self, adapter: str = BOARD) -> None:
        """Plug the USB serial adapter in (again)."""
        self._monitored().do("device_add", **_adapter(adapter))

    def _monitored(self) -> Monitor:
        assert self.monitor is not None, "the device is off"
        return self.monitor

    def _console(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def _ended(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"the emulator has ended: {(self._folder / 'qemu.log').read_text()[-2000:]}")
        return False

    def _command(self) -> list[str]:
        system, folder = image(), self._folder
        command = [*_BEHIND_OTHERS.split(), "qemu-system-x86_64", *_MACHINE.split()]
        command += ["-kernel", str(system.vmlinuz), "-initrd", str(system.initrd), "-append", _KERNEL]
        command += disk("root", system.disk, "readonly=on") + disk("app", app(), "readonly=on")
        command += ["-serial", f"file:{self.console}"]
        command += [
            "-chardev",
            f"socket,id=agent,path={folder}/agent.sock,server=on,wait=off",
            "-serial",
            "chardev:agent",
        ]
        command += ["-qmp", f"unix:{folder}/monitor.sock,server=on,wait=off"]
        command += ["-device", "qemu-xhci,id=usb", "-device", "i6300esb", "-action", "watchdog=reset"]
        command += ["-chardev", "null,id=other"]
        if self._board is not None:
            command += ["-chardev", f"socket,id={BOARD},path={self._board}"]
            command += ["-device", ",".join(f"{key}={value}" for key, value in _adapter(BOARD).items())]
        return [*command, *self._extra]


def _adapter(name: str) -> dict[str, str]:
    return {"driver": "usb-serial", "id": name, "chardev": name, "serial": name.upper(), "always-plugged": "on"}


def disk(name: str, path: Path, how: str) -> list[str]:
    """The emulator's words for one more disk; the guest finds it as /dev/disk/by-id/virtio-NAME."""
    drive = f"file={path},if=none,id={name},format=raw,{how}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]
