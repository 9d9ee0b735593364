"""A pseudo-terminal as a serial adapter whose wire ends at a socket, in a process of its own.

    python -m tests.system.serial_pair SOCKET LINK    makes LINK, the station's end; ends with its stdin

A port that nobody has open any more forgets that it was somebody's alone; a pseudo-terminal does not, so this helps it.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import time
import tty
from pathlib import Path


def main(board: str, link: str) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = Path(os.ttyname(slave))
    port.chmod(0o666)
    os.close(slave)
    Path(link).symlink_to(port)
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(board)
        while True:
            ready, _, _ = select.select([sys.stdin, wire, master], [], [])
            if sys.stdin in ready:
                return
            if wire in ready:
                os.write(master, wire.recv(256))
            if master in ready:
                wire.sendall(_read(master, port))


def _read(master: int, port: Path) -> bytes:
    try:
        return os.read(master, 256)
    except OSError:  # nobody has the port open
        time.sleep(0.02)
        if not select.select([master], [], [], 0)[0]:
            return b""
        slave = os.open(port, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(slave, termios.TIOCNXCL)
        os.close(slave)
        return b""


if __name__ == "__main__":
    main(*sys.argv[1:])
