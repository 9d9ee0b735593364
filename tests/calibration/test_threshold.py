"""The threshold is the largest that keeps the promise, moved away from both sides where that costs nothing."""

import random
from dataclasses import replace

import pytest

from calibration.bounds import upper_bound
from calibration.scores import Score, read_scores
from calibration.threshold import Goal, choose, judged_at, read_threshold, working_threshold, write_threshold
from edge.errors import ConfigError
from edge.records import Kind

GOAL = Goal(escape=0.05, overkill=0.0)


def scores(defects, goods, group="g"):
    bad = [Score(f"d{n}", "dent", f"{group}{n % 7}", score) for n, score in enumerate(defects)]
    return bad + [Score(f"o{n}", "ok", f"{group}{n % 7}", score) for n, score in enumerate(goods)]


def missed(rows, threshold):
    return sum(row.defect and row.score < threshold for row in rows)


def test_without_room_it_is_the_largest_threshold_that_keeps_the_bound():
    rows = scores([n / 100 for n in range(1, 101)], [0.9] * 30)
    threshold = choose(rows, GOAL)
    assert threshold == 0.02  # of 100 defects one may be missed: the second lowest decides
    assert upper_bound(missed(rows, threshold), 100) <= 0.05
    assert upper_bound(missed(rows, 0.0201), 100) > 0.05


def test_between_well_separated_scores_it_lies_halfway_in_log_odds():
    assert choose(scores([0.9] * 60, [0.1] * 60), GOAL) == pytest.approx(0.5)
    assert choose(scores([0.99] * 60, [0.01, 0.5]), GOAL) == pytest.approx(0.9087, abs=1e-4)


def test_some_overkill_may_be_given_for_a_wider_margin():
    rows = scores([0.9] * 60, [0.1] * 99 + [0.8])
    assert choose(rows, GOAL) == pytest.approx(0.857, abs=1e-3)
    assert choose(rows, replace(GOAL, overkill=0.01)) == pytest.approx(0.5)


def test_a_good_part_that_scores_the_highest_is_no_reason_to_miss_defects():
    rows = scores([0.5] * 60, [1.0, 0.1])
    assert missed(rows, choose(rows, GOAL)) == 0


def test_saturated_scores_leave_a_threshold_inside():
    threshold = choose(scores([1.0] * 60, [0.0] * 60), GOAL)
    assert threshold == pytest.approx(0.5)


def test_a_smaller_aim_leaves_a_reserve_for_lots_that_nothing_has_seen():
    rows = scores([n / 100 for n in range(1, 101)], [0.9] * 30)
    assert choose(rows, Goal(escape=0.25, aim=0.05, overkill=0.0)) == choose(rows, GOAL)
    chosen = working_threshold(rows, Goal(escape=0.25, aim=0.05), "0" * 64)
    assert chosen.target_escape == 0.25 and chosen.choice.escape_upper <= 0.05
    with pytest.raises(ConfigError, match="59 with none missed"):
        choose(scores([0.9] * 58, [0.1]), Goal(escape=0.25, aim=0.05))


def test_58_defects_are_too_few_for_five_percent_and_59_are_enough():
    with pytest.raises(ConfigError, match=r"too few defects to say: 58 labelled.*takes 59 with none missed"):
        choose(scores([0.9] * 58, [0.1]), GOAL)
    assert choose(scores([0.9] * 59, [0.1]), GOAL) == pytest.approx(0.5)


def test_an_unproven_threshold_misses_none_of_the_few_defects():
    rows = scores([0.4, 0.9, 0.8], [0.6])
    assert choose(rows, GOAL, allow_unproven=True) == 0.4
    assert not working_threshold(rows, GOAL, "0" * 64, allow_unproven=True).proven


def test_without_a_defect_it_is_what_good_parts_allow_and_proves_nothing():
    rows = scores([], [0.1] * 98 + [0.7, 0.8])
    with pytest.raises(ConfigError, match="too few defects to say: 0 labelled"):
        choose(rows, GOAL)
    threshold = choose(rows, replace(GOAL, overkill=0.01), allow_unproven=True)
    assert 0.7 < threshold < 0.8
    chosen = working_threshold(rows, replace(GOAL, overkill=0.01), "0" * 64, allow_unproven=True)
    assert not chosen.proven and chosen.choice.escape_upper == 1.0 and chosen.choice.overkill == 1


def test_the_choice_keeps_its_promise_on_defects_it_never_saw():
    rng = random.Random(3)
    broken = 0
    for _ in range(400):
        rows = scores([rng.betavariate(4, 2) for _ in range(150)], [0.99])
        # the chance that a new defect scores below the threshold, from many of them
        threshold = choose(rows, GOAL)
        broken += sum(rng.betavariate(4, 2) < threshold for _ in range(2_000)) / 2_000 > 0.05
    assert broken / 400 < 0.08  # 5 % are promised; 0.08 is three standard errors above


def test_a_score_at_the_threshold_is_rejected_as_on_the_device():
    kinds = [one.kind for one in judged_at(scores([0.5, 0.49], []), 0.5)]
    assert kinds == [Kind.REJECT, Kind.PASS]


@pytest.mark.parametrize("values", [{"escape": 0.0}, {"escape": 1.0}, {"confidence": 0.4}, {"overkill": 1.0}])
def test_a_goal_that_means_nothing_is_refused(values):
    with pytest.raises(ConfigError, match="use a share"):
        Goal(**({"escape": 0.05} | values))


def test_what_is_written_is_read_again(tmp_path):
    rows = scores([0.9] * 60, [0.1] * 40)
    before = replace(working_threshold(rows, GOAL, "a" * 64), seen_groups=("g1",), missed=("x.png",))
    write_threshold(tmp_path / "threshold.json", before)
    after, digest = read_threshold(tmp_path / "threshold.json")
    assert after == before
    assert len(digest) == 64
    assert (after.proven, after.choice.defects, after.choice.groups, len(after.groups)) == (True, 60, 7, 7)


@pytest.mark.parametrize("text", ["", "{}", '{"threshold": 2}', "[1]"])
def test_another_file_is_no_threshold(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ConfigError, match="edge-calibrate threshold"):
        read_threshold(tmp_path / "t.json")
    with pytest.raises(ConfigError, match="cannot read"):
        read_threshold(tmp_path / "none.json")


def test_scores_are_read_without_the_unlabelled(tmp_path):
    (tmp_path / "s.csv").write_text("file,label,group,fold,score\na,ok,g,0,0.5\nb,,g,1,0.25\nc,dent,h,1,1\n")
    assert read_scores(tmp_path / "s.csv") == [Score("a", "ok", "g", 0.5), Score("c", "dent", "h", 1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label,score\n", "line 1: the columns must be"),
        ("file,label,group,fold,score\na,ok,g,0,nan\n", "line 2: score 'nan'"),
        ("file,label,group,fold,score\na,ok,g,0,1.5\n", r"line 2: score '1\.5'"),
        ("file,label,group,fold,score\na,ok,g\n", "line 2: score None"),
        ("file,label,group,fold,score\na,,g,0,0.5\n", "no labelled picture"),
    ],
)
def test_broken_scores_are_refused_with_their_line(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_scores(tmp_path / "s.csv")
