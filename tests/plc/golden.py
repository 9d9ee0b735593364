"""Blocks with a different number in every byte, and what they must look like in a PLC's memory and on the wire."""

from __future__ import annotations

from edge.plc.table import Orders, Result, Status

STATUS = Status(
    heartbeat=0x0102,
    session=0x0304,
    flags=0x0015,
    state=6,
    mode=1,
    error=0x0007,
    recipe=0x0506,
    result_sequence=0x0708,
    waiting=0x0009,
    parts=0x0A0B0C0D,
    rejected=0x0E0F1011,
    unknown=0x12131415,
    results_lost=0x16171819,
)
RESULT = Result(
    sequence=0x2122,
    lost_before=0x2324,
    part_session=0x25262728,
    part_number=0x292A2B2C,
    verdict=2,
    outcome=1,
    reason=1,
    score=0x03D4,
    recipe=0x2D2E,
    flags=3,
    seal=0x2122,
)
ORDERS = Orders(heartbeat=0x3132, session=0x3334, ack=0x3536, recipe=0x3738, command=1)

GOLDEN = {
    Status: "0102 0001 0102 0304 0304 0015 0006 0001 0007 0506 0708 0009 0a0b 0c0d 0e0f 1011 1213 1415 1617 1819",
    Result: "2122 2324 2526 2728 292a 2b2c 0002 0001 0001 03d4 2d2e 0003 2122",
    Orders: "3132 3334 3536 3738 0001",
}
