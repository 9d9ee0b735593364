"""One function turns a picture into the network's input, everywhere with the same result."""

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.pixels import FILL, InputSpec, Pixels, mask_to_input, place, to_input


def picture(height=480, width=640, channels=3, seed=0):
    shape = (height, width, channels) if channels == 3 else (height, width)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def test_a_bgr_picture_becomes_rgb():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:] = (10, 20, 200)
    assert to_input(image, InputSpec(32, 32))[0, 5, 7].tolist() == [200, 20, 10]


def test_a_colour_picture_becomes_mono_and_a_mono_picture_rgb():
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, :, 2] = 255
    assert to_input(red, InputSpec(32, 32, channels=1)).shape == (1, 32, 32, 1)
    assert abs(int(to_input(red, InputSpec(32, 32, channels=1))[0, 0, 0, 0]) - 76) <= 1
    grey = np.full((64, 64), 9, np.uint8)
    assert to_input(grey, InputSpec(32, 32))[0, 3, 3].tolist() == [9, 9, 9]
    assert to_input(grey, InputSpec(32, 32, channels=1))[0, 3, 3, 0] == 9


def test_the_input_is_only_what_the_region_of_interest_shows():
    image = picture()
    spec = InputSpec(128, 64, roi=(100, 50, 256, 128))
    outside = np.zeros_like(image)
    outside[50:178, 100:356] = image[50:178, 100:356]
    assert np.array_equal(to_input(image, spec), to_input(outside, spec))
    assert not np.array_equal(to_input(image, spec), to_input(image, InputSpec(128, 64)))


@pytest.mark.parametrize("size", [(640, 640), (460, 1130), (767, 577), (128, 128), (512, 300), (1080, 1920)])
def test_shrinking_and_growing_stay_close_to_the_reference_filters(size):
    image = picture(*size)
    shrinks = size[0] >= 256 and size[1] >= 256
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    expected = cv2.cvtColor(cv2.resize(image, (256, 256), interpolation=method), cv2.COLOR_BGR2RGB)
    difference = np.abs(to_input(image, InputSpec(256, 256))[0].astype(int) - expected)
    assert difference.mean() < 1.5


def test_shrinking_skips_no_column():
    """A line of one pixel somewhere in the picture always leaves a trace in the input."""
    for width in (640, 1130, 577):
        for column in range(width // 3, width // 3 + 12):
            image = np.zeros((300, width), np.uint8)
            image[:, column] = 255
            assert to_input(image, InputSpec(256, 256, channels=1)).max() >= 20, (width, column)


def test_letterbox_keeps_the_aspect_ratio_and_fills_with_grey():
    image = np.full((100, 400, 3), 200, np.uint8)
    out = to_input(image, InputSpec(128, 128, fit="letterbox"))[0]
    assert (out[48:80] == 200).all()
    assert (out[:48] == FILL).all() and (out[80:] == FILL).all()
    assert place(InputSpec(128, 128, fit="letterbox"), 400, 100).target == (0, 48, 128, 32)


def test_a_letterboxed_picture_leaves_nothing_of_the_one_before():
    pixels = Pixels(InputSpec(128, 128, fit="letterbox"))
    pixels.to_input(picture(400, 100))
    assert np.array_equal(
        pixels.to_input(picture(100, 400)), to_input(picture(100, 400), InputSpec(128, 128, fit="letterbox"))
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_kept_buffers_give_what_the_one_shot_form_gives(channels, fit):
    spec = InputSpec(96, 160, channels=channels, fit=fit)
    pixels = Pixels(spec)
    for number, (height, width, depth) in enumerate([(480, 640, 3), (480, 640, 1), (64, 64, 3), (480, 640, 3)]):
        image = picture(height, width, depth, seed=number)
        assert np.array_equal(pixels.to_input(image), to_input(image, spec))


def test_out_is_written_and_returned():
    spec = InputSpec(64, 64)
    out = np.zeros(spec.shape(), np.uint8)
    assert to_input(picture(), spec, out) is out
    assert np.array_equal(out, to_input(picture(), spec))


def test_a_strided_picture_gives_what_its_copy_gives():
    image = picture(480, 640)
    spec = InputSpec(64, 64)
    assert np.array_equal(to_input(image[:, ::-1], spec), to_input(image[:, ::-1].copy(), spec))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_anything_but_an_8_bit_picture_is_refused(image):
    with pytest.raises(ConfigError, match="set the camera to BGR or 8-bit mono"):
        to_input(image, InputSpec(64, 64))


def test_a_region_of_interest_outside_the_picture_is_refused():
    with pytest.raises(ConfigError, match="640 x 480 picture does not contain the region of interest"):
        to_input(picture(), InputSpec(64, 64, roi=(600, 0, 64, 64)))


@pytest.mark.parametrize("out", [np.zeros((1, 64, 64, 1), np.uint8), np.zeros((1, 64, 64, 3), np.float32)])
def test_a_wrong_out_is_refused(out):
    with pytest.raises(ConfigError, match="C-contiguous uint8"):
        to_input(picture(), InputSpec(64, 64), out)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"width": 60, "height": 64}, "width 60"),
        ({"width": 64, "height": 0}, "height 0"),
        ({"width": 64, "height": 64, "channels": 2}, "channels 2"),
        ({"width": 64, "height": 64, "fit": "crop"}, "stretch, letterbox"),
        ({"width": 64, "height": 64, "roi": [0, 0, 0, 5]}, "roi"),
        ({"width": 64, "height": 64, "mean": 0.5}, "mean"),
        ({"width": 64}, "height"),
        ({"width": True, "height": 64}, "width True"),
    ],
)
def test_a_wrong_spec_is_refused_by_name(values, named):
    with pytest.raises(ConfigError, match=named):
        InputSpec.from_dict(values)


@pytest.mark.parametrize("spec", [InputSpec(64, 32), InputSpec(64, 64, 1, (1, 2, 3, 4), "letterbox")])
def test_a_spec_survives_json(spec):
    assert InputSpec.from_json(spec.to_json()) == spec
    assert InputSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("text", ["{", "[1]", "null"])
def test_a_spec_that_is_no_json_object_is_refused(text):
    with pytest.raises(ConfigError, match="export the model again"):
        InputSpec.from_json(text)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_mask_lands_where_its_picture_lands(fit):
    spec = InputSpec(64, 128, channels=1, roi=(20, 10, 300, 400), fit=fit)
    image = np.zeros((480, 640), np.uint8)
    image[200:260, 120:200] = 255
    shown = to_input(image, spec)[0, :, :, 0] == 255
    marked = mask_to_input(image, spec) == 255
    assert marked[shown].all()
    assert marked.sum() <= cv2.dilate(shown.astype(np.uint8), np.ones((5, 5))).sum()


def test_one_defect_pixel_survives_any_shrinking():
    for row in range(40):
        mask = np.zeros((2000, 2000), np.uint8)
        mask[row * 31, row * 47] = 1
        assert mask_to_input(mask, InputSpec(32, 32)).sum() == 255
