"""Pictures that travel with a bundle hold what the network sees, to the last bit, and nothing else."""

import cv2
import numpy as np
import pytest

from compile.gallery import stored
from edge.picture_set import Picture
from edge.pixels import InputSpec, to_input


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("roi", [None, (20, 10, 60, 48)])
def test_the_network_sees_the_stored_picture_as_the_one_it_came_from(tmp_path, roi, fit):
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    spec = InputSpec(64, 48, roi=roi, fit=fit)
    held = stored([Picture(tmp_path / "a.png", "ok", "a", None, "a.png")], spec)
    label, data = held["00-a.png"]
    kept = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert label == "ok" and np.array_equal(to_input(kept, spec), to_input(image, spec))
    assert np.array_equal(kept, image) is (roi is None)
    assert (len(data) < 0.5 * image.nbytes) is (roi is not None)
