"""`edge-train report` as a person types it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from training.report_words import LANGUAGES
from training.results import write
from training.terminal import room


def report(
    out: Annotated[Path, typer.Option("-o", "--out", help="the page to write, e.g. report.html")],
    threshold: Annotated[Path | None, typer.Option(help="threshold.json of edge-calibrate")] = None,
    scores: Annotated[Path | None, typer.Option(help="scores.csv that it was chosen on, for the plot")] = None,
    pictures: Annotated[Path | None, typer.Option("--set", help="the labelled set: labels and minutes")] = None,
    suggested: Annotated[list[Path] | None, typer.Option(help="suggest.csv: how many defects there are")] = None,
    curve: Annotated[Path | None, typer.Option(help="curve.json of edge-train curve: labels saved")] = None,
    costs: Annotated[Path | None, typer.Option(help="your own figures as TOML: minutes and money saved")] = None,
    language: Annotated[str, typer.Option(help="en or ja")] = "en",
    title: Annotated[str, typer.Option(help="of the page, e.g. the product's name")] = "",
) -> None:
    """Write the report that a manager reads, as one page that opens offline; no figure that no file has given."""
    if language not in LANGUAGES:
        raise ConfigError(f"--language {language}: write {' or '.join(LANGUAGES)}")
    work, drawn, pages = room("report"), room("report_page"), room("page")
    facts = work.gather(work.Sources(threshold, scores, pictures, tuple(suggested or ()), curve, costs))
    day = datetime.fromtimestamp(SystemClock().wall_ns() / SECOND, timezone.utc)
    made = drawn.page(facts, language, f"{day:%Y-%m-%d}", title)
    write(out, pages.render(made))
    console = Console()
    for line in made.lead:
        console.print(line, soft_wrap=True)
    console.print(f"wrote {out}", soft_wrap=True)
