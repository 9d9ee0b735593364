"""The command `edge-calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from calibration.choice import RECORD, Choice, choose, look_over, record, write_record
from calibration.copies import refuse_copies_between
from calibration.evidence import (
    GroupCounts,
    Judged,
    count_by_group,
    evidence_of,
    group_sentence,
    sentence,
    shortfall,
)
from calibration.judging import judge_pictures
from calibration.leaks import PRETRAINED, Seen, read_pretrained, refuse_leaks, seen_in
from calibration.progress import watched
from calibration.sample import MOST
from calibration.scores import Score, read_scores, write_scores
from calibration.threshold import Goal, WorkingThreshold, working_threshold, write_threshold
from edge.errors import ConfigError, KenpinError
from edge.evidence import is_proven
from edge.manifest import Evidence
from edge.picture_set import Picture, read_image, read_mask, read_set, select
from edge.set_writer import PictureSetWriter

ROWS = 20  # groups, and missed pictures, in a table

app = typer.Typer(
    help="Which pictures calibrate, which threshold, and what is proven.", no_args_is_help=True,
    add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip


@app.callback()
def commands() -> None:
    """Which pictures calibrate, which threshold, and what is proven."""


@app.command("threshold")
def threshold_command(
    scores: Annotated[Path, typer.Argument(help="scores.csv of edge-train: cross-fitted scores")],
    escape: Annotated[float, typer.Option(help="escape rate to stay below, e.g. 0.05")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the threshold.json to write")],
    confidence: Annotated[float, typer.Option(help="of the bounds")] = 0.95,
    aim: Annotated[
        float | None, typer.Option(help="choose for this smaller escape rate: a reserve for unseen lots")
    ] = None,
    overkill: Annotated[float, typer.Option(help="share of good parts to give for a wider margin")] = 0.01,
    pictures: Annotated[Path | None, typer.Option(help="the set that was trained on, for the leak check")] = None,
    student: Annotated[Path | None, typer.Option(help="student.onnx; default: beside scores.csv")] = None,
    acceptance: Annotated[Path | None, typer.Option(help="locked set: read for the evidence only")] = None,
    acceptance_groups: Annotated[str, typer.Option(help="only its groups that match, e.g. 'pos1*'")] = "",
    allow_unproven: Annotated[bool, typer.Option(help="write a threshold that misses the target")] = False,
) -> None:
    """Choose the working threshold; with --acceptance, prove it on pictures that nothing has seen."""
    console = Console()
    goal = Goal(escape, confidence, overkill, aim)
    rows = read_scores(scores)
    chosen = working_threshold(rows, goal, sha256(scores.read_bytes()).hexdigest(), allow_unproven)
    pretrained = _pretrained(scores, rows, console)
    trained = _trained(pictures, rows) if pictures else []
    seen = _seen(rows, trained, pretrained, console)
    chosen = replace(
        chosen,
        seen_groups=tuple(sorted(seen.groups)),
        seen_pictures=tuple(sorted(seen.pictures)),
        student_sha256=_student_hash(student, scores),
    )
    console.print(_choice_table(chosen))
    console.print(f"Threshold {chosen.threshold:.4f}. " + sentence(chosen.choice, "cross-fitted"), soft_wrap=True)
    console.print(group_sentence(chosen.groups, confidence), soft_wrap=True)
    if acceptance is not None:
        held_out = _acceptance(acceptance, acceptance_groups)
        refuse_leaks(pretrained, held_out, "pretraining")
        refuse_leaks(seen, held_out, "training")
        if trained:
            refuse_copies_between(trained, held_out, "training")
        chosen = _prove(chosen, _student(student, scores), held_out, console, allow_unproven)
    write_threshold(out, chosen)
    console.print(
        f"wrote {out}; next: edge-compile {_student(student, scores)} --threshold {out} ...", soft_wrap=True
    )


def _pretrained(scores: Path, rows: Sequence[Score], console: Console) -> Seen:
    """What the student's backbone saw. Scores of several folds are those of edge-train, which tells it beside them."""
    known = read_pretrained(scores.parent)
    if known is None and len({row.fold for row in rows}) > 1:
        console.print(
            f"[yellow]{scores.parent / PRETRAINED} is missing: whether pretraining saw pictures of the locked set is "
            "not known. Copy it too from the folder that edge-train wrote.[/yellow]",
            soft_wrap=True,
        )
    return Seen(known or frozenset(), frozenset())


