"""The outbox's loop: reads on in the journal, keeps a window of records on their way, and notes what was taken."""

from __future__ import annotations

import json
import logging
from collections import deque
from threading import Event

from edge.clock import SECOND, Clock
from edge.control import Control
from edge.errors import ControlError, JournalError
from edge.journal import files
from edge.journal.chain import START
from edge.journal.lots import KIND as LOT
from edge.journal.lots import LotsOfParts, lots_in, named_lot
from edge.journal.rows import NOTES
from edge.outbox.backlog import Place, Row, checked, newest_number, rows_after
from edge.outbox.broker import Broker, BrokerError
from edge.outbox.options import Mqtt
from edge.station import Station

FORM = 1  # of the messages; another one when a receiver must be changed
_CHUNK = 500
_LOOK_EVERY_S = 0.5  # for new rows
_KEEP_EVERY_NS = SECOND
_WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # between attempts to reach the broker

log = logging.getLogger("edge.outbox")


class Outbox:
    """Sends the rows of one station's journal in order, each at least once. `run` blocks until `stop` is set."""

    def __init__(self, station: Station, options: Mqtt, clock: Clock, stop: Event) -> None:
        self._folder = station.journal.dir
        self._options = options
        self._name = station.station.name
        self._topic = f"{options.topic}/{self._name}"
        self._control = Control(station)
        self._clock = clock
        self._stop = stop
        self._place = Place(station.station.state_dir, self._folder)
        self._waiting: deque[Row] = deque()
        self._read = self._place.head  # the newest row that was read
        self._day = ""  # the day of that row
        self._lots = LotsOfParts([])  # by the notes up to the newest row that was sent
        self._taken = self._place.head  # the newest that the broker has
        self._kept_ns = self._told_ns = self._looked_ns = 0
        self._dropped = 0

    def run(self) -> None:
        """Send until `stop` is set; a broker that is away is tried again for ever. Raises ConfigError."""
        failures, told = 0, ""
        try:
            while not self._stop.is_set():
                before = self._taken
                try:
                    self._serve()
                except (BrokerError, JournalError) as error:
                    failures = 1 if self._taken != before else failures + 1
                    if failures == 1 or str(error) != told:
                        told = str(error)
                        log.warning("%s; trying again", told)
                    self._station_state()
                    self._stop.wait(_WAITS_S[min(failures, len(_WAITS_S)) - 1])
        finally:
            self._keep()
            self._place.close()

    def _serve(self) -> None:
        """One connection to the broker."""
        broker = Broker(self._options, self._name, self._status_topic, self._status("away"), self._clock)
        try:
            broker.connect()
            self._begin()
            log.info("%s takes records after %d", broker, self._taken.number)
            while not self._stop.is_set():
                self._fill(broker)
                taken = broker.serve(_LOOK_EVERY_S / 5 if not self._waiting else 0.05)
                if taken is not None:
                    self._taken = taken
                self._keep_now_and_then()
                self._tell(broker)
            broker.tell(self._status_topic, self._status("stopped"))
            broker.serve(0.2)
        finally:
            broker.close()

    def _begin(self) -> None:
        """What was on its way is sent again; a journal that is another one is sent from its beginning."""
        self._taken = self._read = checked(self._folder, self._taken)
        self._day = ""
        self._lots = self._lots_before(self._read.number + 1)
        self._waiting.clear()
        self._told_ns = self._looked_ns = 0

    def _fill(self, broker: Broker) -> None:
        if not self._waiting:
            self._look()
        while self._waiting and broker.has_room:
            row = self._waiting.popleft()
            broker.send(f"{self._topic}/{row.table}", message(self._name, row, self._lot_of(row)), row.head)

    def _lot_of(self, row: Row) -> str | None:
        """The lot of a part's row; what a note names counts for the rows after it."""
        if row.table != NOTES:
            return self._lots.lot_of(row.values["part_id"])
        named = named_lot(row.values["words"]) if row.values["kind"] == LOT else None
        if named is not None:
            self._lots.add(named)
        return None

    def _lots_before(self, number: int) -> LotsOfParts:
        return lots_in(files.day_files(self._folder), number - 1)

    def _look(self) -> None:
        """Read on; not more often than new rows are worth."""
        now_ns = self._clock.now_ns()
        if self._looked_ns and now_ns - self._looked_ns < _LOOK_EVERY_S * SECOND:
            return
        found = rows_after(self._folder, self._read.number, _CHUNK, self._day)
        if not found:
            self._looked_ns = now_ns
            return
        gap = found[0].head.number - self._read.number - 1
        if gap and self._read != START:
            self._dropped += gap
            log.warning(
                "%d records were dropped from the journal before they were sent; raise journal.keep_days", gap
            )
            self._lots = self._lots_before(found[0].head.number)
        self._waiting.extend(found)
        self._read, self._day = found[-1].head, found[-1].day

    # --- what is kept and told ---

    def _keep_now_and_then(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._kept_ns >= _KEEP_EVERY_NS:
            self._kept_ns = now_ns
            self._keep()

    def _keep(self) -> None:
        if self._taken != self._place.head:
            self._place.keep(self._taken)

    @property
    def _status_topic(self) -> str:
        return f"{self._topic}/status"

    def _tell(self, broker: Broker) -> None:
        now_ns = self._clock.now_ns()
        if not self._told_ns or now_ns - self._told_ns >= self._options.status_every_s * SECOND:
            self._told_ns = now_ns
            broker.tell(self._status_topic, self._status("connected"))

    def _status(self, outbox: str) -> str:
        """The station's state as `edge status` tells it, null while no eye answers, and how far the outbox is."""
        words: dict[str, object] = {"form": FORM, "station": self._name, "outbox": outbox}
        if outbox == "connected":
            words |= {"sent": self._taken.number, "waiting": self._behind(), "dropped": self._dropped}
            words["state"] = self._station_state()
        return json.dumps(words, allow_nan=False)

    def _behind(self) -> int:
        return (newest_number(self._folder) or 0) - self._taken.number

    def _station_state(self) -> dict[str, object] | None:
        """Told how far this is behind, for its figures; None where no eye answers or the journal cannot be read."""
        try:
            status = self._control.tell_outbox(max(0, self._behind()), self._dropped)
        except (ControlError, JournalError):
            return None
        return status.model_dump(exclude={"answer", "pid"})


def message(station: str, row: Row, lot: str | None) -> str:
    """A row as the broker gets it: JSON with the columns of its table between `id` and `link`, and `lot` after them
    where the row is of a part ("": of none). `id` is never used again for another row."""
    link = row.head.link.hex()
    words = {"form": FORM, "station": station, "id": f"{row.head.number}:{link}", **row.values, "link": link}
    if lot is not None:
        words["lot"] = lot
    return json.dumps(words, allow_nan=False)
