"""How a person or systemd ends a command: the two signals, as an event that the command looks at."""

import signal
import threading
from types import FrameType


def stop_signals() -> threading.Event:
    """Set by SIGTERM and SIGINT; a second SIGINT ends at once."""
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return asked
