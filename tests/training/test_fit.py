"""Fitting learns what the labels say: with masks where a defect is, without them still whether there is one."""

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


def fitted(data, epochs):
    # one thread: two would wait for each other wherever the cores are busy
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student = Student(SPEC, 1)
    fit(student, data, torch.arange(40), Recipe(epochs, 8), 0, lambda: None)
    torch.set_num_threads(before)
    return student


def auroc(student, data):
    held = torch.arange(40, 80)
    return separation(tell(student, data, held)[0], data.bad[held].numpy()).auroc


def test_masks_teach_to_tell_spots_from_noise_and_where_they_are():
    data = spotted(80, masks=True)
    student = fitted(data, 8)
    assert auroc(student, data) > 0.95
    bad = torch.arange(41, 80, 2)
    with torch.no_grad():
        hottest = student(data.images[bad]).heat.flatten(1).argmax(1)
    spots = torch.nn.functional.max_pool2d(data.cells[bad].float()[:, None], 8).flatten(1)
    assert spots[torch.arange(len(bad)), hottest].mean() > 0.9


def test_image_labels_alone_teach_to_tell_spots_from_noise():
    data = spotted(80, masks=False)
    assert auroc(fitted(data, 10), data) > 0.9


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
