"""Runs the commands of `edge-train` in this process, small enough for a test."""

from dataclasses import dataclass

from typer.testing import CliRunner

from training.cli import app

SMALL = ("--size", "96", "--folds", "2", "--epochs", "1", "--batch", "8", "--threads", "1")


@dataclass(frozen=True)
class Done:
    """How a command ended; `error` is what it raised."""

    exit_code: int
    output: str
    error: BaseException | None


def finetune(pictures, out, *more):
    return run("finetune", pictures, out, *SMALL, *more)


def run(command, pictures, out, *more):
    result = CliRunner().invoke(app, [command, str(pictures), "-o", str(out), *more])
    code = getattr(result.exception, "exit_code", result.exit_code) if result.exception else result.exit_code
    return Done(code, result.output, result.exception)
