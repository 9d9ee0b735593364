"""A search keeps the usual recipe unless another one is surely better, and is not done twice."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.training.small import finetune
from training import finetune as room
from training.fit import Recipe
from training.search import RUNGS, recipes, rungs, search

GROUPS = [f"g{index // 4}" for index in range(400)]
BAD = np.arange(400) % 4 == 0
USUAL = Recipe()


def scores(gain, seed=0):
    """Noise, with the defects higher by `gain`."""
    return (np.random.default_rng(seed).normal(size=400) + gain * BAD).astype(np.float32)


def test_the_usual_recipe_comes_first_and_all_differ():
    tried = recipes(USUAL)
    assert tried[0] == USUAL
    assert len(set(tried)) == len(tried) == 6


@pytest.mark.parametrize("better", recipes(USUAL)[1:])
def test_a_recipe_that_is_surely_better_is_found(better):
    def told(recipe):
        return scores(3.0 if replace(recipe, part=1.0) == better else 0.5)

    found = search(USUAL, told, BAD, GROUPS, seed=0)
    assert found.recipe == better
    assert [each["part"] for each in found.tried] == [RUNGS[0]] * 6 + [RUNGS[1]] * 3


def test_the_usual_recipe_stays_where_no_other_is_surely_better():
    """All are equally good; the one that looks best by chance is not."""

    def told(recipe):
        return scores(2.0, seed=recipes(USUAL).index(replace(recipe, part=1.0)) == 0)

    assert search(USUAL, told, BAD, GROUPS, seed=0).recipe == USUAL


def test_the_usual_recipe_is_tried_in_every_rung_even_when_it_is_the_worst():
    asked = []

    def told(recipe):
        asked.append(recipe)
        return scores(0.0 if recipe.tail_rate == USUAL.tail_rate and recipe.strength == 1 else 2.0)

    search(USUAL, told, BAD, GROUPS, seed=0)
    assert all(replace(USUAL, part=part) in asked for part in RUNGS)
    assert rungs(USUAL) == [(sum(recipe.part == part for recipe in asked), part) for part in RUNGS]


def test_a_search_is_told_and_is_not_done_again(belt, tmp_path, monkeypatch):
    out = tmp_path / "out"
    done = finetune(belt, out, "--search")
    assert done.exit_code == 0, done.output
    report = json.loads((out / "training.json").read_text())
    assert len(report["search"]) == 9
    assert "search: held-out AUROC" in done.output
    assert report["recipe"]["tail_rate"] in {each["tail_rate"] for each in report["search"]}
    monkeypatch.setattr(room, "fit", lambda *rest: pytest.fail("trained again"))
    again = finetune(belt, out, "--search")
    assert again.exit_code == 0, again.output
    assert json.loads((out / "training.json").read_text())["search"] == report["search"]


def test_defect_classes_alone_cannot_be_searched(tmp_path):
    for number in range(12):
        picture = np.full((64, 64, 3), 60 + 100 * (number % 2) + number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    rows = [f"{number}.png,{('bright', 'dark')[number % 2]}" for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    done = finetune(tmp_path, tmp_path / "out", "--search")
    assert done.exit_code == 78
    assert "add good ones" in str(done.error)
