"""A Logix controller (cpppo's EtherNet/IP simulator) with tags of DINT arrays, driven over the standard streams.

    python enip_plc.py PORT NAME=DINT[SIZE]...

stdin: "read", or "write TAG VALUE..."; every line is answered with the elements of all tags, in the given order.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from importlib import import_module
from typing import Any

warnings.simplefilter("ignore")  # cpppo's own

simulator = import_module("cpppo.server.enip.main")


def attribute(name: str) -> Any:
    return dict.__getitem__(simulator.tags, name).attribute


def main(port: str, definitions: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    arguments = ["--address", f"127.0.0.1:{port}", *definitions]
    threading.Thread(target=simulator.main, args=(arguments,), daemon=True).start()
    names = [definition.partition("=")[0] for definition in definitions]
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "write":
            values = [int(value) for value in rest[1:]]
            attribute(rest[0])[0 : len(values)] = values
        print(*(value for name in names for value in attribute(name)[0 : len(attribute(name))]), flush=True)


main(sys.argv[1], sys.argv[2:])
