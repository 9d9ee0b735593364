"""`edge-train copies`: which pictures of different groups are one exposure, and labels.csv with one group for them."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.copies import Copy, Looks, copies
from edge.picture_set import Picture
from training.page import Page, Section, Shown, shown

MOST = 100  # pairs on the page
ADVICE = "Give both pictures of a pair one group: labels.csv beside this page does, for all of them."


def found(pictures: Sequence[Picture], seen: Looks) -> list[Copy]:
    """The pairs among all pictures and among the labelled alone, the least different first; `seen`: their looks.

    What training refuses it finds among labelled pictures, and the set itself says what alike means: with the
    unlabelled ones some of those pairs may be none.
    """
    labelled = [index for index, one in enumerate(pictures) if one.label]
    taught = Looks(seen.thumbs[labelled], tuple(seen.fingerprints[index] for index in labelled))
    pairs = {
        (pair.first.name, pair.second.name): pair
        for pair in (*copies(pictures, seen), *copies([pictures[index] for index in labelled], taught))
    }
    return sorted(pairs.values(), key=lambda pair: (pair.difference, pair.first.name, pair.second.name))


def page(pictures: Sequence[Picture], found: Sequence[Copy]) -> Page:
    """The pairs side by side, the least different first."""
    told = f"{len(found)} pairs of pictures in different groups are copies of one exposure."
    more = [f"The {MOST} least different are shown."] if len(found) > MOST else []
    cards = [card for pair in found[:MOST] for card in _cards(pair)]
    return Page(
        "Copies across groups",
        f"{len(pictures)} pictures in {len({one.group for one in pictures})} groups",
        [told, ADVICE] if found else ["No picture is a copy of one in another group."],
        not found,
        [Section("Pairs", more, pictures=cards)] if found else [],
    )


def _cards(pair: Copy) -> tuple[Shown, Shown]:
    apart = f"{pair.difference:.2f} grey levels apart" if pair.difference else "the same pixels"
    return (
        shown(pair.first, f"{pair.first.name} ({pair.first.label or 'no label'}): {apart}"),
        shown(pair.second, f"{pair.second.name} ({pair.second.label or 'no label'})"),
    )
