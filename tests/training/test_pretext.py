"""What a pretraining looks at and learns from: nothing hides a defect, masks do not leak, noise counts little."""

import numpy as np
import pytest
import torch

from training.backbones import Stages, start
from training.pretext import TERMS, Pretext
from training.pretrain import Recipe, _dealt
from training.reconstruction import noise_of, reconstruction
from training.synthetic import add_defects
from training.views import Wanted, look_at, two_views


def pictures(count=4, sigma=4.0):
    draw = np.random.default_rng(0)
    return torch.from_numpy(draw.normal(120, sigma, (count, 96, 128, 3)).clip(0, 255).astype(np.uint8))


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_place_of_one_view_is_found_again_in_the_other():
    blocks = torch.randint(40, 200, (6, 12, 16, 3), dtype=torch.uint8, generator=drawn())
    images = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    one, two, where = two_views(images, drawn())
    warped = torch.nn.functional.grid_sample(two.permute(0, 3, 1, 2), where, align_corners=False)
    inside = (where.abs() < 0.95).all(3)
    for mine, theirs, both in zip(one.mean(3), warped.mean(1), inside, strict=True):
        assert torch.corrcoef(torch.stack((mine[both], theirs[both])))[0, 1] > 0.8
        assert torch.corrcoef(torch.stack((mine[both], theirs.flip(1)[both])))[0, 1] < 0.5


def test_a_small_dark_spot_stays_visible_in_every_view_that_holds_it():
    images = torch.full((64, 96, 96, 3), 150, dtype=torch.uint8)
    images[:, 47:50, 47:50] = 90
    for view in two_views(images, drawn(1))[:2]:
        grey = view.mean(3)[:, 20:76, 20:76]
        around = torch.nn.functional.avg_pool2d(grey[:, None], 21, 1, 10, count_include_pad=False)[:, 0]
        assert ((around - grey).flatten(1).amax(1) > 15).all()


def test_sixty_percent_of_the_cells_are_masked():
    look = look_at(pictures(), Wanted(True, False, False), drawn())
    assert look.keep.shape == (4, 1, 96, 128)
    assert look.keep.mean().item() == pytest.approx(5 / 12)
    assert look.keep[:, :, ::32, ::32].repeat_interleave(32, 2).repeat_interleave(32, 3).equal(look.keep)
    assert look.one is None and look.flawed is None


def test_what_is_behind_a_mask_reaches_no_feature():
    pretext = Pretext(Stages(start("lite0"), 3), 3, {"mask": 1.0}).eval()
    images = pictures(2).float()
    keep = torch.ones(2, 1, 96, 128)
    keep[:, :, 32:64, 64:96] = 0
    others = images.clone()
    others[:, 32:64, 64:96] = 255 - others[:, 32:64, 64:96]
    with torch.no_grad():
        pairs = zip(pretext._encode(images, keep), pretext._encode(others, keep), strict=True)
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
        early = pretext._encode(images, keep)[0]
    assert (early[:, :, 8:16, 16:24] == 0).all() and (early[:, :, 0:8] != 0).any()


def test_drawn_defects_are_of_the_stated_sizes_and_only_there_is_anything_changed():
    images = pictures(64).float()
    flawed, flaws = add_defects(images, drawn())
    share = flaws.float().mean((1, 2))
    assert 40 < (share > 0).sum() < 64
    assert share.max() <= 0.06 and share[share > 0].min() < 0.002
    changed = (flawed - images).abs().amax(3) > 0
    near = torch.nn.functional.max_pool2d(flaws.float()[:, None], 17, 1, 8)[:, 0] > 0
    some = share > 0
    assert not (changed & ~near)[some].any()


def test_the_noise_of_a_sensor_is_measured_through_edges():
    images = pictures(2, sigma=6.0).float()
    images[:, :, 60:] += 80
    assert noise_of(images).tolist() == [pytest.approx(6, rel=0.15)] * 2


def test_only_what_is_hidden_counts_and_every_scale_alike():
    images = pictures().float()
    keep = torch.ones(4, 1, 96, 128)
    keep[:, :, :32, :32] = 0
    told = [torch.zeros(4, scale**2 * 4, 96 // scale, 128 // scale) for scale in (4, 8, 16)]
    loss = reconstruction(told, images, keep)
    for scale, level in zip((4, 8, 16), told, strict=True):
        level[:, :, 32 // scale :] = 50
    assert reconstruction(told, images, keep) == loss
    hit = []
    for index, scale in enumerate((4, 8, 16)):
        wrong = [level.clone() for level in told]
        wrong[index][:, :, : 32 // scale, : 32 // scale] = 50
        hit.append(float(reconstruction(wrong, images, keep) - loss))
    assert max(hit) == pytest.approx(min(hit), rel=0.02)


def test_a_patch_of_pure_noise_counts_less_than_one_with_an_edge():
    images = pictures(1).float()
    images[:, :32, 8:16] += 90
    keep = torch.ones(1, 1, 96, 128)
    keep[:, :, :32, :64] = 0

    def off(columns):
        told = [torch.zeros(1, scale**2 * 4, 96 // scale, 128 // scale) for scale in (4, 8, 16)]
        told[2][:, :, :2, columns] = 3
        return float(reconstruction(told, images, keep))

    nothing = off(slice(0, 0))
    assert off(slice(0, 1)) - nothing > 1.5 * (off(slice(2, 3)) - nothing)


def test_all_terms_send_gradients_to_every_weight_that_learns():
    pretext = Pretext(Stages(start("lite0"), 3), 3, TERMS).train()
    losses = pretext(look_at(pictures(), pretext.wanted(), drawn()))
    assert set(losses) == set(TERMS)
    sum(losses.values()).backward()
    assert not [name for name, weight in pretext.named_parameters() if weight.requires_grad and weight.grad is None]
    assert all(weight.grad is None for weight in pretext.teacher.parameters())


def test_every_pass_deals_each_picture_once_whatever_the_shards():
    recipe = Recipe(batch=5, shards=2)
    dealt = torch.cat([_dealt(30, recipe, 0, step, shard) for step in range(6) for shard in range(2)]).tolist()
    assert sorted(dealt[:30]) == sorted(dealt[30:]) == list(range(30))
    assert dealt[:30] != dealt[30:]
