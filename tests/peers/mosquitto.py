"""A real MQTT broker, mosquitto, with or without TLS, and a receiver that keeps what is published."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.peers.waiting import eventually, missing

_PROGRAM = "/usr/sbin/mosquitto"  # not on everybody's path


class Mosquitto:
    """A broker on 127.0.0.1; stopped and started again, it remembers nothing unless `more` says so."""

    def __init__(self, folder: Path, port: int, more: Sequence[str] = ("allow_anonymous true",)) -> None:
        self._program = shutil.which("mosquitto") or (_PROGRAM if Path(_PROGRAM).exists() else "")
        if not self._program:
            missing("install mosquitto (apt-get install mosquitto)")
        self.port = port
        self._config = folder / "mosquitto.conf"
        self._log = folder / "mosquitto.log"
        lines = [f"listener {port} 127.0.0.1", "persistence false", "max_queued_messages 0", "user root", *more]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(self._config)], stderr=log, stdout=log)
        eventually(self._listens, f"mosquitto listens: {self._log.read_text()}")

    def stop(self) -> None:
        """As its service is stopped."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)
        self._process = None

    def kill(self) -> None:
        """As a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Receiver:
    """Subscribes to everything below `kenpin` and keeps it; connects again when the broker comes back."""

    def __init__(self, port: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self.status: list[dict[str, Any]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("kenpin/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._heard
        self._port = port

    def __enter__(self) -> Receiver:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def numbers(self) -> list[int]:
        """The rows' numbers as they came."""
        return [row["number"] for row in self.rows]

    def _heard(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        kind = message.topic.rpartition("/")[2]
        words = json.loads(message.payload)
        (self.status if kind == "status" else self.rows).append(words | {"topic": message.topic})
