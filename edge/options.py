"""The settings of every device kind as station.toml writes them: frozen, units in names, unknown key = error."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork

from edge.camera_options import BeltCamera as BeltCamera
from edge.camera_options import Camera as Camera
from edge.camera_options import CameraOptions as CameraOptions
from edge.camera_options import CvCamera as CvCamera
from edge.camera_options import FolderCamera as FolderCamera
from edge.camera_options import GigeCamera as GigeCamera
from edge.camera_options import GstCamera as GstCamera
from edge.section import Milliseconds as Milliseconds
from edge.section import Options as Options
from edge.section import Port, Register, of_letters

# --- what inputs and outputs have in common ---------------------------------------------------------------------


class RtuUnit(Options):
    """A unit on a serial Modbus bus. Devices that name the same `port` share it and must agree on its settings."""

    port: str
    baud: int = Field(default=9_600, ge=1_200, le=3_000_000)
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    device_id: int = Field(default=1, ge=1, le=247)

    @property
    def exchange_ms(self) -> float:
        """What one short request and its answer take on the wire: eight bytes each, and a silence before each."""
        byte_ms = 11 * 1_000 / self.baud
        return 16 * byte_ms + 2 * max(3.5 * byte_ms, 1.75)

    @property
    def bus_share(self) -> float:
        """The share of the bus's time that the unit takes by itself, beside what it takes when something happens."""
        return 0.0


class GpioLine(Options):
    """A line of a GPIO chip, by its number on the chip or by its name. `invert`: the wire is low when active."""

    chip: str = "/dev/gpiochip0"
    line: Annotated[int, Field(ge=0, le=65_535)] | str
    invert: bool = False
    bias: Literal["as_is", "disabled", "pull_up", "pull_down"] = "as_is"


# --- triggers ---------------------------------------------------------------------------------------------------


class SimulatedInput(Options):
    """The photo-eye of the simulated conveyor; `seed`, `pitch_ms` and `jitter_ms` as in the belt camera."""

    kind: Literal["simulated"]
    seed: int = 1
    pitch_ms: Milliseconds = 50.0
    jitter_ms: float = Field(default=4.0, ge=0)
    debounce_ms: float = Field(default=0.0, ge=0)


class ModbusInput(Options):
    """A discrete input polled over Modbus TCP on a connection of its own."""

    kind: Literal["modbus"]
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)
    input: Register
    invert: bool = False
    debounce_ms: float = Field(default=3.0, ge=0)
    poll_ms: Milliseconds = 2.0
    timeout_ms: Milliseconds = 200.0


class ModbusCounterInput(Options):
    """A counter of parts in a register of a Modbus TCP device, on a connection of its own: each count is a part, also
    one that is there for less than `poll_ms`. Of a counter with 32 bits name the register with the lower half. The
    device debounces its input itself; a counter tells no level and no length."""

    kind: Literal["modbus_counter"]
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)
    counter: Register
    counter_kind: Literal["input", "holding"] = "input"
    poll_ms: Milliseconds = 2.0
    timeout_ms: Milliseconds = 200.0


class ModbusRtuInput(RtuUnit):
    """A discrete input polled over a serial Modbus bus. Where outputs share the bus they go first, but wait for a
    poll that is under way: about 25 ms at 9600 baud, 5 ms at 115200."""

    kind: Literal["modbus_rtu"]
    input: Register
    invert: bool = False
    debounce_ms: float = Field(default=3.0, ge=0)
    poll_ms: Milliseconds = 30.0
    timeout_ms: Milliseconds = 200.0

    @property
    def bus_share(self) -> float:
        return self.exchange_ms / self.poll_ms


class GpioInput(GpioLine):
    """A GPIO line whose edges the kernel stamps. `debounce_ms` is done here, on those times, and costs no
    precision; `kernel_debounce_ms` lets driver or kernel do it, which spares a bouncing contact's interrupts but
    knows an edge to 10 ms only."""

    kind: Literal["gpio"]
    debounce_ms: float = Field(default=3.0, ge=0)
    kernel_debounce_ms: float = Field(default=0.0, ge=0, le=1_000)


class SerialLineInput(Options):
    """A modem line of a serial port as an input, waited for in the kernel. RTS and DTR are raised and may feed a
    contact. An edge is noticed at most `late_ms` after it happened: some milliseconds over USB, see the adapter's
    manual. Keep `debounce_ms` above it, or a bounce that woke nobody in between counts as a lost edge."""

    kind: Literal["serial_line"]
    port: str
    line: Literal["cts", "dsr", "dcd", "ri"] = "cts"
    invert: bool = False
    debounce_ms: float = Field(default=5.0, ge=0)
    late_ms: Milliseconds = 4.0


