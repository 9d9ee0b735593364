"""What suggested labels are worth against random ones: python examples/suggest_gain.py SET [GROUPS], all labelled."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.picture_set import GOOD, read_set, select
from training.features import USUAL, features, unit
from training.floor import plain_scores
from training.measures import separation
from training.suggest import Picker, Plan

SEEDS, AT_ONCE, COUNTS = 8, 15, (20, 50, 100)

pictures = select(read_set(Path(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else None)
seen = features(pictures, USUAL, lambda: None)
bad = np.array([picture.label != GOOD for picture in pictures])


def suggested(pool, labelled, count, seed):
    """More pictures of the pool, as edge-train suggest would name them, scored by the floor where it can learn."""
    known = np.array(labelled, np.int64)
    some = [replace(pictures[n], label=pictures[n].label if n in labelled else "") for n in pool]
    scores = {}
    if len(set(bad[known])) == 2:
        told = plain_scores(seen[known], bad[known], seen[pool])
        scores = {pictures[n].name: float(score) for n, score in zip(pool, told, strict=True)}
    found = Picker(some, unit(seen)[pool], scores, Plan(count, seed, 0.5)).picked()
    of = {pictures[n].name: int(n) for n in pool}
    return [of[one.file] for one in found]


def auroc(learnt, held):
    if len(set(bad[learnt])) < 2:
        return float("nan")
    return separation(plain_scores(seen[learnt], bad[learnt], seen[held]), bad[held]).auroc


results = {}
for seed in range(SEEDS):
    rng = np.random.default_rng(seed)
    groups = sorted({picture.group for picture in pictures})
    rng.shuffle(groups)
    test = set(groups[: len(groups) // 3])
    held = np.array([n for n, picture in enumerate(pictures) if picture.group in test])
    pool = np.array([n for n, picture in enumerate(pictures) if picture.group not in test])
    labelled = []
    for count in COUNTS:
        while len(labelled) < count:
            labelled += suggested(
                pool, labelled, min(count - len(labelled), AT_ONCE if labelled else COUNTS[0]), seed
            )
        drawn = rng.choice(pool, count, replace=False)
        for name, chosen in (("random", drawn), ("suggested", np.array(labelled))):
            results.setdefault((count, name), []).append((auroc(chosen, held), bad[chosen].sum()))

for (count, name), values in results.items():
    areas, defects = np.array(values).T
    print(
        f"{count:4} {name:10} AUROC {np.nanmean(areas):.3f} +- {np.nanstd(areas, ddof=1):.3f}, "
        f"defects among them {defects.mean():.0f} +- {defects.std(ddof=1):.0f}"
    )
