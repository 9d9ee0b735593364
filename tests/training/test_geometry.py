"""The network's input follows the pictures' shape, and the smallest defects that were masked."""

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.picture_set import Picture
from training.geometry import AREA, MOST, STEP, fitted, geometry


@pytest.mark.parametrize(("width", "height"), [(640, 640), (1130, 460), (576, 768), (128, 128), (4000, 300)])
def test_without_masks_the_input_has_the_pictures_shape_and_the_usual_area(width, height):
    found = fitted(width, height, [])
    assert found.width % STEP == found.height % STEP == 0
    assert 0.6 * AREA < found.width * found.height < 1.6 * AREA
    if width / height < 4:
        assert found.width / found.height == pytest.approx(width / height, rel=0.25)


def test_small_defects_make_the_input_larger_up_to_the_most_that_is_quick():
    usual, larger, most = (fitted(1280, 1024, [need] * 20) for need in (0.05, 0.35, 0.9))
    assert usual.width * usual.height < larger.width * larger.height < most.width * most.height <= 1.1 * MOST
    assert "is enough" in larger.why and "--roi" in most.why


def test_no_input_is_larger_than_the_pictures_because_of_defects():
    found = fitted(320, 320, [5.0] * 20)
    assert (found.width, found.height) == (320, 320)


def test_one_defect_in_ten_may_be_too_small():
    assert fitted(1280, 1024, [0.05] * 95 + [0.9] * 5) == fitted(1280, 1024, [0.05] * 100)


def a_picture(folder, number, draw):
    """A picture of 1000 x 800 whose mask `draw` drew."""
    mask = np.zeros((800, 1000), np.uint8)
    draw(mask)
    for name, pixels in ((f"{number}.png", np.full((800, 1000, 3), 90, np.uint8)), (f"{number}-mask.png", mask)):
        cv2.imwrite(str(folder / name), pixels)
    name = f"{number}.png"
    return Picture(folder / name, "crack", str(number), folder / f"{number}-mask.png", name)


def test_a_hair_thin_crack_asks_for_more_than_a_stain(tmp_path):
    stain = a_picture(tmp_path, 1, lambda mask: cv2.circle(mask, (500, 400), 60, 255, -1))
    crack = a_picture(tmp_path, 2, lambda mask: cv2.line(mask, (100, 100), (900, 700), 255, 1))
    of_stain, of_crack = geometry([stain], None), geometry([crack], None)
    assert of_stain.width * of_stain.height < AREA * 1.2
    assert of_crack.width * of_crack.height > 2 * AREA


def test_the_largest_defect_of_a_picture_decides_and_what_lies_outside_the_region_does_not(tmp_path):
    def both(mask):
        cv2.circle(mask, (500, 400), 60, 255, -1)
        mask[10:12, 10:12] = 255

    pictures = [a_picture(tmp_path, 1, both)]
    whole = geometry(pictures, None)
    assert whole.width == fitted(1000, 800, []).width and "is enough" in whole.why
    inside = geometry(pictures, (0, 0, 200, 100))
    assert inside.width / inside.height == pytest.approx(2, rel=0.2)
    assert "needs 2.00 to show it" in inside.why, "the dot alone"
    assert "no masks" in geometry(pictures, (600, 600, 200, 100)).why


def test_an_unreadable_picture_is_named(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"broken\.png"):
        geometry([Picture(broken, "ok", "1", None, "broken.png")], None)
