"""The command `edge-compile`: `edge-compile student.onnx ...` builds a bundle, `edge-compile keygen NAME` keys."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from calibration.evidence import sentence
from calibration.judging import TARGET
from calibration.sample import sample
from calibration.threshold import read_threshold
from compile.build import Built, Job, build, created_ns
from compile.keys import make_keys, read_key, readable_by_others
from compile.lint import Finding, refuse
from compile.lint import lint as find
from compile.own_map import read_map
from compile.own_network import wrap as wrap_network
from compile.student import Student, check_student, read_model, read_student
from compile.tables import engine_table
from edge.bundle import write_bundle
from edge.clock import SystemClock
from edge.durable import write_whole
from edge.errors import ConfigError, KenpinError
from edge.manifest import TOLERANCE
from edge.picture_set import Picture, read_image, read_set, select
from edge.pixels import to_input

BUILD = "bundle"


class BuildsByDefault(TyperGroup):
    """A group of commands in which anything that is no command's name is an argument of `bundle`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer brings its own click or not
        if args and args[0] not in self.commands and args[0] not in ("--help",):
            args = [BUILD, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=BuildsByDefault, help="student.onnx -> quantized -> accepted -> signed bundle.", no_args_is_help=True,
    add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip


MostOverkill = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="no model ships whose bound on the overkill rate is above; 0.1 without defects"
    ),
]
OutputMap = Annotated[
    Path | None,
    typer.Option(metavar="MAP.TOML", help="the student is a network from elsewhere: which output is what"),
]
Targets = Annotated[
    list[str] | None, typer.Option(help="engine that the bundle is for: ort (default), ov, trt; repeatable")
]


@app.command(BUILD, help="Compile a student into a bundle; the word `bundle` may be left out.")
def bundle(
    student: Annotated[Path, typer.Argument(help="student.onnx of edge-train, or with --outputs any network")],
    calibration: Annotated[Path, typer.Option(metavar="SET", help="pictures that training has seen")],
    acceptance: Annotated[Path, typer.Option(metavar="SET", help="locked set: read for the evidence only")],
    threshold: Annotated[Path, typer.Option(help="threshold.json of edge-calibrate")],
    product: Annotated[str, typer.Option(help="the product's name")],
    version: Annotated[int, typer.Option(min=1, help="counts up with every bundle of the product")],
    key: Annotated[Path, typer.Option(help="private key of `edge-compile keygen`")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the .bundle to write")],
    calibration_groups: Annotated[str, typer.Option(help="only groups that match, e.g. 'pos0*'")] = "",
    acceptance_groups: Annotated[str, typer.Option(help="only groups that match")] = "",
    acceptance_pictures: Annotated[int, typer.Option(min=0, max=200, help="how many travel with it")] = 12,
    expires: Annotated[str | None, typer.Option(help="ISO time with zone: 2027-01-31T00:00:00Z")] = None,
    int8_only: Annotated[bool, typer.Option("--int8-only", help="no FP32 model in the bundle")] = False,
    allow_unproven: Annotated[bool, typer.Option(help="ship what misses the target, marked unproven")] = False,
    most_overkill: MostOverkill = None,
    outputs: OutputMap = None,
    target: Targets = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="a device's scores may differ by this much from those found here")
    ] = TOLERANCE,
    seed: Annotated[int, typer.Option(help="of the choice of calibration pictures")] = 1,
) -> None:
    """Quantize a student, judge it on the locked set and sign the bundle; refuse where the evidence falls short."""
    console = Console()
    secret = read_key(key)
    if readable_by_others(key):
        console.print(f"[yellow]{key} is readable by other users: chmod 600 {key}[/yellow]", soft_wrap=True)
    chosen, digest = read_threshold(threshold)
    targets = tuple(dict.fromkeys(target or [TARGET]))
    learned = _learned(student, outputs, targets)
    _show(learned.findings, console)
    job = Job(
        student=learned,
        threshold=chosen,
        threshold_sha256=digest,
        calibration=select(read_set(calibration), calibration_groups),
        acceptance=_labelled(select(read_set(acceptance), acceptance_groups)),
        product=product,
        version=version,
        created_ns=created_ns(SystemClock().wall_ns()),
        expires=expires,
        int8_only=int8_only,
        allow_unproven=allow_unproven,
        acceptance_pictures=acceptance_pictures,
        seed=seed,
        targets=targets,
        tolerance=tolerance,
        most_overkill=most_overkill,
    )
    built = build(job, console)
    write_bundle(out, built.manifest, built.models, built.pictures, built.report, secret, built.judged)
    _tell(built, out, console)