def _seen(rows: Sequence[Score], trained: Sequence[Picture], pretrained: Seen, console: Console) -> Seen:
    """What training saw: groups from the scores, a pretraining's pictures, and those of the set where it is at hand."""
    groups = frozenset(row.group for row in rows if row.group != row.file)
    seen = seen_in(watched(trained, "reading what was trained on", console) if trained else ())
    return Seen(pretrained.pictures | seen.pictures, groups | seen.groups)


def _trained(pictures: Path, rows: Sequence[Score]) -> list[Picture]:
    names = {row.file for row in rows}
    trained = [picture for picture in read_set(pictures) if picture.name in names]
    if len(trained) < len(names):
        raise ConfigError(f"{pictures} lacks pictures that scores.csv lists; give the set that was trained on")
    return trained


def _student(student: Path | None, scores: Path) -> Path:
    return student or scores.parent / "student.onnx"


def _student_hash(student: Path | None, scores: Path) -> str | None:
    path = _student(student, scores)
    if student is None and not path.is_file():
        return None
    return sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; name the student with --student") from error


def _acceptance(folder: Path, patterns: str) -> list[Picture]:
    pictures = [picture for picture in select(read_set(folder), patterns) if picture.label]
    if not pictures:
        raise ConfigError(f"{folder} holds no labelled picture of these groups; label the acceptance set")
    return pictures


def _prove(
    chosen: WorkingThreshold, student: Path, pictures: Sequence[Picture], console: Console, allow_unproven: bool
) -> WorkingThreshold:
    """The threshold with the evidence of the locked set. Raises ConfigError where it misses the target."""
    shown = watched(pictures, "judging the locked set", console)
    judged = judge_pictures(_read(student), shown, chosen.threshold)
    evidence = evidence_of(judged, chosen.confidence, chosen.target_escape)
    missed = [one for one in judged if one.missed]
    console.print(_evidence_table(evidence, count_by_group(judged)))
    if missed:
        console.print(_missed_table(missed, chosen.threshold))
    console.print(sentence(evidence), soft_wrap=True)
    console.print(group_sentence(count_by_group(judged), chosen.confidence), soft_wrap=True)
    if not is_proven(evidence) and not allow_unproven:
        raise ConfigError(f"not proven on the locked set: {shortfall(evidence)}; or go on with --allow-unproven")
    return replace(chosen, acceptance=evidence, missed=tuple(one.name for one in missed))


def _choice_table(chosen: WorkingThreshold) -> Table:
    return _counts_table("Training pictures, scored by models that did not see them", chosen.groups)


def _evidence_table(evidence: Evidence, groups: Sequence[GroupCounts]) -> Table:
    table = _counts_table("Locked acceptance set", groups)
    table.add_section()
    table.add_row(
        "all", f"{evidence.missed} of {evidence.defects}", f"{evidence.overkill} of {evidence.goods}", style="bold"
    )
    table.add_row("upper bound", f"{evidence.escape_upper:.1%}", f"{evidence.overkill_upper:.1%}", style="bold")
    return table


def _counts_table(title: str, groups: Sequence[GroupCounts]) -> Table:
    """The groups with most misses and overkill first."""
    table = Table(title=title)
    table.add_column("group")
    table.add_column("missed of defects", justify="right")
    table.add_column("overkill of good", justify="right")
    worst = sorted(groups, key=lambda one: (-one.missed, -one.overkill, one.group))
    for one in worst[:ROWS]:
        table.add_row(one.group, f"{one.missed} of {one.defects}", f"{one.overkill} of {one.goods}")
    if len(worst) > ROWS:
        table.caption = f"and {len(worst) - ROWS} more groups without a worse result"
    return table


