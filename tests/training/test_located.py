"""Heat maps are held against masks pixel by pixel."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from edge.errors import ConfigError
from edge.picture_set import Picture
from edge.pixels import InputSpec
from training.located import counted, pixel_precision

SPEC = InputSpec(64, 48)
SIZE = 96, 128  # height and width of the pictures, twice the input's


def a_picture(folder: Path, number: int, mask: np.ndarray | None) -> Picture:
    """Good, or with a defect where the mask says it."""
    file = None
    if mask is not None:
        file = folder / f"{number}.png"
        cv2.imwrite(str(file), mask * 255)
    return Picture(folder / "any.png", "ok" if mask is None else "dent", f"g{number}", file, f"{number}.png")


def with_a_square(x: int, y: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[y : y + 16, x : x + 32] = 1
    return mask


def test_a_map_that_is_hot_on_the_mask_alone_is_perfect(tmp_path: Path) -> None:
    heat = np.full((6, 8), 0.01, np.float32)
    heat[2:5, 2:7] = 0.9  # more than the mask, so that its edge is hot too
    picture = a_picture(tmp_path, 0, with_a_square(48, 48))
    counts = np.stack(
        [
            counted(heat, picture, SIZE, SPEC),
            counted(np.full((6, 8), 0.01, np.float32), a_picture(tmp_path, 1, None), SIZE, SPEC),
        ]
    )
    assert counts[0].sum() == counts[1].sum() == 64 * 48
    assert counts[0, 0].sum() == 16 * 8 and counts[1, 0].sum() == 0
    (value,) = pixel_precision(counts, np.ones((1, 2)))
    assert 0.2 < value < 0.3, "what is hot beside the mask costs"
    cold = np.full((6, 8), 0.01, np.float32)
    cold[3, 3:5] = 0.9
    counts[0] = counted(cold, picture, SIZE, SPEC)
    assert pixel_precision(counts, np.ones((1, 2)))[0] > 0.9


def test_it_is_the_average_precision_of_all_pixels_and_draws_weigh_pictures(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    pictures = [
        a_picture(tmp_path, number, with_a_square(16 * number, 16) if number < 3 else None) for number in range(5)
    ]
    heats = [draw.uniform(0.001, 0.999, (6, 8)).astype(np.float32) for _ in pictures]
    for heat, picture in zip(heats, pictures, strict=True):
        if picture.mask is not None:
            heat[1:3] += (1 - heat[1:3]) * 0.5
    counts = np.stack([counted(heat, picture, SIZE, SPEC) for heat, picture in zip(heats, pictures, strict=True)])
    whole = [cv2.resize(heat, (64, 48), interpolation=cv2.INTER_LINEAR) for heat in heats]
    truth = [
        cv2.resize(with_a_square(16 * number, 16), (64, 48), interpolation=cv2.INTER_NEAREST)
        if number < 3
        else np.zeros((48, 64))
        for number in range(5)
    ]
    values = pixel_precision(counts, np.array([[1, 1, 1, 1, 1], [2, 0, 1, 0, 2], [0, 0, 0, 1, 1]], float))
    assert values[0] == pytest.approx(average_precision_score(np.ravel(truth), np.ravel(whole)), abs=2e-3)
    again = [0, 0, 2, 4, 4]
    taken = [np.ravel([some[index] for index in again]) for some in (truth, whole)]
    assert values[1] == pytest.approx(average_precision_score(*taken), abs=2e-3)
    assert np.isnan(values[2]), "no defect was drawn"


def test_a_defect_without_a_mask_says_nothing_and_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    heat = np.full((6, 8), 0.5, np.float32)
    unknown = Picture(tmp_path / "any.png", "dent", "g", None, "any.png")
    assert counted(heat, unknown, SIZE, SPEC).sum() == 0
    with pytest.raises(ConfigError, match="draw it again"):
        counted(heat, a_picture(tmp_path, 0, with_a_square(0, 0)[:50]), SIZE, SPEC)