def _learned(student: Path, outputs: Path | None, targets: Sequence[str]) -> Student:
    if outputs is None:
        return read_student(student, targets)
    return check_student(wrap_network(student, read_map(outputs)), str(student), targets)


def _labelled(pictures: list[Picture]) -> list[Picture]:
    return [picture for picture in pictures if picture.label]


def _tell(built: Built, out: Path, console: Console) -> None:
    for note in built.notes:
        console.print(f"{note}.", soft_wrap=True)
    console.print(sentence(built.manifest.models[0].evidence), soft_wrap=True)
    if not built.manifest.models[0].proven:
        console.print("[red]Not proven: the bound misses its target.[/red]")
    shipped = ", then ".join(f"{entry.precision.upper()} for {entry.target}" for entry in built.manifest.models)
    console.print(
        f"wrote {out} with {shipped} ({out.stat().st_size / 1e6:.1f} MB), and report.html in it (python3 -m zipfile "
        f"-e {out} FOLDER); next: edge install {out} --station STATION.TOML",
        soft_wrap=True,
    )


@app.command()
def wrap(
    network: Annotated[Path, typer.Argument(help="an ONNX network from elsewhere")],
    outputs: Annotated[Path, typer.Option(metavar="MAP.TOML", help="which output is what: docs/own-network.md")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the student.onnx to write")],
) -> None:
    """Make a student of a network from elsewhere, and prove that it scores as the network does."""
    data = wrap_network(network, read_map(outputs))
    learned = check_student(data, str(network))
    _show(learned.findings, Console())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, data)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}; give another --out") from error
    print(f"wrote {out}; next: edge-calibrate score {out} SET -o scores.csv")


@app.command()
def engines(
    student: Annotated[Path, typer.Argument(help="student.onnx")],
    calibration: Annotated[Path, typer.Option(metavar="SET", help="pictures that training has seen")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="the folder to write")],
    capability: Annotated[
        list[str] | None, typer.Option(help="compute capability of a GPU, as 8.6; may be repeated; default all")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="how many go along, to compare scores on the GPU")] = 16,
    seed: Annotated[int, typer.Option(help="of the choice of calibration pictures")] = 1,
) -> None:
    """Build FP32, FP16 and INT8 engines with TensorRT-RTX, which needs no GPU; run them with compile.confirm on one."""
    from compile.engines import CAPABILITIES, write

    learned = read_student(student)
    _show(learned.findings, Console())
    chosen = sample(read_set(calibration), seed=seed)
    inputs = [to_input(read_image(picture.path), learned.spec) for picture in chosen]
    report = write(out, learned.model, inputs, capability or CAPABILITIES, pictures, SystemClock())
    Console().print(engine_table(report))
    print(f"wrote {out}; next, on the machine with the GPU: python -m compile.confirm {out}")


@app.command()
def lint(
    student: Annotated[Path, typer.Argument(help="student.onnx, or any network")],
    target: Annotated[
        list[str] | None, typer.Option(help="engine that must load it: ort, ov; may be repeated")
    ] = None,
) -> None:
    """Say what no device could run, what INT8 will not like, and what TensorRT would refuse; builds nothing."""
    found = find(read_model(student), target or ())
    _show(found, Console())
    refuse(found, str(student))
    print(f"{student} can be compiled")


def _show(found: Sequence[Finding], console: Console) -> None:
    for one in found:
        console.print(f"{one.level}: {one.words}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def keygen(
    name: Annotated[Path, typer.Argument(help="writes NAME.key (keep it secret) and NAME.pub")],
) -> None:
    """Make the pair of keys that signs and verifies bundles."""
    private, public = make_keys(name)
    print(f"wrote {private} (keep it secret) and {public} (copy it into keys_dir of every station)")


def main() -> None:
    """Run the command; an error that a person can act on is one line and an exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"edge-compile: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
