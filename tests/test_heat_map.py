"""Heat maps inside JPEG files: what goes in comes out, other readers see the same picture, damage is no error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.heat_map import HeatMap, heat_map, heat_map_in, painted, with_heat_map
from edge.picture_set import read_image
from edge.pixels import InputSpec

SPEC = InputSpec(64, 32, roi=(40, 10, 200, 100))
IMAGE = np.random.default_rng(1).integers(0, 256, (120, 320, 3), np.uint8)
JPEG = cv2.imencode(".jpg", IMAGE)[1].tobytes()


def values(rows: int = 4, columns: int = 8) -> np.ndarray:
    return np.random.default_rng(2).random((rows, columns), np.float32)


def test_a_heat_map_comes_back_to_half_a_step_of_8_bits() -> None:
    found = heat_map_in(with_heat_map(JPEG, heat_map(values(), SPEC)))
    assert found is not None and found.spec == SPEC
    assert np.abs(found.cells / 255 - values()).max() <= 0.5 / 255 + 1e-6


def test_other_readers_see_the_same_picture(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    whole.write_bytes(with_heat_map(JPEG, heat_map(values(), SPEC)))
    assert np.array_equal(read_image(whole), cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR))
    assert heat_map_in(JPEG) is None


def test_one_that_no_segment_holds_is_left_out() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (512, 512), np.uint8)
    assert with_heat_map(JPEG, HeatMap(noise, InputSpec(4096, 4096))) == JPEG


@settings(deadline=None)
@given(st.integers(0, 600), st.integers(0, 255), st.integers(0, 900))
def test_a_damaged_file_has_a_heat_map_or_none(at: int, byte: int, end: int) -> None:
    data = bytearray(with_heat_map(JPEG, heat_map(values(), SPEC)))
    data[at] = byte
    for part in (bytes(data), bytes(data[:end])):
        found = heat_map_in(part)
        assert found is None or found.cells.shape == (found.spec.height // 8, found.spec.width // 8)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_paint_lies_where_the_network_looked(fit: str) -> None:
    """One hot cell: the middle of the paint is the middle of the cell, brought back by the input's own geometry."""
    spec = InputSpec(64, 64, roi=(40, 10, 200, 100), fit=fit)
    cells = np.zeros((8, 8), np.float32)
    cells[3, 6] = 1.0
    grey = np.full((120, 320), 90, np.uint8)
    changed = (painted(grey, heat_map(cells, spec)) != 90).any(axis=2)
    rows, columns = np.nonzero(changed)
    x, y = 6.5 / 8, 3.5 / 8  # of the input
    if fit == "letterbox":
        y = (y - 0.25) * 2  # 200 x 100 fills half of the input's height
    assert columns.mean() == pytest.approx(40 + 200 * x, abs=2)
    assert rows.mean() == pytest.approx(10 + 100 * y, abs=2)


def test_a_flat_heat_map_paints_nothing() -> None:
    assert np.array_equal(painted(IMAGE, heat_map(np.full((4, 8), 0.8, np.float32), SPEC)), IMAGE)
