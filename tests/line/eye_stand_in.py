"""`python -m tests.line.eye_stand_in station.toml`: an eye without a camera, to be killed; odd parts are good."""

import sys
from pathlib import Path

from edge.clock import SystemClock
from edge.line_link import LineLink
from edge.records import RingPlace
from edge.station import load
from tests.line.lines import Eye


def main() -> None:
    station = load(Path(sys.argv[1]))
    link = LineLink(station, SystemClock(), RingPlace())
    link.say_ready(True)
    eye = Eye(link)
    while True:
        link.poll(0.01, eye)


if __name__ == "__main__":
    main()
