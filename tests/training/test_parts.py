"""Folds, augmentation and measures, each as the pure function it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.picture_set import Picture
from training.augment import SHIFT_PX, vary
from training.fit import Recipe, _batches
from training.folds import split
from training.measures import by_group, separation, sorting
from training.pictures import Labelled, to_cells


def picture(label, group):
    return Picture(Path("p.png"), label, group, None, "p.png")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "ok", "dent", "stain"]), st.integers(0, 12)), min_size=8, max_size=80
    ),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_folds_never_split_a_group_and_always_leave_both_kinds_to_learn_from(parts, folds, seed):
    pictures = [picture(label, f"g{group}") for label, group in parts]
    try:
        fold_of = split(pictures, folds, seed)
    except ConfigError:
        return
    fold_of_group = {}
    for shown, fold in zip(pictures, fold_of, strict=True):
        assert fold_of_group.setdefault(shown.group, fold) == fold
    for fold in range(folds):
        rest = {shown.label == "ok" for shown, its in zip(pictures, fold_of, strict=True) if its != fold}
        assert rest == {True, False}


def test_folds_share_the_defects_evenly():
    pictures = [picture("ok" if n % 5 else "ng", f"g{n // 10}") for n in range(400)]
    fold_of = split(pictures, 4, 0)
    defects = [
        sum(p.label == "ng" for p, f in zip(pictures, fold_of, strict=True) if f == fold) for fold in range(4)
    ]
    assert defects == [20, 20, 20, 20]


def test_a_rare_class_is_dealt_over_the_folds_too():
    pictures = [picture("ok", f"g{n}") for n in range(20)]
    pictures += [picture("dent", f"g{n}") for n in range(12)] + [picture("crack", f"g{n}") for n in range(12, 16)]
    fold_of = split(pictures, 4, 1)
    cracks = [fold for shown, fold in zip(pictures, fold_of, strict=True) if shown.label == "crack"]
    assert sorted(cracks) == [0, 1, 2, 3]


def test_where_nothing_is_good_every_training_sees_every_class():
    pictures = [picture(label, f"{label}{n}") for label, count in (("dent", 9), ("crack", 3)) for n in range(count)]
    fold_of = split(pictures, 3, 0)
    assert sorted(fold for shown, fold in zip(pictures, fold_of, strict=True) if shown.label == "crack") == [
        0,
        1,
        2,
    ]
    with pytest.raises(ConfigError, match="3 groups hold crack"):
        split(pictures, 4, 0)


def test_a_rare_class_comes_more_often_than_its_share_and_less_often_than_as_its_equal():
    kinds = torch.tensor([-1] * 20 + [0] * 90 + [1] * 10)
    empty = torch.zeros(120, 8, 8, dtype=torch.uint8)
    data = Labelled((), ("dent", "crack"), empty[..., None], empty, kinds < 0, kinds >= 0, kinds, ())
    draw = torch.Generator().manual_seed(3)
    batches = list(_batches(data, torch.arange(120), 16, 0, 400, draw))
    shares = torch.bincount(kinds[torch.cat(batches)] + 1) / (16 * 400)
    assert shares[0] == 0.5
    assert shares[2] / (shares[1] + shares[2]) == pytest.approx(0.25, abs=0.03)  # 1 : 3, the root of 10 : 90


def test_classes_are_counted_as_they_were_taken_for():
    found = sorting(np.array([0, 0, 1, 1, 0]), np.array([0, 0, 1, 0, 1]), 3)
    assert found.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    assert found.accuracy == 0.6
    assert found.mean_recall == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-6)


def test_pictures_and_masks_move_alike_and_no_defect_is_lost():
    images = torch.full((64, 40, 48, 3), 120, dtype=torch.uint8)
    masks = torch.zeros(64, 40, 48, dtype=torch.uint8)
    rows = torch.randint(SHIFT_PX, 40 - SHIFT_PX, (64,), generator=torch.Generator().manual_seed(1))
    images[torch.arange(64), rows, 10] = 250
    masks[torch.arange(64), rows, 10] = 1
    varied, moved = vary(images, masks, torch.Generator().manual_seed(2))
    assert (moved.sum((1, 2)) == 1).all()
    brightest = varied.sum(3).flatten(1).argmax(1)
    assert (moved.flatten(1).argmax(1) == brightest).float().mean() > 0.95
    assert len(set(moved.flatten(1).argmax(1).tolist())) > 30
    assert varied.min() >= 0 and varied.max() <= 255


def test_a_defect_of_one_pixel_marks_its_cell():
    masks = torch.zeros(1, 16, 24, dtype=torch.uint8)
    masks[0, 9, 23] = 1
    assert to_cells(masks).tolist() == [[[0, 0, 0], [0, 0, 1]]]


def test_separation_of_known_scores():
    told = separation(np.array([0.1, 0.4, 0.35, 0.8], np.float32), np.array([False, False, True, True]))
    assert (told.goods, told.defects) == (2, 2)
    assert told.auroc == pytest.approx(0.75)
    assert told.average_precision == pytest.approx(0.8333, abs=1e-3)


def test_a_group_of_one_kind_has_no_separation():
    groups = by_group(np.array([0.1, 0.9], np.float32), np.array([False, True]), ["a", "b"])
    assert [(value.auroc, value.average_precision) for value in groups.values()] == [(None, None)] * 2


@pytest.mark.parametrize(("pictures", "steps"), [(16, 400), (160, 400), (16_000, 12_000)])
def test_a_small_set_is_shown_more_often(pictures, steps):
    assert Recipe().steps(pictures) == steps
    assert Recipe(epochs=2).steps(pictures) == 2 * (pictures // 16)
