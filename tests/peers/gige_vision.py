"""A GigE Vision camera on an address of its own on the loopback: registers (GVCP) and streaming (GVSP) over real UDP.

What Aravis' own fake camera cannot show is here: a trigger line, frame ids of both widths, a latch of the device's
clock, packets lost and sent again, settings that revert, pictures that change their size.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable

from edge.clock import SECOND, SystemClock
from tests.peers.gige_genicam import FORMATS, REGISTERS, SENSOR, genicam_xml

CONTROL_PORT = 3956
XML_AT = 0x8000
MEMORY = 0x10000

# Bootstrap registers of the GigE Vision standard.
IP, MANUFACTURER, MODEL, SERIAL, XML_URL, STREAMS = 0x24, 0x48, 0x68, 0xD8, 0x200, 0x904
CAPABILITY, HEARTBEAT_MS, TICKS, CONTROL, CONTROLLER_IP = 0x934, 0x938, 0x940, 0xA00, 0xA14
STREAM_PORT, PACKET_SIZE, STREAM_ADDRESS = 0xD00, 0xD04, 0xD18

DISCOVERY, RESEND, READ, WRITE, READ_MEMORY, WRITE_MEMORY = 0x02, 0x40, 0x80, 0x82, 0x84, 0x86
ACCESS_DENIED = 0x8006
LEADER, TRAILER, PAYLOAD, WIDE = 1, 2, 3, 0x80
TEST_PACKET = 1 << 31

Content = Callable[[int, int, int, str], bytes]


def noise(number: int, width: int, height: int, pixel_format: str) -> bytes:
    """A picture's bytes: random, another for each frame."""
    bits = FORMATS[pixel_format] >> 16 & 0xFF
    return random.Random(number).randbytes(width * height * bits // 8)


class GvCamera:
    """Use as a context manager; it then answers at `address`. Any thread may call.

    `lose(number, packet)`: whether that packet of that frame is lost on its first way. `reverts`: the trigger mode goes
    back to Off when the acquisition starts. `stamps`: frames carry the device's time. `wide_ids`: 64-bit frame ids.
    """

    def __init__(
        self,
        *,
        content: Content = noise,
        first_id: int = 1,
        wide_ids: bool = False,
        stamps: bool = True,
        reverts: bool = False,
        without: frozenset[str] = frozenset(),
        lose: Callable[[int, int], bool] = lambda number, packet: False,
    ) -> None:
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.{random.randrange(2, 255)}"
        self.sent = 0
        self.resent = 0
        self.wrote: list[tuple[str, int]] = []
        self._content = content
        self._next_id = first_id
        self._wide = wide_ids
        self._stamps = stamps
        self._reverts = reverts
        self._lose = lose
        self._clock = SystemClock()
        # the device's clock has a zero of its own
        self._device_zero_ns = self._clock.now_ns() - 1_000 * SECOND
        self._memory = bytearray(MEMORY)
        self._controller: tuple[str, int] | None = None
        self._running = False
        self._due_ns = 0
        self._packets: deque[tuple[int, list[bytes]]] = deque(maxlen=8)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._muted = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._serve, name="gv-camera")
        self._boot(genicam_xml(without))

    def __enter__(self) -> GvCamera:
        self._socket.bind((self.address, CONTROL_PORT))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def device_ns(self) -> int:
        """The device's clock."""
        return self._clock.now_ns() - self._device_zero_ns

    def edge(self, line: str = "Line1") -> None:
        """An edge on an input line: exposes a frame where the trigger waits for that line."""
        with self._lock:
            sources = {"Line1": 0, "Line2": 1}
            if self._running and self.get("TriggerMode") and self.get("TriggerSource") == sources[line]:
                self._expose()

    def again(self, back: int = 1) -> None:
        """Send a frame once more under its own id: the newest one (1), or the one before it (2)."""
        with self._lock:
            if len(self._packets) >= back:
                self._send(self._packets[-back][1])

    def mute(self, muted: bool = True) -> None:
        """Pull the cable: nothing is answered and nothing is sent."""
        self._muted = muted

    def power_cycle(self) -> None:
        """Forget everything, as a camera does whose power came back."""
        with self._lock:
            self._boot(bytes(self._memory[XML_AT:]).rstrip(b"\0"))

    def set(self, name: str, value: int) -> None:
        """Change a feature behind the controller's back."""
        with self._lock:
            struct.pack_into(">I", self._memory, REGISTERS[name], value)

    def get_float(self, name: str) -> float:
        """The same of a feature that is no whole number."""
        value: float = struct.unpack_from(">f", self._memory, REGISTERS[name])[0]
        return value

    def get(self, name: str) -> int:
        """A feature's value as the camera has it."""
        value: int = struct.unpack_from(">I", self._memory, REGISTERS[name])[0]
        return value

    def _boot(self, xml: bytes) -> None:
        self._memory[:] = bytes(MEMORY)
        self._controller, self._running = None, False
        for at, text in ((MANUFACTURER, "Kenpin"), (MODEL, "Loopback"), (SERIAL, self.address[4:])):
            self._memory[at : at + len(text)] = text.encode()
        url = f"Local:loopback.xml;{XML_AT:X};{len(xml):X}".encode()
        self._memory[XML_URL : XML_URL + len(url)] = url
        self._memory[XML_AT : XML_AT + len(xml)] = xml
        self._memory[IP : IP + 4] = socket.inet_aton(self.address)
        # packet resend and the wide ids are the capabilities of bit 2 and 30 of the stream; here all are told
        words = {0: 0x00010002, STREAMS: 1, CAPABILITY: 0x4, HEARTBEAT_MS: 3_000, TICKS: SECOND, PACKET_SIZE: 1_400}
        words |= {REGISTERS["Width"]: SENSOR[0], REGISTERS["Height"]: SENSOR[1]}
        words |= {REGISTERS["PixelFormat"]: FORMATS["Mono8"]}
        for at, word in words.items():
            struct.pack_into(">I", self._memory, at, word)
        floats = {"ExposureTime": 5_000, "AcquisitionFrameRate": 50, "ResultingFrameRate": 50}
        for name, value in floats.items():
            struct.pack_into(">f", self._memory, REGISTERS[name], value)

    # --- control ---

    def _serve(self) -> None:
        while not self._stop.is_set():
            wait_s = 0.02
            if self._running and not self.get("TriggerMode"):
                wait_s = max(0.0, min(wait_s, (self._due_ns - self._clock.now_ns()) / SECOND))
            ready, _, _ = select.select([self._socket], [], [], wait_s)
            if ready:
                data, sender = self._socket.recvfrom(2_048)
                if not self._muted:
                    self._answer(data, sender)
            with self._lock:
                self._free_run()

    def _free_run(self) -> None:
        if self._running and not self.get("TriggerMode") and self._clock.now_ns() >= self._due_ns:
            self._due_ns += round(SECOND / max(1.0, self.get_float("AcquisitionFrameRate")))
            self._expose()

    def _answer(self, data: bytes, sender: tuple[str, int]) -> None:
        _, _, command, size, number = struct.unpack_from(">BBHHH", data)
        body = data[8 : 8 + size]
        with self._lock:
            if command == RESEND:
                self._resend(body)
                return
            status, answer = self._execute(command, body, sender)
        self._socket.sendto(struct.pack(">HHHH", status, command + 1, len(answer), number) + answer, sender)

    def _execute(self, command: int, body: bytes, sender: tuple[str, int]) -> tuple[int, bytes]:
        if command == DISCOVERY:
            return 0, bytes(self._memory[:0xF8])
        if command == READ:
            places = struct.unpack(f">{len(body) // 4}I", body)
            return 0, b"".join(bytes(self._memory[at : at + 4]) for at in places)
        if command == READ_MEMORY:
            at, count = struct.unpack(">II", body)
            return 0, body[:4] + bytes(self._memory[at : at + (count & 0xFFFF)])
        if self._controller not in (None, sender):
            return ACCESS_DENIED, b""
        if command == WRITE:
            at, value = struct.unpack(">II", body[:8])
            self._write(at, value, sender)
            return 0, struct.pack(">I", 1)
        return 0x8001, b""

    def _write(self, at: int, value: int, sender: tuple[str, int]) -> None:
        struct.pack_into(">I", self._memory, at, value)
        name = next((name for name, place in REGISTERS.items() if place == at), "")
        self.wrote.append((name or hex(at), value))
        if at == CONTROL:
            self._controller = sender if value else None
            self._memory[CONTROLLER_IP : CONTROLLER_IP + 4] = socket.inet_aton(sender[0] if value else "0.0.0.0")
        elif at == PACKET_SIZE and value & TEST_PACKET:
            self._send([bytes((value & 0xFFFF) - 28)])
        elif name == "TimestampLatch":
            struct.pack_into(">Q", self._memory, REGISTERS["TimestampLatchValue"], self.device_ns())
        elif name in ("AcquisitionStart", "AcquisitionStop"):
            self._running = name == "AcquisitionStart"
            self._due_ns = self._clock.now_ns()
            if self._running and self._reverts:
                self.set("TriggerMode", 0)
        elif name == "TriggerSoftware" and self._running and self.get("TriggerSource") == 2:
            self._expose()

    # --- streaming ---

    def _expose(self) -> None:
        stamp_ns = self.device_ns() if self._stamps else 0
        number, self.sent = self.sent, self.sent + 1
        packets = self._picture(number, stamp_ns)
        self._packets.append((self._next_id, packets))
        self._next_id += 1
        if not self._wide and self._next_id > 0xFFFF:
            self._next_id = 1
        self._send([packet for index, packet in enumerate(packets) if not self._lose(number, index)])

    def _picture(self, number: int, stamp_ns: int) -> list[bytes]:
        width, height, code = self.get("Width"), self.get("Height"), self.get("PixelFormat")
        name = next(name for name, value in FORMATS.items() if value == code)
        data = self._content(number, width, height, name)
        step = (struct.unpack_from(">I", self._memory, PACKET_SIZE)[0] & 0xFFFF) - 28 - (20 if self._wide else 8)
        leader = struct.pack(">HHQIIIIIHH", 0, 1, stamp_ns, code, width, height, 0, 0, 0, 0)
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        bodies = [
            (LEADER, leader),
            *((PAYLOAD, piece) for piece in pieces),
            (TRAILER, struct.pack(">II", 1, height)),
        ]
        return [self._head(kind, packet) + body for packet, (kind, body) in enumerate(bodies)]

    def _head(self, kind: int, packet: int) -> bytes:
        if self._wide:
            return struct.pack(">HHIQI", 0, 0, (kind | WIDE) << 24, self._next_id, packet)
        return struct.pack(">HHI", 0, self._next_id, kind << 24 | packet)

    def _resend(self, body: bytes) -> None:
        block, first, last = struct.unpack_from(">III", body)
        wanted = struct.unpack_from(">Q", body, 12)[0] if self._wide else block & 0xFFFF
        for number, packets in self._packets:
            if number == wanted:
                chosen = packets[first & 0xFFFFFF : (last & 0xFFFFFF) + 1]
                self.resent += len(chosen)
                self._send(chosen)

    def _send(self, packets: list[bytes]) -> None:
        port = struct.unpack_from(">I", self._memory, STREAM_PORT)[0] & 0xFFFF
        if port and not self._muted:
            address = socket.inet_ntoa(bytes(self._memory[STREAM_ADDRESS : STREAM_ADDRESS + 4]))
            for packet in packets:
                self._socket.sendto(packet, (address, port))
