"""What a pool of pictures holds and lacks, for people."""

from __future__ import annotations

from training.coverage import Findings
from training.page import Grid, Page, Section, shown

MOST = 40  # groups in the table


def page(found: Findings) -> Page:
    """The page beside coverage.json."""
    report = found.report
    groups, repeated = report["groups"], report["copies"]
    facts = [
        f"{repeated['share']:.1%} of the pictures repeat another one.",
        f"The groups are as even as {groups['as_even_as']} groups of one size.",
        f"The pictures vary as much as {report['different_pictures']} entirely different ones.",
        *(
            f"{one['share']:.1%} of {one['pictures']} {name} pictures are covered."
            for name, one in report["covered"].items()
        ),
    ]
    looks = [(name, *(f"{value:.3g}" for value in one.values())) for name, one in report["looks"].items()]
    counts = [(name, str(count)) for name, count in list(groups["pictures"].items())[:MOST]]
    return Page(
        "Coverage of the pool",
        f"{report['pictures']} pictures in {groups['count']} groups",
        report["next"],
        len(report["next"]) == 1 and report["next"][0].startswith("Nothing"),
        [
            Section("What it holds", facts),
            Section(
                "Look at these",
                pictures=[shown(picture, f"{words}: {picture.name}") for picture, words in found.examples],
            ),
            Section("Light and focus", grid=Grid(("", "5 % below", "half below", "95 % below"), looks)),
            Section("Largest groups", grid=Grid(("group", "pictures"), counts)),
        ],
    )
