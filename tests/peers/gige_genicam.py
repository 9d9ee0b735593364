"""What a simulated GigE Vision camera tells of its features: GenICam XML over plain registers."""

from __future__ import annotations

from collections.abc import Mapping

# Pixel format codes of the Pixel Format Naming Convention.
FORMATS = {
    "Mono8": 0x01080001,
    "Mono10": 0x01100003,
    "Mono10Packed": 0x010C0004,
    "Mono12": 0x01100005,
    "Mono12Packed": 0x010C0006,
    "Mono12p": 0x010C0047,
    "BayerRG8": 0x01080009,
    "BayerRG12Packed": 0x010C002B,
    "RGB8": 0x02180014,
    "BGR8": 0x02180015,
    "YUV422_8": 0x02100032,
}

# Each feature's register; every one is 4 bytes wide but the latched time, which has 8.
REGISTERS = {
    "Width": 0x1000,
    "Height": 0x1004,
    "OffsetX": 0x1008,
    "OffsetY": 0x100C,
    "PixelFormat": 0x1010,
    "AcquisitionMode": 0x1014,
    "AcquisitionStart": 0x1018,
    "AcquisitionStop": 0x101C,
    "AcquisitionFrameRate": 0x1020,
    "ExposureTime": 0x1024,
    "ExposureAuto": 0x1028,
    "Gain": 0x102C,
    "TriggerMode": 0x1030,
    "TriggerSource": 0x1034,
    "TriggerActivation": 0x1038,
    "TriggerSoftware": 0x103C,
    "TriggerDelay": 0x1040,
    "LineDebouncerTime": 0x1044,
    "SensorShutterMode": 0x1048,
    "ResultingFrameRate": 0x104C,
    "TimestampLatch": 0x1050,
    "TimestampLatchValue": 0x1058,
}
SENSOR = (640, 480)

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<RegisterDescription ModelName="Loopback" VendorName="Kenpin" '
    'StandardNameSpace="None" SchemaMajorVersion="1" SchemaMinorVersion="0" SchemaSubMinorVersion="1" '
    'MajorVersion="1" MinorVersion="0" SubMinorVersion="0" ProductGuid="0" VersionGuid="0" '
    'xmlns="http://www.genicam.org/GenApi/Version_1_0">\n'
)


def genicam_xml(without: frozenset[str] = frozenset()) -> bytes:
    """The XML of a camera that lacks these features."""
    parts = [
        *(_integer(name, bounds) for name, bounds in _INTEGERS.items()),
        *(_float(name, low, high) for name, (low, high) in _FLOATS.items()),
        *(_enumeration(name, entries) for name, entries in _ENUMERATIONS.items()),
        *(_command(name) for name in ("AcquisitionStart", "AcquisitionStop", "TriggerSoftware", "TimestampLatch")),
        _register("IntReg", "TimestampLatchValue", 8, "RO"),
    ]
    kept = [text for text in parts if text.split('"')[1] not in without]
    return (_HEAD + "\n".join([*kept, _FIXED]) + "\n</RegisterDescription>\n").encode()


_INTEGERS = {
    "Width": (16, SENSOR[0], 4),
    "Height": (16, SENSOR[1], 2),
    "OffsetX": (0, 624, 4),
    "OffsetY": (0, 464, 2),
}
_FLOATS = {
    "AcquisitionFrameRate": (1.0, 1_000.0),
    "ExposureTime": (10.0, 1e6),
    "Gain": (0.0, 24.0),
    "TriggerDelay": (0.0, 1e6),
    "LineDebouncerTime": (0.0, 20_000.0),
    "ResultingFrameRate": (0.0, 1_000.0),
}
_ENUMERATIONS: Mapping[str, Mapping[str, int]] = {
    "PixelFormat": FORMATS,
    "AcquisitionMode": {"Continuous": 0, "SingleFrame": 1},
    "ExposureAuto": {"Off": 0, "Continuous": 1},
    "TriggerMode": {"Off": 0, "On": 1},
    "TriggerSource": {"Line1": 0, "Line2": 1, "Software": 2},
    "TriggerActivation": {"RisingEdge": 0, "FallingEdge": 1},
    "SensorShutterMode": {"Global": 0, "Rolling": 1},
}
_FIXED = """
<Enumeration Name="TriggerSelector"><EnumEntry Name="FrameStart"><Value>0</Value></EnumEntry>
<pValue>TriggerSelectorValue</pValue></Enumeration>
<Integer Name="TriggerSelectorValue"><Value>0</Value></Integer>
<Enumeration Name="LineSelector"><EnumEntry Name="Line1"><Value>0</Value></EnumEntry>
<EnumEntry Name="Line2"><Value>1</Value></EnumEntry><pValue>LineSelectorValue</pValue></Enumeration>
<Integer Name="LineSelectorValue"><Value>0</Value></Integer>
<Integer Name="SensorWidth"><Value>640</Value></Integer><Integer Name="SensorHeight"><Value>480</Value></Integer>
<Integer Name="TLParamsLocked"><Value>0</Value><Min>0</Min><Max>1</Max></Integer>
<IntSwissKnife Name="PayloadSize"><pVariable Name="W">Width</pVariable><pVariable Name="H">Height</pVariable>
<pVariable Name="F">PixelFormat</pVariable><Formula>W * H * ((F&gt;&gt;16)&amp;0xFF) / 8</Formula></IntSwissKnife>
<Port Name="Device"/>"""


def _register(tag: str, name: str, length: int = 4, access: str = "RW") -> str:
    sign = "<Sign>Unsigned</Sign>" if tag == "IntReg" else ""
    address = REGISTERS[name.removesuffix("Register")]
    return (
        f'<{tag} Name="{name}"><Address>{address:#x}</Address><Length>{length}</Length>'
        f"<AccessMode>{access}</AccessMode><pPort>Device</pPort><Cachable>NoCache</Cachable>{sign}"
        f"<Endianess>BigEndian</Endianess></{tag}>"
    )


def _integer(name: str, bounds: tuple[int, int, int]) -> str:
    low, high, step = bounds
    limits = f"<Min>{low}</Min><Max>{high}</Max><Inc>{step}</Inc>"
    value = f'<Integer Name="{name}"><pValue>{name}Register</pValue>{limits}</Integer>'
    return value + _register("IntReg", f"{name}Register")


def _float(name: str, low: float, high: float) -> str:
    value = f'<Float Name="{name}"><pValue>{name}Register</pValue><Min>{low}</Min><Max>{high}</Max></Float>'
    return value + _register("FloatReg", f"{name}Register")


def _enumeration(name: str, entries: Mapping[str, int]) -> str:
    listed = "".join(
        f'<EnumEntry Name="{key}"><Value>{value}</Value></EnumEntry>' for key, value in entries.items()
    )
    value = f'<Enumeration Name="{name}">{listed}<pValue>{name}Register</pValue></Enumeration>'
    return value + _register("IntReg", f"{name}Register")


def _command(name: str) -> str:
    value = f'<Command Name="{name}"><pValue>{name}Register</pValue><CommandValue>1</CommandValue></Command>'
    return value + _register("IntReg", f"{name}Register")
