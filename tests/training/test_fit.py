"""Fitting learns what the labels say: with masks where a defect is, without them still whether there is one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge.pixels import InputSpec
from training.fit import Recipe, fit, tell
from training.measures import separation
from training.pictures import Labelled
from training.student import Student
from training.weights import lite0

SPEC = InputSpec(64, 64)


def spotted(count, masks, seed=0):
    """Noisy grey pictures; every second one has a dark spot of 6 x 6 pixels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(140, 6, (count, 64, 64, 3)).clip(0, 255).astype(np.uint8)
    cells = np.zeros((count, 64, 64), np.uint8)
    for index in range(1, count, 2):
        y, x = rng.integers(8, 50, 2)
        images[index, y : y + 6, x : x + 6] -= 60
        cells[index, y : y + 6, x : x + 6] = 1
    bad = torch.arange(count) % 2 == 1
    masked = torch.ones(count, dtype=torch.bool) if masks else ~bad
    return Labelled(
        (), ("spot",), torch.from_numpy(images), torch.from_numpy(cells if masks else 0 * cells), masked, bad,
        bad.long() - 1, (),
    )  # fmt: skip


def fitted(data, epochs, drawn=1 / 3):
    # one thread: two would wait for each other wherever the cores are busy
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student = Student(SPEC, 1)
    fit(student, data, torch.arange(40), Recipe(epochs, 8, drawn=drawn), 0, lambda: None)
    torch.set_num_threads(before)
    return student


def auroc(student, data):
    held = torch.arange(40, 80)
    return separation(tell(student, data, held)[0], data.bad[held].numpy()).auroc


def hits(student):
    """In how many of the held-out defects the hottest cell holds some of the spot."""
    data, bad = spotted(80, masks=True), torch.arange(41, 80, 2)
    with torch.no_grad():
        hottest = student(data.images[bad]).heat.flatten(1).argmax(1)
    spots = torch.nn.functional.max_pool2d(data.cells[bad].float()[:, None], 8).flatten(1)
    return spots[torch.arange(len(bad)), hottest].mean()


def test_masks_teach_to_tell_spots_from_noise_and_where_they_are():
    data = spotted(80, masks=True)
    student = fitted(data, 8)
    assert auroc(student, data) > 0.95
    assert hits(student) > 0.9


def test_image_labels_alone_teach_to_tell_spots_from_noise_and_drawn_defects_where_they_are():
    data = spotted(80, masks=False)
    student = fitted(data, 10)
    assert auroc(student, data) > 0.9
    assert hits(student) > 0.9


def test_where_masks_show_defects_none_is_drawn():
    data = spotted(40, masks=True)
    usual, never = (fitted(data, 1, drawn).state_dict() for drawn in (1 / 3, 0.0))
    assert all(torch.equal(weight, never[name]) for name, weight in usual.items())


def test_a_third_of_a_batch_is_drawn_into_unless_a_mask_shows_a_defect_or_no_picture_is_good():
    every = torch.arange(40)
    masked, bare = spotted(40, masks=True), spotted(40, masks=False)
    assert [Recipe(batch=batch).flawed(bare, every) for batch in (16, 8, 2)] == [5, 2, 0]
    assert Recipe().flawed(masked, every) == 0
    no_good = replace(bare, bad=~torch.zeros_like(bare.bad), masked=torch.zeros_like(bare.bad))
    assert Recipe().flawed(no_good, every) == 0


def test_the_early_stages_and_every_batch_norms_statistics_stay_as_they_were():
    student = fitted(spotted(40, masks=True), 1)
    now, before = student.state_dict(), lite0().state_dict()
    assert torch.equal(now["early.0.weight"], before["conv_stem.weight"])
    assert torch.equal(now["early.3.1.conv_dw.weight"], before["blocks.1.1.conv_dw.weight"])
    assert torch.equal(now["coarse.1.2.bn3.running_mean"], before["blocks.4.2.bn3.running_mean"])
    assert not torch.equal(now["coarse.1.2.conv_pwl.weight"], before["blocks.4.2.conv_pwl.weight"])


def test_few_labels_teach_given_weights_gently_and_many_up_to_thrice_as_fast():
    recipe = Recipe(tail_rate=1e-4)
    assert [recipe.tail(defects) for defects in (5, 50, 100, 150, 900)] == pytest.approx(
        [1e-4, 1e-4, 2e-4, 3e-4, 3e-4]
    )
