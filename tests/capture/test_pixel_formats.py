"""Every pixel format becomes the 8-bit picture that its own definition says."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from edge.camera_options import PIXEL_FORMAT
from edge.capture.pixel_formats import FORMATS, Decoder

WIDTH, HEIGHT = 24, 10


def samples(bits: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << bits, (HEIGHT, WIDTH), np.uint16)


def packed(values: np.ndarray, bits: int, packing: str) -> np.ndarray:
    """The samples as the convention lays them out, written bit by bit from its text."""
    flat = [int(value) for value in values.ravel()]
    if packing == "":
        return np.array(flat, "<u2").view(np.uint8) if bits > 8 else np.array(flat, np.uint8)
    if packing == "p":
        stream = sum(value << (bits * place) for place, value in enumerate(flat))
        return np.frombuffer(stream.to_bytes(len(flat) * bits // 8, "little"), np.uint8).copy()
    low = (1 << (bits - 8)) - 1
    triples = [
        (first >> (bits - 8), (first & low) | (second & low) << 4, second >> (bits - 8))
        for first, second in zip(flat[::2], flat[1::2], strict=True)
    ]
    return np.array(triples, np.uint8).ravel()


DEPTHS = [(8, ""), (10, ""), (10, "Packed"), (10, "p"), (12, ""), (12, "Packed"), (12, "p"), (16, "")]


@pytest.mark.parametrize(("bits", "packing"), DEPTHS)
def test_grey_is_the_upper_eight_bits(bits: int, packing: str) -> None:
    values = samples(bits)
    decoder = Decoder(f"Mono{bits}{packing}", WIDTH, HEIGHT)
    data = packed(values, bits, packing)
    assert decoder.size() == len(data)
    assert np.array_equal(decoder.decode(data), (values >> (bits - 8)).astype(np.uint8))


@pytest.mark.parametrize("name", [name for name in FORMATS if name.startswith("Bayer")])
def test_bayer_gives_the_colour_of_its_own_pattern(name: str) -> None:
    pattern, bits, packing = re.fullmatch(r"Bayer(..)(\d+)(\w*)", name).groups()  # type: ignore[union-attr]
    blue, green, red = 40, 120, 220
    colours = {"R": red, "G": green, "B": blue}
    # the convention names the first two pixels; the other two of the square follow from them
    first = pattern
    second = {"RG": "GB", "GR": "BG", "GB": "RG", "BG": "GR"}[pattern]
    square = np.array([[colours[letter] for letter in row] for row in (first, second)], np.uint16)
    values = np.tile(square, (HEIGHT // 2, WIDTH // 2)) << (int(bits) - 8)
    picture = Decoder(name, WIDTH, HEIGHT).decode(packed(values, int(bits), packing))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(picture[2:-2, 2:-2], np.broadcast_to((blue, green, red), (HEIGHT - 4, WIDTH - 4, 3)))


def test_colours_come_as_bgr() -> None:
    data = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(Decoder("BGR8", WIDTH, HEIGHT).decode(data.ravel()), data)
    assert np.array_equal(
        Decoder("RGB8", WIDTH, HEIGHT).decode(data.ravel()), cv2.cvtColor(data, cv2.COLOR_RGB2BGR)
    )


@pytest.mark.parametrize(
    ("name", "copies"), [("Mono8", 0), ("BGR8", 0), ("RGB8", 1), ("BayerRG8", 1), ("Mono12p", 1), ("BayerRG12", 2)]
)
def test_copies_are_told(name: str, copies: int) -> None:
    decoder = Decoder(name, WIDTH, HEIGHT)
    data = np.zeros(decoder.size(), np.uint8)
    assert decoder.copies == copies
    assert np.shares_memory(decoder.decode(data), data) is (copies == 0)


@pytest.mark.parametrize("name", ["Mono8", "BGR8", "Mono12", "BayerGB8"])
def test_what_pads_the_rows_is_left_out(name: str) -> None:
    decoder = Decoder(name, WIDTH, HEIGHT)
    rows = np.random.default_rng(3).integers(0, 256, (HEIGHT, decoder.size() // HEIGHT), np.uint8)
    padded = np.hstack([rows, np.full((HEIGHT, 6), 255, np.uint8)])
    assert decoder.size(6) == padded.size
    plain = decoder.decode(rows.ravel()).copy()
    assert np.array_equal(decoder.decode(padded.ravel(), 6), plain)


def test_what_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(ValueError, match="'YUV422_8' is not one of Mono8, "):
        Decoder("YUV422_8", WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="width of 25 pixels is no whole number of bytes in Mono12p"):
        Decoder("Mono12p", 25, HEIGHT)


def test_the_station_file_takes_these_formats_and_no_other() -> None:
    pattern = re.compile(PIXEL_FORMAT)
    assert all(pattern.search(name) for name in FORMATS)
    assert not any(pattern.search(name) for name in ("Mono14", "Mono8p", "YUV422_8", "BayerXX8", "RGB10", ""))