class CameraTrigger(Options):
    """No photo-eye: every frame of the named camera is one part (replay, or a camera that triggers itself)."""

    kind: Literal["camera"]
    camera: str


class PresenceTrigger(Options):
    """No photo-eye: a line in the picture of a free-running camera sees parts come (virtual photo-eye).

    `line` is the position across the belt's direction as a share of the picture, `axis` the direction of
    travel; a part is present while the line's contrast to the empty belt exceeds `contrast` (0..1).
    """

    kind: Literal["presence"]
    camera: str
    axis: Literal["x", "y"] = "x"
    line: float = Field(default=0.5, gt=0, lt=1)
    contrast: float = Field(default=0.12, gt=0, lt=1)
    debounce_frames: int = Field(default=2, ge=1, le=50)


AnyInput = SimulatedInput | ModbusInput | ModbusCounterInput | ModbusRtuInput | GpioInput | SerialLineInput
LineInput = Annotated[AnyInput, Field(discriminator="kind")]
Trigger = Annotated[AnyInput | CameraTrigger | PresenceTrigger, Field(discriminator="kind")]


# --- encoders ---------------------------------------------------------------------------------------------------


class EncoderOptions(Options):
    """What every encoder states. `bits` is the width of its counter, which wraps. The belt may jog back by
    `reverse_counts`; further back, or a jump that no belt makes, purges the zone. A sample is good for `stale_ms`.
    With a [motor] input the encoder is dead when the motor runs for `dead_after_ms` and nothing counts."""

    bits: Literal[16, 24, 32] = 32
    poll_ms: Milliseconds = 5.0
    stale_ms: Milliseconds = 100.0
    reverse_counts: int = Field(default=50, ge=0)
    dead_after_ms: Milliseconds = 1_000.0


class SimulatedEncoder(EncoderOptions):
    """Counts as a belt of constant speed would, from the machine's own clock."""

    kind: Literal["simulated"]
    counts_per_s: int = Field(default=10_000, ge=1, le=10_000_000)


class ModbusEncoder(EncoderOptions):
    """A counter of a remote I/O or PLC, polled over Modbus TCP on a connection of its own: one 16 bit register, or two
    with the more significant word first (`word_order = "big"`) or last."""

    kind: Literal["modbus"]
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)
    counter: Register
    counter_kind: Literal["input", "holding"] = "input"
    word_order: Literal["big", "little"] = "big"
    timeout_ms: Milliseconds = 50.0


Encoder = Annotated[SimulatedEncoder | ModbusEncoder, Field(discriminator="kind")]


# --- outputs ----------------------------------------------------------------------------------------------------


class OutputOptions(Options):
    """What every output states. `invert`: the wire is low when the output is active.

    `external_watchdog` declares that something outside (remote I/O watchdog, PLC, safety relay) puts the
    output to rest when this process stops writing; `heartbeat_ms` is how often the level is written again.
    """

    invert: bool = False
    external_watchdog: bool = False
    heartbeat_ms: Milliseconds | None = None

    @property
    def heartbeat_takes_ms(self) -> float:
        """How long the line is busy writing the level again, at most, as long as nothing fails."""
        return 5.0


class MemoryOutput(OutputOptions):
    """Keeps the level in memory and forgets it; for tests and benchmarks."""

    kind: Literal["memory"]


class CoilOptions(OutputOptions):
    """One coil of a Modbus device, with its guards.

    Whenever the device is opened, the holding register `watchdog_check_register` (without one:
    `watchdog_register`) must hold `watchdog_value`; where it does not, that is written to `watchdog_register` first.
    `owner_register` is a holding register kept free for this station: it holds this process's mark, and another
    mark is a second master.
    """

    coil: Register
    timeout_ms: Milliseconds = 100.0
    watchdog_register: Register | None = None
    watchdog_value: Annotated[int, Field(ge=1, le=65_535)] | None = None  # 0 would turn most of them off
    watchdog_check_register: Register | None = None
    owner_register: Register | None = None


class ModbusOutput(CoilOptions):
    """One coil over Modbus TCP on a connection of its own: echo compared, no retries. `watchdog_...` and
    `owner_register` are explained in docs/outputs.md."""

    kind: Literal["modbus"]
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)


class ModbusRtuOutput(CoilOptions, RtuUnit):
    """One coil over a serial Modbus bus, which several devices of the station may share if they agree on its
    settings. `watchdog_...` and `owner_register` are explained in docs/outputs.md."""

    kind: Literal["modbus_rtu"]

    @property
    def bus_share(self) -> float:
        return self._beat_ms / self.heartbeat_ms if self.heartbeat_ms else 0.0

    @property
    def heartbeat_takes_ms(self) -> float:
        return max(super().heartbeat_takes_ms, self._beat_ms)

    @property
    def _beat_ms(self) -> float:
        """One exchange, a second one where the owner's mark is looked at."""
        return self.exchange_ms * (1 if self.owner_register is None else 2)


