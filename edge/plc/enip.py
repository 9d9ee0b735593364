"""Writes the station's words into tags of a Logix controller by EtherNet/IP, and reads the PLC's.

Each block is an array of DINT with one element for each word, so no word is split over elements.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from typing import Any, TypeVar

from pycomm3 import LogixDriver
from pycomm3.cip import DINT, Array
from pycomm3.const import HEADER_SIZE
from pycomm3.exceptions import CommError, PycommError
from pycomm3.socket_ import Socket
from pycomm3.tag import Tag

from edge.clock import SECOND, Clock
from edge.errors import PlcError
from edge.options import EnipPlc
from edge.plc import Refused
from edge.plc.table import Orders, Result, Status, words
from edge.plc.written import Written

_Block = TypeVar("_Block", Status, Result, Orders)
_SIGN = 1 << 31

# Every failure is raised as a typed error with its cause; the library's own lines would say it twice.
logging.getLogger("pycomm3").setLevel(logging.CRITICAL + 1)


class EnipLink:
    """Each block is one request. After any failure the driver is thrown away: it does not recover."""

    def __init__(self, options: EnipPlc, clock: Clock, _refused: Refused) -> None:
        self._options = options
        self._clock = clock
        self._driver: LogixDriver | None = None
        self._written = Written()
        self._result = Result()

    def __str__(self) -> str:
        return f"PLC {self._options.host}:{self._options.port} slot {self._options.slot} (EtherNet/IP)"

    def connect(self) -> None:
        """Connect to the controller anew. Raises PlcError."""
        self.close()
        options = self._options
        driver = LogixDriver(f"{options.host}:{options.port}/{options.slot}", init_tags=False)
        # the tags are known: uploading all of a controller's takes seconds
        driver._tags = {self._name(kind): _definition(kind) for kind in (Status, Result, Orders)}
        driver._sock = _BoundedSocket(self._clock, options.timeout_ms / 1_000)
        try:
            opened = driver.open()  # type: ignore[no-untyped-call]
        except (PycommError, OSError) as error:
            _throw_away(driver)
            raise PlcError(f"{self} accepts no session ({error}): check power, cable, address and slot") from error
        if not opened:
            _throw_away(driver)
            raise PlcError(f"{self} refused the session: it may have no connection left for one more client")
        self._driver = driver
        self._written = Written()
        self._result = Result()  # the last one of an earlier run goes

    def publish(self, result: Result) -> None:
        """The result goes out with the next heartbeat, before it and in the same request."""
        self._result = result

    def heartbeat(self, status: Status) -> None:
        blocks = (self._result, status)
        self._ask(lambda driver: driver.write(*((self._tag_of(type(block)), _values(block)) for block in blocks)))
        for block in blocks:
            self._written.note(block)

    def poll(self) -> Orders:
        tags = [self._tag_of(kind) for kind in (Status, Result, Orders)]
        answers = self._ask(lambda driver: driver.read(*tags))
        status, result, orders = (answer.value for answer in answers)
        try:
            self._written.compare(str(self), _block(Status, status), _block(Result, result))
        except PlcError:
            self._drop()
            raise
        return _block(Orders, orders)

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            with suppress(PycommError, OSError, struct.error):
                # a controller has few connections to give, so it is told
                driver.close()  # type: ignore[no-untyped-call]

    def _drop(self) -> None:
        """After a failure: no farewell, which would wait for an answer."""
        driver, self._driver = self._driver, None
        if driver is not None:
            _throw_away(driver)

    def _name(self, kind: type[Any]) -> str:
        return f"{self._options.prefix}_{kind.__name__}"

    def _tag_of(self, kind: type[Any]) -> str:
        return f"{self._name(kind)}{{{len(words(kind))}}}"

    def _ask(self, request: Callable[[LogixDriver], list[Tag]]) -> list[Tag]:
        if self._driver is None:
            raise PlcError(f"{self} is not connected: connect first")
        try:
            answers = request(self._driver)
        except (PycommError, OSError, struct.error) as error:
            self._drop()
            raise PlcError(
                f"{self} gave no valid answer within {self._options.timeout_ms:g} ms ({error}): is it in RUN, is the "
                "cable in?"
            ) from error
        for answer in answers:
            if not answer:
                self._drop()
                raise PlcError(
                    f"{self} refused {answer.tag} ({answer.error}): it needs that tag as an array of DINT"
                )
        return answers


def _values(block: Status | Result) -> list[int]:
    return [(int(value) ^ _SIGN) - _SIGN for value in astuple(block)]


def _block(kind: type[_Block], values: list[int]) -> _Block:
    return kind(*(value & 0xFFFF_FFFF for value in values))


def _definition(kind: type[Any]) -> dict[str, Any]:
    """The tag as the driver would have learned it from the controller."""
    atomic = {"tag_type": "atomic", "data_type": "DINT", "data_type_name": "DINT"}
    return atomic | {"dim": 1, "type_class": Array(length_=len(words(kind)), element_type_=DINT)}


def _throw_away(driver: LogixDriver) -> None:
    """Close the socket without a farewell, which would wait for an answer."""
    connection, driver._sock = driver._sock, None
    if connection is not None:
        with suppress(OSError):
            connection.close()  # type: ignore[no-untyped-call]


class _BoundedSocket(Socket):
    """The library's socket waits for ever when a peer ends in the middle of an answer, or sends it byte by byte."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        super().__init__(timeout_s)  # type: ignore[no-untyped-call]
        self._clock = clock
        self._timeout_s = timeout_s

    def receive(self, timeout: float = 0) -> bytes:
        until_ns = self._clock.now_ns() + round((timeout or self._timeout_s) * SECOND)
        data = self._piece(HEADER_SIZE, until_ns)
        (length,) = struct.unpack_from("<H", data, 2)
        return data + self._piece(length, until_ns)

    def _piece(self, size: int, until_ns: int) -> bytes:
        data = b""
        while len(data) < size:
            left_s = (until_ns - self._clock.now_ns()) / SECOND
            if left_s <= 0:
                raise CommError("no whole answer in time")
            self.sock.settimeout(left_s)
            try:
                piece = self.sock.recv(size - len(data))
            except OSError as error:
                raise CommError(f"no answer: {error}") from error
            if not piece:
                raise CommError("the connection was closed")
            data += piece
        return data
