"""Where no mask tells, a probe finds the input at which small defects are seen, and takes no larger one than that."""

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.picture_set import Picture
from edge.pixels import InputSpec
from training.backbones import Start
from training.geometry import fitted
from training.scale import smallest_size, steps

SIZES = [(64, 64), (128, 128), (256, 256)]


def pictures(folder, side, count=48):
    """Cloudy pictures of 256 x 256; every second one has a dark square of that side. Groups of two."""
    rng = np.random.default_rng(3)
    found = []
    for index in range(count):
        clouds = rng.normal(140, 15, (48, 48)).clip(30, 255).astype(np.uint8)
        image = cv2.cvtColor(cv2.resize(clouds, (256, 256), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
        if index % 2:
            y, x = rng.integers(40, 200, 2)
            image[y : y + side, x : x + side] = 20
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), image)
        found.append(Picture(path, "ng" if index % 2 else "ok", f"g{index // 2}", None, path.name))
    return found


def chosen(some, tick=lambda: None):
    return smallest_size(some, InputSpec(64, 64), SIZES, Start(), 4, 0, tick)


def test_dots_that_vanish_in_a_small_input_ask_for_a_larger_one(tmp_path):
    size, values = chosen(pictures(tmp_path, 4))
    assert size != (64, 64) and values[size] > values[64, 64] + 0.1


def test_defects_that_a_small_input_shows_ask_for_no_larger_one(tmp_path):
    some = pictures(tmp_path, 40)
    ticks = []
    size, values = chosen(some, lambda: ticks.append(1))
    assert size == (64, 64) and values[size] > 0.9
    assert set(values) == {(64, 64), (256, 256)}, "those between are not tried in vain"
    assert len(ticks) == 2 * len(some) <= steps(some, SIZES)


def test_a_broken_picture_is_named(tmp_path):
    some = pictures(tmp_path, 40, 8)
    some[3].path.write_bytes(b"no picture")
    with pytest.raises(ConfigError) as raised:
        chosen(some)
    assert str(raised.value).count("3.png") == 1


def test_larger_inputs_are_tried_only_as_far_as_the_pictures_are_large_and_no_mask_tells():
    assert fitted(1280, 1024, []).larger == ((384, 320), (544, 416), (704, 576))
    assert fitted(400, 400, []).larger == ((352, 352),)
    assert fitted(128, 128, []).larger == ()
    assert fitted(1280, 1024, [0.2]).larger == ()
