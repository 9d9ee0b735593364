"""The simulated conveyor's law, shared by the belt camera and the simulated photo-eye; pure, seeded.

Part k passes the photo-eye near k pitches on CLOCK_MONOTONIC, so two processes agree without talking.
"""

import hashlib

DEFECTS = ("scratch", "dent", "stain")


def _draw(seed: int, part: int, what: str) -> float:
    """A uniform number in [0, 1), fixed for (seed, part, what)."""
    digest = hashlib.blake2b(f"{seed}/{part}/{what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def passes_ns(seed: int, pitch_ns: int, jitter_ns: int, part: int) -> int:
    """When part number `part` passes the photo-eye: its pitch mark give or take `jitter_ns`."""
    return part * pitch_ns + round((2 * _draw(seed, part, "jitter") - 1) * jitter_ns)


def first_after(seed: int, pitch_ns: int, jitter_ns: int, now_ns: int) -> int:
    """The number of the first part that passes after `now_ns` (jitter below half a pitch keeps the order)."""
    part = max(0, (now_ns - jitter_ns) // pitch_ns)
    while passes_ns(seed, pitch_ns, jitter_ns, part) <= now_ns:
        part += 1
    return part


def defect_of(seed: int, part: int, rate: float) -> str:
    """The defect that part number `part` carries: one of DEFECTS, or "" for a good part."""
    if _draw(seed, part, "defective") >= rate:
        return ""
    return DEFECTS[int(_draw(seed, part, "defect") * len(DEFECTS))]