def _missed_table(missed: Sequence[Judged], threshold: float) -> Table:
    table = Table(title="Missed defects")
    for name in ("picture", "label", "group", "score", "below threshold by"):
        table.add_column(name)
    for one in missed[:ROWS]:
        table.add_row(one.name, one.label, one.group, f"{one.score:.4f}", f"{threshold - one.score:.4f}")
    return table


@app.command("score")
def score_command(
    student: Annotated[Path, typer.Argument(help="student.onnx of edge-compile wrap")],
    pictures: Annotated[
        Path, typer.Argument(metavar="SET", help="labelled pictures that it has never learned from")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="the scores.csv to write")],
    groups: Annotated[str, typer.Option(help="only groups that match")] = "",
) -> None:
    """Score pictures with a student that was trained elsewhere: what edge-train's cross-fitting gives for its own."""
    chosen = [picture for picture in select(read_set(pictures), groups) if picture.label]
    shown = watched(chosen, "scoring", Console())
    write_scores(out, judge_pictures(_read(student), shown, 0.5))
    print(f"wrote {out}; next: edge-calibrate threshold {out} --student {student} --pictures {pictures} ...")


@app.command("sample")
def sample_command(
    pictures: Annotated[Path, typer.Argument(metavar="SET", help="the pictures that training has seen")],
    out: Annotated[Path, typer.Option("-o", "--out", help="new folder for the sample")],
    most: Annotated[int, typer.Option("--pictures", min=1, help="how many at most")] = MOST,
    groups: Annotated[str, typer.Option(help="only groups that match")] = "",
    seed: Annotated[int, typer.Option(help="another seed, another sample")] = 1,
    acceptance: Annotated[Path | None, typer.Option(help="locked set: refused where it shares anything")] = None,
    acceptance_groups: Annotated[str, typer.Option(help="only its groups that match, e.g. 'pos1*'")] = "",
) -> None:
    """Copy a calibration set: defects among them; lots, classes and light in turns; no copies. The same seed, the same
    pictures: sample.json beside them proves it."""
    console = Console()
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} holds something already: give a new folder, since a sample is a set of its own")
    known = select(read_set(pictures), groups)
    seen = look_over(known, watched(known, "reading the set", console))
    held_out = None if acceptance is None else _acceptance(acceptance, acceptance_groups)
    if held_out is not None:
        refuse_leaks(seen.seen, held_out, "calibration")
    choice = choose(seen, most, seed)
    if held_out is not None:
        refuse_copies_between(choice.chosen, held_out, "calibration")
    _write_sample(choice, held_out, out, console)


def _write_sample(choice: Choice, held_out: Sequence[Picture] | None, out: Path, console: Console) -> None:
    writer = PictureSetWriter(out)
    for number, picture in enumerate(watched(choice.chosen, "copying", console)):
        image = read_image(picture.path)
        mask = read_mask(picture, *image.shape[:2]) if picture.mask else None
        writer.add(image, f"{number:04d}-{picture.path.stem}", picture.label, picture.group, mask)
    told = record(choice, held_out)
    write_record(out, told)
    console.print(_light_table(choice))
    for words in choice.sentences():
        console.print(f"{words}.", soft_wrap=True, markup=False, highlight=False)
    if held_out is None:
        console.print("Not compared with an acceptance set: name it with --acceptance.", soft_wrap=True)
    console.print(
        f"wrote {len(choice.chosen)} of {len(choice.among)} pictures, {choice.defects} of them defects, to {out}; seed "
        f"{choice.seed}, SHA-256 {told['sha256']}: a bundle calibrated with it states that as calibration_sha256",
        soft_wrap=True,
    )


def _light_table(choice: Choice) -> Table:
    """The kinds of light that hold most pictures first."""
    table = Table(title="Light, in grey levels")
    table.add_column("kind")
    table.add_column("chosen", justify="right")
    kinds = sorted(choice.counts()["light"].items(), key=lambda kind: -kind[1][1])
    for words, (taken, of) in kinds[:ROWS]:
        table.add_row(words, f"{taken} of {of}")
    if len(kinds) > ROWS:
        table.caption = f"and {len(kinds) - ROWS} more kinds; all are in {RECORD}"
    return table


def main() -> None:
    """Run the command; an error that a person can act on is one line and an exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"edge-calibrate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
