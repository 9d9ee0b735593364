"""What lies within is set by pictures that were held out: 19 of 20 of them do, and others do not."""

import numpy as np

from compile.coverage import AXES, FEWEST, coverage_of, fitted
from compile.drawn import LABEL
from edge.picture_set import Picture


def cloud(seed, count, length=96, turned=0):
    """Embeddings of length 1 in a plane of 12 directions, which are others where it is turned."""
    directions = np.linalg.qr(np.random.default_rng(turned).normal(size=(length, length)))[0][:12]
    luck = np.random.default_rng(seed)
    found = directions[0] * 3 + luck.normal(size=(count, 12)) * np.linspace(0.5, 0.05, 12) @ directions
    found += luck.normal(size=(count, length)) * 0.003
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def share(outside, embeddings):
    return np.mean([outside.in_limits(one) > 1 for one in embeddings])


def test_one_in_twenty_of_its_own_lies_outside_and_all_of_another_thing():
    outside = fitted(cloud(1, 160), cloud(2, 120)).outside()
    assert abs(share(outside, cloud(2, 120)) - 0.05) < 0.01
    assert share(outside, cloud(3, 400)) < 0.12
    assert share(outside, cloud(4, 50, turned=1)) == 1


def test_it_stays_small_whatever_the_network_says():
    assert len(fitted(cloud(1, 400), cloud(2, 40)).variances) == AXES
    assert len(fitted(cloud(1, 40), cloud(2, 40)).variances) == 10, "four pictures for an axis"
    wide = fitted(cloud(1, 160, 5_000), cloud(2, 30, 5_000))
    assert len(wide.variances) == 9 and len(wide.table) < 150_000
    assert fitted(np.ones((40, 1), np.float32), np.ones((40, 1), np.float32)) is None
    same = fitted(np.full((40, 8), 0.35, np.float32), np.full((40, 8), 0.35, np.float32)).outside()
    assert same.in_limits(np.full(8, 0.35, np.float32)) <= 1 and same.in_limits(np.full(8, -0.35, np.float32)) > 1


def test_too_few_pictures_or_drawn_ones_say_nothing(tmp_path):
    few = [Picture(tmp_path, "ok", "lot", None, f"{number}.png") for number in range(FEWEST - 1)]
    drawn = [Picture(tmp_path, LABEL, "lot", None, f"{number}.png") for number in range(FEWEST)]
    for learned, held_out in ((few, drawn), (drawn, few), (drawn, drawn)):
        assert coverage_of(b"never loaded", "ort", learned, held_out, 1) is None
