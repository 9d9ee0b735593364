"""`edge threshold`: shows the threshold in force and what it proves, or moves it for the eye's next start."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from edge.clock import SystemClock
from edge.control import MOST_WORDS, Control, NoteThreshold, threshold_note
from edge.errors import BundleError, ConfigError, ControlError, JournalError, KenpinError, RefusedError
from edge.operate import StationFile
from edge.ownership import as_owner_of
from edge.station import Station, load

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.manifest import Evidence, ModelEntry

_KIND = "threshold"


@dataclass(frozen=True, slots=True)
class Choice:
    """A product's model as it is judged `now`, and as it would be with the `other` threshold; `words` come after."""

    name: str
    now: ModelEntry
    other: ModelEntry | None = None
    other_name: str = ""
    words: str = ""


def threshold(
    station_file: StationFile,
    value: Annotated[
        float | None,
        typer.Argument(help="move it here; without --by and --why it is only shown", show_default=False),
    ] = None,
    product: Annotated[str, typer.Option(help="whose, where the station has several")] = "",
    by: Annotated[str, typer.Option("--by", "--who", help="your name; your user is recorded in any case")] = "",
    why: Annotated[str, typer.Option(help="the reason, for the journal")] = "",
    reset: Annotated[bool, typer.Option("--reset", help="return to the bundle's own")] = False,
    allow_unproven: Annotated[
        bool,
        typer.Option("--allow-unproven", help="also where its bound misses the bundle's target; then it is marked"),
    ] = False,
) -> None:
    """The threshold in force and what it proves; or move it on this device, from the eye's next start on."""
    from edge.screen import print_threshold

    station = load(station_file)
    name = chosen_product(station, product)
    if reset and value is not None:
        raise ConfigError("--reset returns to the bundle's own threshold: leave the number out")
    if reset:
        print_threshold(reset_to_own(station, name, by, why))
    elif value is None:
        print_threshold(shown(station, name))
    elif by or why:
        print_threshold(move_to(station, name, value, by, why, allow_unproven))
    else:
        print_threshold(tried(station, name, value))


def chosen_product(station: Station, wanted: str) -> str:
    """The product that is meant, the only one where none is named. Raises ConfigError."""
    known = sorted(set(station.products().values()))
    if not known:
        raise ConfigError(f"{station.source} names no product: give it station.product or [recipes]")
    if wanted in known or (not wanted and len(known) == 1):
        return wanted or known[0]
    raise ConfigError(f"--product {wanted}: choose one of {', '.join(known)}")


# --- looking ----------------------------------------------------------------------------------------------------


def shown(station: Station, product: str) -> Choice:
    """What is in force, and where that was moved the bundle's own beside it. Raises BundleError."""
    from edge.install import moved_of, open_active, open_as_signed
    from edge.moved import moved_for

    bundle = open_active(station, product)
    entry = _entry(bundle, station)
    moved = moved_for(bundle, entry)
    if moved is None:
        kept = moved_of(station, product, bundle.manifest.version)
        words = f"not in force, since another model runs: {kept.short()}" if kept is not None else ""
        return Choice(_name(bundle), entry, words=words)
    own = _entry(open_as_signed(station, product), station)
    return Choice(_name(bundle), entry, own, "the bundle's own", moved.sentence())


def tried(station: Station, product: str, value: float) -> Choice:
    """What another threshold would prove; nothing changes. Raises BundleError, ConfigError."""
    from edge.install import open_active

    bundle = open_active(station, product)
    now = _entry(bundle, station)
    words = 'nothing was changed: --by NAME --why "..." moves it'
    return Choice(_name(bundle), now, _at(bundle, now, value), "tried", words)


def _name(bundle: Bundle) -> str:
    return f"{bundle.manifest.product} version {bundle.manifest.version}"


def _entry(bundle: Bundle, station: Station) -> ModelEntry:
    return bundle.manifest.entry(station.engine.kind, station.engine.precision)


def _at(bundle: Bundle, entry: ModelEntry, value: float) -> ModelEntry:
    """The model's entry at another threshold. Raises ConfigError for one that nobody can mean, BundleError where the
    bundle does not hold what its models said."""
    from edge.moved import entry_at

    if not 0 < value < 1:
        raise ConfigError(
            f"{value:g} is no threshold: write a number between 0 and 1, such as {entry.threshold:.4g}"
        )
    return entry_at(bundle, entry, value)


# --- moving -----------------------------------------------------------------------------------------------------


