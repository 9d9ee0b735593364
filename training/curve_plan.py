"""Which pictures each cell of a label curve learns from and is tested on: the same for every arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture, select
from training.folds import spread

DISTIL = "distil"
ARMS = ("floor", "scratch", "public", DISTIL)  # the others are encoders, by their names
SSL = "ssl"  # the name of an encoder that nobody named
ALL = 0  # as a number of labels: every one that is not in the test part
_PARTS = 3  # one of them is the test part

Members = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One seed's pictures, as indices: the `test` part, and the others in the order in which they are labelled."""

    seed: int
    test: Members
    defects: Members
    goods: Members

    def labelled(self, labels: int, goods_each: int) -> Members:
        """What is labelled once `labels` defects are, with `goods_each` good pictures for each of them.

        More labels hold all that fewer hold.
        """
        if labels == ALL:
            return np.concatenate((self.defects, self.goods))
        return np.concatenate((self.defects[:labels], self.goods[: labels * goods_each]))


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: a seed's draw, a number of labelled defects (ALL = every one) and what begins to learn."""

    seed: int
    labels: int
    arm: str

    @property
    def name(self) -> str:
        """For people, and for the file of its result."""
        return f"seed {self.seed}, {told(self.labels)} labels, {self.arm}"

    @property
    def file(self) -> str:
        """The file of its result."""
        return f"{self.arm}-{told(self.labels)}-seed{self.seed}.json"


def told(labels: int) -> str:
    """A number of labels in words."""
    return "all" if labels == ALL else str(labels)


def draw(known: Sequence[Picture], seed: int, test: str) -> Draw:
    """The test part: a third by whole groups, another with each seed, or the groups that match `test`.

    Raises ConfigError where either part is left without defects or without good pictures.
    """
    held = _chosen(known, test) if test else spread(known, _PARTS, seed) == 0
    bad = np.array([picture.label != GOOD for picture in known])
    for part, members in (("test part", held), ("rest", ~held)):
        for kind, there in (("defects", bad), ("good pictures", ~bad)):
            if not (members & there).any():
                groups = len({one.group for one, yes in zip(known, there, strict=True) if yes})
                raise ConfigError(
                    f"seed {seed}: no {kind} in the {part}, of {int(there.sum())} in {groups} groups; some groups "
                    f"teach and others test, so label more groups, or name the test groups with --test"
                )
    order = np.random.default_rng(seed).permutation(len(known))
    rest = order[~held[order]]
    return Draw(seed, np.flatnonzero(held), rest[bad[rest]], rest[~bad[rest]])


def _chosen(known: Sequence[Picture], patterns: str) -> NDArray[np.bool_]:
    groups = {picture.group for picture in select(known, patterns)}
    return np.array([picture.group in groups for picture in known])


def counts(asked: Sequence[int], draws: Sequence[Draw]) -> tuple[int, ...]:
    """The numbers of labels that every draw has, fewest first and ALL last. Raises ConfigError for none."""
    most = min(len(one.defects) for one in draws)
    there = sorted({labels for labels in asked if labels != ALL and labels <= most})
    if ALL in asked:
        there.append(ALL)
    if not there:
        raise ConfigError(
            f"beside the test part only {most} defects are labelled; ask for so many or fewer --labels"
        )
    return tuple(there)


def cells(seeds: Sequence[int], labels: Sequence[int], arms: Sequence[str]) -> Iterator[Cell]:
    """Every cell: a whole small curve of the first seed comes first."""
    for seed in seeds:
        for count in labels:
            for arm in arms:
                yield Cell(seed, count, arm)
