"""A curve pretrains its own encoders: one for each seed and term, never on what is tested; killed, it goes on."""

import json
import shutil
from dataclasses import replace

import pytest

from calibration.leaks import fingerprint
from edge.picture_set import read_set
from edge.pixels import InputSpec
from tests.training.small import run
from tests.training.test_bad_input import a_set, rows_of
from tests.training.test_pretrain import a_pool
from training import curve_encoders as room
from training import pretrain
from training.curve import CurveSettings, lay_out
from training.encoder import read_encoder
from training.pool import pictures_in

TINY = (
    "--size", "64", "--threads", "1", "--steps", "2", "--batch", "4", "--labels", "2", "--passes", "1",
)  # fmt: skip
TWO = ("--seeds", "2", "--arms", "ssl")
TERMS = {"mask", "contrast", "dense", "synthetic"}


def curve(pictures, out, *more):
    return run("curve", pictures, out, *TINY, *more)


@pytest.fixture(scope="module")
def measured(belt, tmp_path_factory):
    """A curve that was killed in its second pretraining and gone on with: its folder, and the pretrainings begun."""
    out, begun, whole = tmp_path_factory.mktemp("curve"), [], pretrain.pretrain

    def killed(cached, settings, out, fabric, tell):
        begun.append(out.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return whole(cached, settings, out, fabric, tell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "pretrain", killed)
        assert curve(belt, out, "--pool", str(belt), *TWO).exit_code != 0
        done = curve(belt, out, "--pool", str(belt), *TWO)
    assert done.exit_code == 0, done.output
    return out, begun


def test_each_seed_has_an_encoder_that_saw_nothing_of_its_test(belt, measured):
    out, _ = measured
    laid_out = lay_out(read_set(belt), CurveSettings(InputSpec(64, 64), labels=(2,), seeds=(0, 1)))
    for seed, one in laid_out.draws.items():
        tested = {laid_out.known[index].group for index in one.test}
        pool = read_encoder(out / "encoders" / f"ssl-seed{seed}" / "encoder.safetensors", 3).pool
        assert pool == {fingerprint(picture) for picture in read_set(belt) if picture.group not in tested}
    report = json.loads((out / "curve.json").read_text())
    assert len(report["settings"]["starts"]["ssl"]) == 2
    assert not any("was pretrained on" in note for note in report["notes"])


def test_another_seed_tests_others_and_so_learns_from_others(tmp_path):
    known = read_set(a_set(tmp_path / "set", rows_of(["ok", "ng"] * 15, "aabbccddeeffgghhiijjkkllmmnnoo")))
    laid_out = lay_out(known, CurveSettings(InputSpec(64, 64), labels=(2,), seeds=tuple(range(4))))
    made = room.Pretraining(known, 1, room.arms(ablate=False))
    group = {picture.path: picture.group for picture in known}
    learnt = [frozenset(group[path] for path in pool.paths) for pool in room.pools(laid_out, made)]
    tested = [frozenset(laid_out.known[index].group for index in one.test) for one in laid_out.draws.values()]
    assert len(set(tested)) > 1 and all(len(some) == 10 for some in learnt)
    assert all(not some & others for some, others in zip(learnt, tested, strict=True))


def test_the_pictures_of_a_test_are_known_in_another_folder_too(belt, tmp_path):
    """There a picture has other groups and another name."""
    known = lay_out(read_set(belt), CurveSettings(InputSpec(64, 64), labels=(2,), seeds=(0,)))
    (tmp_path / "pool").mkdir()
    for number, picture in enumerate(read_set(belt)):
        shutil.copy(picture.path, tmp_path / "pool" / f"{number}{picture.path.suffix}")
    made = room.Pretraining(pictures_in(tmp_path / "pool"), 1, room.arms(ablate=False))
    (pool,) = room.pools(known, made)
    tested = {fingerprint(known.known[index]) for index in known.draws[0].test}
    assert pool.left_out == len(tested) and tested <= pool.barred


def test_killed_it_goes_on_and_nothing_is_pretrained_twice(measured):
    assert measured[1] == ["ssl-seed0", "ssl-seed1", "ssl-seed1"]


def test_another_pretraining_is_not_mixed_into_a_curve(belt, measured):
    done = curve(belt, measured[0], "--pool", str(belt), *TWO, "--passes", "2")
    assert done.exit_code == 78 and "holds a pretraining with other pictures, settings" in str(done.error)


def test_an_ablation_leaves_out_each_term_and_compares_all_with_it(belt, tmp_path):
    arms = "all-terms,without-mask"
    done = curve(belt, tmp_path, "--pool", str(belt), "--ablate", "--seeds", "1", "--arms", arms)
    assert done.exit_code == 0, done.output
    made = sorted(path.name for path in (tmp_path / "encoders").glob("*-seed*"))
    assert made == ["all-terms-seed0", "without-mask-seed0"]
    terms = [
        json.loads((tmp_path / "encoders" / one / "pretrain.json").read_text())["recipe"]["terms"] for one in made
    ]
    assert [set(one) for one in terms] == [TERMS, TERMS - {"mask"}]
    report = json.loads((tmp_path / "curve.json").read_text())
    pairs = [(one["arm"], one["than"]) for one in report["averages"]]
    assert pairs == [("all-terms", "without-mask")]
    assert "SSL all-terms against SSL without-mask" in done.output
    assert {name for name, _ in room.arms(ablate=True)} == {"all-terms", *(f"without-{term}" for term in TERMS)}


def test_a_transfer_pretrains_on_another_product_and_never_on_this_one(belt, tmp_path):
    other = a_pool(tmp_path / "other", 16)
    words = ("--transfer", "--seeds", "1", "--arms", "public,ssl")
    done = curve(belt, tmp_path / "a", "--pool", str(other), *words)
    assert done.exit_code == 0, done.output
    assert "Labels that it takes with SSL, by those of public weights: " in done.output
    done = curve(belt, tmp_path / "b", "--pool", str(belt), *words)
    assert done.exit_code == 78 and "42 of the 42 pictures are among those of the pretraining" in str(done.error)
    assert not list((tmp_path / "b").glob("encoders/*/encoder.safetensors"))


def test_two_products_may_call_their_lots_alike(belt):
    known = lay_out(
        read_set(belt), CurveSettings(InputSpec(64, 64), labels=(2,), seeds=(0,), encoders=(("ssl", None),))
    )
    moved = replace(known, settings=replace(known.settings, transfer=True))
    made = room.Pretraining(read_set(belt), 1, room.arms(ablate=False))
    assert len(room.pools(moved, made)[0].paths) > len(room.pools(known, made)[0].paths)