def move_to(
    station: Station, product: str, value: float, by: str, why: str, allow_unproven: bool = False
) -> Choice:
    """Put into the journal that the threshold is moved, then move it for the eye's next start.

    A moved threshold that cannot be read any more is replaced. Raises ConfigError for one that nobody can mean, or that
    is unproven without leave; BundleError, ControlError and JournalError where it is not done.
    """
    from edge.device_key import load_or_create
    from edge.install import move_threshold, open_as_signed
    from edge.moved import Moved

    bundle = open_as_signed(station, product)
    own, now = _entry(bundle, station), _now(station, bundle)
    then = _at(bundle, own, value)
    if value == own.threshold:
        raise ConfigError(f"{value:g} is the bundle's own threshold: --reset returns to it")
    if not then.proven and not allow_unproven:
        raise ConfigError(
            f"at {value:g} the evidence is {_counts(then.evidence)}, and misses its target of "
            f"{then.evidence.target_escape:.1%}: choose another, or take it with --allow-unproven, marked as unproven"
        )
    manifest, wall_ns = bundle.manifest, SystemClock().wall_ns()
    what = Moved(
        manifest.product, manifest.version, bundle.sha256, own.sha256, own.target, own.precision,
        own.threshold, value, then.proven, by, why, wall_ns,
    )  # fmt: skip
    _refuse_rights(bundle)
    request = _note(bundle, now, then, "", by, why)

    with as_owner_of(station.station.state_dir):
        key = load_or_create(station.station.state_dir)

    def do() -> None:
        move_threshold(station, what, key)

    return Choice(_name(bundle), now or own, then, "from the eye's next start", _recorded(station, request, do))


def reset_to_own(station: Station, product: str, by: str, why: str) -> Choice:
    """Put into the journal that the bundle's own threshold is to be in force again, then let it be.

    Raises ConfigError where it is already; BundleError, ControlError and JournalError where it is not done.
    """
    from edge.install import has_moved, open_as_signed, reset_threshold

    bundle = open_as_signed(station, product)
    own, now = _entry(bundle, station), _now(station, bundle)
    if not has_moved(station, product, bundle.manifest.version):
        raise ConfigError(f"the bundle's own threshold, {own.threshold:g}, is in force already")
    _refuse_rights(bundle)
    request = _note(bundle, now, own, ", the bundle's own,", by, why)
    words = _recorded(station, request, lambda: reset_threshold(station, bundle))
    return Choice(_name(bundle), now or own, own, "from the eye's next start", words)


def _now(station: Station, signed: Bundle) -> ModelEntry | None:
    """The model as it is judged now; None where a moved threshold cannot be trusted, and so nothing is judged."""
    from edge.install import open_active

    with suppress(BundleError):
        return _entry(open_active(station, signed.manifest.product), station)
    return None


def _refuse_rights(bundle: Bundle) -> None:
    """Before anything is on record that cannot be done."""
    folder = bundle.path.parent
    if not os.access(folder, os.W_OK, effective_ids=True):
        raise ConfigError(f"you may not change {folder}: use sudo, as for edge install")


def _note(bundle: Bundle, now: ModelEntry | None, then: ModelEntry, what: str, by: str, why: str) -> NoteThreshold:
    if not by or not why:
        raise ConfigError('say who and why, for the journal: --by NAME --why "..."')
    before = f"{now.threshold:.6g} ({_counts(now.evidence)})" if now is not None else "one that could not be read"
    unproven = "" if then.proven else ", UNPROVEN"
    words = (
        f"{_name(bundle)}, {then.target} {then.precision}: from {before} to {then.threshold:.6g}{what} "
        f"({_counts(then.evidence)}{unproven}) at the eye's next start"
    )
    return threshold_note(words, why, by)


def _counts(evidence: Evidence) -> str:
    return (
        f"{evidence.missed} of {evidence.defects} defects missed, escape rate <= {evidence.escape_upper:.2%}, "
        f"{evidence.overkill} of {evidence.goods} good parts rejected"
    )


# --- on record --------------------------------------------------------------------------------------------------


def _recorded(station: Station, request: NoteThreshold, do: Callable[[], None]) -> str:
    """Do it once its record is on the disk; what to say of it."""
    by = _record(station, request)
    try:
        do()
    except (KenpinError, OSError) as error:
        with suppress(KenpinError):
            said = "".join(
                letter if letter.isprintable() else "?" for letter in f"not done ({error}): {request.words}"
            )
            _record(station, threshold_note(said[:MOST_WORDS], request.why, request.who))
        raise
    return (
        f"recorded as {by}; in force when the eye starts again: systemctl restart kenpin-eye@{station.station.name}, "
        "when parts may be rejected for that time"
    )


def _record(station: Station, request: NoteThreshold) -> str:
    """Through the eye, which has the journal; or, where none runs, by oneself. Whom the journal names.

    Raises ControlError, JournalError where it is not on the disk.
    """
    try:
        return Control(station).note_threshold(request).by
    except RefusedError:
        raise
    except ControlError as error:
        try:
            return _record_alone(station, request)
        except JournalError as locked:
            raise JournalError(f"{locked}. And no eye takes the record: {error}") from locked


def _record_alone(station: Station, request: NoteThreshold) -> str:
    from edge.eye.acts import by_of, threshold_words
    from edge.eye.lane import open_record
    from edge.eye.reception import Peer
    from edge.journal.rows import Note

    clock = SystemClock()
    by = by_of(Peer(os.getpid(), os.getuid(), frozenset()), request.who)
    with as_owner_of(station.station.state_dir), ExitStack() as stack:
        journal = open_record(station, clock, stack).journal
        journal.commit([Note(clock.wall_ns(), _KIND, threshold_words(request, by))])
    return by