class GpioOutput(OutputOptions, GpioLine):
    """A GPIO line. What it does when its owner dies is the driver's business: give it a pull resistor."""

    kind: Literal["gpio"]


class SerialBytesOutput(OutputOptions):
    """A relay board that takes byte commands; `board` is a known one, or "custom" with `on_hex` and `off_hex`."""

    kind: Literal["serial_bytes"]
    port: str
    board: Literal["lcus", "kmtronic", "numato", "custom"] = "lcus"
    channel: int = Field(default=1, ge=0, le=32)
    baud: int = Field(default=9_600, ge=300, le=3_000_000)
    on_hex: str = ""
    off_hex: str = ""
    timeout_ms: Milliseconds = 100.0


class SerialLineOutput(OutputOptions):
    """A modem line of a serial port. Linux raises RTS and DTR whenever a port is opened: see docs/outputs.md."""

    kind: Literal["serial_line"]
    port: str
    line: Literal["rts", "dtr"] = "rts"


MAX_AT_PLC = 14  # as many parts as the registers of gate.kind = "plc" hold between photo-eye and gate


class PlcGate(Options):
    """A PLC owns the gate: it sees the same photo-eye, is told a word for each part, times the kick itself, rejects
    what has no word, and says what it did. docs/plc-gate.md has the registers, from `address` on, and what its program
    must do.

    `scan_ms` is the PLC's longest scan. An edge of its photo-eye and one of the trigger are the same part within
    `window_ms` and the trigger's own error. The PLC's block is read every `poll_ms`; each request may take
    `timeout_ms`. The PLC gets another heartbeat every `heartbeat_ms` at least. A PLC that stands still for `silence_ms`
    is lost, and so is an answer that comes so long after the part has left the gate.
    """

    kind: Literal["plc"]
    link: Literal["modbus"] = "modbus"
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)
    address: int = Field(default=0, ge=0, le=65_000)
    scan_ms: Milliseconds = 10.0
    window_ms: Milliseconds = 20.0
    poll_ms: Milliseconds = 10.0
    timeout_ms: Milliseconds = 100.0
    heartbeat_ms: Milliseconds = 100.0
    silence_ms: Milliseconds = 300.0

    def mistakes(self, rest: str, trigger: Trigger) -> list[str]:
        """What a PLC that times the kick needs to find the same parts, as sentences where it has not."""
        found = []
        if rest != "reject":
            found.append('gate.rest: must be "reject"; a PLC that owns the gate rejects what no word released')
        if isinstance(trigger, CameraTrigger | PresenceTrigger):
            found.append('trigger.kind: gate.kind = "plc" needs a photo-eye, the one that the PLC sees too')
        if self.window_ms < self.scan_ms + 2:
            found.append("gate.window_ms: must be at least gate.scan_ms + 2, the PLC knows an edge no better")
        if self.silence_ms < 2 * (self.scan_ms + self.poll_ms):
            found.append("gate.silence_ms: must be at least twice gate.scan_ms + gate.poll_ms")
        if self.heartbeat_ms > self.silence_ms:
            found.append("gate.heartbeat_ms: must not exceed gate.silence_ms")
        return found


AnyOutput = MemoryOutput | ModbusOutput | ModbusRtuOutput | SerialBytesOutput | SerialLineOutput | GpioOutput
Output = Annotated[AnyOutput, Field(discriminator="kind")]
GateOutput = Annotated[AnyOutput | PlcGate, Field(discriminator="kind")]


# --- PLC links --------------------------------------------------------------------------------------------------


class PlcOptions(Options):
    """What every PLC link states; docs/plc.md has the words that are exchanged.

    Every `poll_ms` the station writes its status and reads what the PLC wrote; each request may take `timeout_ms`. The
    station is ready only while the PLC's heartbeat changes within `heartbeat_timeout_ms`. A result that the PLC does
    not acknowledge within `result_timeout_ms` of the part's end is withdrawn and counted as lost, and so is the oldest
    waiting one when more than `queue` wait.
    """

    heartbeat_timeout_ms: Milliseconds | None = 1_000.0
    result_timeout_ms: Milliseconds = 5_000.0
    poll_ms: Milliseconds = 50.0
    timeout_ms: Milliseconds = 300.0
    queue: int = Field(default=16, ge=1, le=1_000)


LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class ModbusServerPlc(PlcOptions):
    """The station is a Modbus TCP server that the PLC polls: status and results in input registers, the PLC's words in
    holding registers 64 to 68. It answers `peers` only, and lets one address at a time write."""

    kind: Literal["modbus_server"]
    listen: str = "127.0.0.1"
    port: Port = 502
    peers: tuple[IPvAnyNetwork, ...] = LOOPBACK
    max_connections: int = Field(default=4, ge=1, le=64)


class ModbusClientPlc(PlcOptions):
    """The station writes into the holding registers of a PLC that is a Modbus TCP server, from `address` on."""

    kind: Literal["modbus_client"]
    host: str
    port: Port = 502
    device_id: int = Field(default=1, ge=0, le=255)
    address: int = Field(default=0, ge=0, le=65_456)


class S7Plc(PlcOptions):
    """Siemens S7: the station writes into data block `db` from byte `start` on. S7-1200 and S7-1500 must allow PUT/GET,
    which knows no password, and the block must not be optimized."""

    kind: Literal["s7"]
    host: str
    port: Port = 102
    rack: int = Field(default=0, ge=0, le=7)
    slot: int = Field(default=1, ge=0, le=31)
    db: int = Field(ge=1, le=65_535)
    start: int = Field(default=0, ge=0, le=65_000)


class EnipPlc(PlcOptions):
    """EtherNet/IP with Logix controllers: the station writes the tags `PREFIX_Status` and `PREFIX_Result` and reads
    `PREFIX_Orders`, arrays of DINT with one element for each word."""

    kind: Literal["enip"]
    host: str
    port: int = Field(default=44_818, ge=1, le=65_534)
    slot: int = Field(default=0, ge=0, le=31)
    prefix: Annotated[
        str, of_letters("[A-Za-z_][A-Za-z0-9_]{0,30}", "a letter, then up to 30 letters, digits and _")
    ] = "Kenpin"


class OpcUaPlc(PlcOptions):
    """The station is an OPC UA server for results and states, by Basic256Sha256 Sign & Encrypt only: clients whose
    certificate lies in `trusted_dir` and whose user is in `users`. Without `heartbeat_timeout_ms` nothing can be
    written, no PLC is waited for, and a result counts as taken when its event went out."""

    kind: Literal["opcua"]
    listen: str = "127.0.0.1"
    port: Port = 4_840
    certificate: Path
    private_key: Path
    trusted_dir: Path
    users: Path
    peers: tuple[IPvAnyNetwork, ...] = LOOPBACK
    max_connections: int = Field(default=8, ge=1, le=64)
    heartbeat_timeout_ms: Milliseconds | None = None
    timeout_ms: Milliseconds = 2_000.0


Plc = Annotated[
    ModbusServerPlc | ModbusClientPlc | S7Plc | EnipPlc | OpcUaPlc,
    Field(discriminator="kind"),
]


# --- engines ----------------------------------------------------------------------------------------------------


class EngineOptions(Options):
    """What every engine states: how many threads an inference takes, and which of the bundle's models for this engine
    it runs; without `precision` the one that the bundle prefers. A bundle whose median inference takes longer than
    `max_ms` here is not installed."""

    threads: int = Field(default=1, ge=1, le=64)
    precision: Literal["int8", "fp16", "fp32"] | None = None
    max_ms: float | None = Field(default=None, gt=0, le=60_000)


class OrtEngine(EngineOptions):
    """ONNX Runtime on the CPU."""

    kind: Literal["ort"]


class OvEngine(EngineOptions):
    """OpenVINO on the CPU: in INT8 it took 4 to 16 % less time than ONNX Runtime on the x86 processors that it was
    measured on; `edge doctor --engines` tells of this one. Needs a bundle that was compiled with `--target ov`."""

    kind: Literal["ov"]


class TrtEngine(EngineOptions):
    """TensorRT on an NVIDIA GPU (Jetson, or a PC by TensorRT-RTX). Needs a bundle that was compiled with
    `--target trt`. `edge install` builds the engine and accepts it on this device, which takes minutes, and keeps it in
    `engines_dir`, by default in `station.state_dir`."""

    kind: Literal["trt"]
    engines_dir: Path | None = None


class NewBundle(Options):
    """[new_bundle]: how a bundle that was installed over another one is watched. When more than `unknown_max` of its
    first `watch_parts` parts get no verdict by its fault (ENGINE_ERROR, BAD_SCORE, LATE, NO_VERDICT), or its engine
    fails, the station goes back to the one of before. 0 parts: it is not watched."""

    watch_parts: int = Field(default=200, ge=0, le=100_000)
    unknown_max: int = Field(default=5, ge=0, le=10_000)


Engine = Annotated[OrtEngine | OvEngine | TrtEngine, Field(discriminator="kind")]
