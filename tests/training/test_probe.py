"""A student whose heads begin as regressions tells defects apart before its first step."""

from dataclasses import replace

import pytest
import torch

from edge.pixels import InputSpec
from tests.training.test_fit import SPEC, spotted
from training.fit import tell
from training.measures import separation
from training.probe import probe
from training.student import RARE, Student


def probed(data, members, classes=1):
    student = Student(SPEC, classes)
    probe(student, data, members)
    return student


def test_a_probed_student_tells_spots_from_noise_on_pictures_it_never_saw():
    data = spotted(120, masks=False)
    held = torch.arange(80, 120)
    scores = tell(probed(data, torch.arange(80)), data, held)[0]
    assert separation(scores, data.bad[held].numpy()).auroc > 0.9


def test_its_score_is_the_regressions_and_the_heat_map_is_silent():
    data = spotted(24, masks=False)
    student = probed(data, torch.arange(24))
    with torch.no_grad():
        told = student(data.images)
    assert told.pooled == pytest.approx(torch.full((24,), RARE), abs=1.0)
    scores = told.score.sigmoid()
    assert scores[data.bad].min() > scores[~data.bad].max(), "it was fitted to these"


def test_the_same_pictures_give_the_same_heads():
    data = spotted(24, masks=False)
    one, two = (probed(data, torch.arange(24)).to_score.weight for _ in range(2))
    assert torch.equal(one, two)


def test_classes_are_told_apart_and_one_that_is_missing_is_ruled_out():
    data = spotted(24, masks=False)
    kinds = torch.where(data.bad, torch.arange(24) // 2 % 2 * 2, -1)  # classes 0 and 2 of three
    data = replace(data, classes=("a", "b", "c"), kinds=kinds)
    student = probed(data, torch.arange(24), 3)
    told = tell(student, data, torch.arange(24))[1]
    assert 1 not in told
    assert (told[data.bad.numpy()] == kinds[data.bad].numpy()).all()


def test_a_set_without_good_pictures_teaches_the_classes_alone():
    data = spotted(24, masks=False)
    bad = torch.ones(24, dtype=torch.bool)
    kinds = torch.arange(24) % 2
    data = replace(data, classes=("noise", "spot"), kinds=kinds, bad=bad)
    student = probed(data, torch.arange(24), 2)
    assert not student.to_score.weight.any()
    assert (tell(student, data, torch.arange(24))[1] == kinds.numpy()).all()


def test_a_channel_that_never_varies_says_nothing():
    data = spotted(8, masks=False)
    data = replace(data, images=torch.zeros_like(data.images))
    student = Student(InputSpec(64, 64), 1)
    probe(student, data, torch.arange(8))
    assert torch.isfinite(student.to_score.weight).all() and not student.scale.any()
