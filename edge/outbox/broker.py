"""A connection to an MQTT broker (3.1.1, paho): what was sent and what of it the broker has taken."""

from __future__ import annotations

import ssl
from collections import deque
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge.clock import SECOND, Clock
from edge.errors import ConfigError, DeviceError
from edge.journal.chain import Head
from edge.outbox.options import Mqtt

WINDOW = 200  # records on their way at once
_AT_LEAST_ONCE = 1


class BrokerError(DeviceError):
    """The broker is away, refuses, or takes nothing."""


class Broker:
    """One connection, used by one thread; broken for good after its first BrokerError.

    A station that vanishes is told by the broker itself: the `will` is published on `will_topic`.
    """

    def __init__(self, options: Mqtt, station: str, will_topic: str, will: str, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"kenpin-{station}", reconnect_on_failure=False
        )
        self._client.connect_timeout = options.timeout_s
        self._client.max_inflight_messages_set(WINDOW + 10)
        self._client.will_set(will_topic, will, _AT_LEAST_ONCE, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._sent: deque[tuple[int, Head]] = deque()
        self._taken: set[int] = set()
        self._answered = False
        self._refused = ""
        self._moved_ns = clock.now_ns()
        _identify(self._client, options)

    def __str__(self) -> str:
        return f"the broker at {self._options.host}:{self._options.port}"

    def connect(self) -> None:
        """Blocks until the broker has accepted, up to twice `timeout_s`. Raises BrokerError."""
        try:
            self._client.connect(self._options.host, self._options.port, keepalive=30)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise BrokerError(f"{self} cannot be reached: {error}; {_advice(error)}") from error
        until_ns = self._clock.now_ns() + round(self._options.timeout_s * SECOND)
        while not self._answered:
            self._loop(0.1)
            if self._clock.now_ns() > until_ns:
                raise BrokerError(f"{self} does not answer; is it MQTT that listens there?")
        self._moved_ns = self._clock.now_ns()

    @property
    def has_room(self) -> bool:
        """Whether one more record may be on its way."""
        return len(self._sent) < WINDOW

    @property
    def waits(self) -> bool:
        """Whether records are on their way."""
        return bool(self._sent)

    def send(self, topic: str, payload: str, head: Head) -> None:
        """Put a record on its way. Raises BrokerError."""
        if not self._sent:
            self._moved_ns = self._clock.now_ns()
        self._sent.append((self._publish(topic, payload, retain=False), head))

    def tell(self, topic: str, payload: str) -> None:
        """Publish what replaces the word before and is kept for whoever comes later. Raises BrokerError."""
        self._publish(topic, payload, retain=True)

    def _publish(self, topic: str, payload: str, retain: bool) -> int:
        info = self._client.publish(topic, payload.encode(), _AT_LEAST_ONCE, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError(f"{self} was lost: {error_string(info.rc)}; check the network")
        return info.mid

    def serve(self, wait_s: float) -> Head | None:
        """Exchange what waits, for up to `wait_s`; the newest record up to which all are taken, None when none is new.

        Raises BrokerError, also when the broker takes nothing for `timeout_s`.
        """
        self._loop(wait_s)
        newest = None
        while self._sent and self._sent[0][0] in self._taken:
            mid, newest = self._sent.popleft()
            self._taken.discard(mid)
        now_ns = self._clock.now_ns()
        if newest is not None or not self._sent:
            self._moved_ns = now_ns
        elif now_ns - self._moved_ns > self._options.timeout_s * SECOND:
            raise BrokerError(f"{self} takes no record; look at its log and its disk")
        return newest

    def _loop(self, wait_s: float) -> None:
        code = self._client.loop(wait_s)
        if self._refused:
            raise BrokerError(
                f"{self} refuses the station: {self._refused}; check mqtt.username, its password and rights"
            )
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError(f"{self} was lost: {error_string(code)}; check the network and the broker's log")

    def close(self) -> None:
        """Leave without a will; never raises."""
        self._client.disconnect()

    # paho calls these from `loop`

    def _on_connect(self, _client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, *_: Any) -> None:
        self._answered = True
        self._refused = str(reason) if reason.is_failure else ""

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, *_: Any) -> None:
        self._taken.add(mid)


def _identify(client: Client, options: Mqtt) -> None:
    """Raises ConfigError when a key, a certificate or the password cannot be read."""
    if options.username:
        client.username_pw_set(options.username, _password(options.password_file))
    if not options.tls:
        return
    ca, certificate, key = (
        None if path is None else str(path) for path in (options.ca, options.certificate, options.private_key)
    )
    try:
        client.tls_set(ca, certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"mqtt: the certificates cannot be used: {error}; check ca, certificate and private_key"
        ) from error


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise ConfigError(f"cannot read the password in {path} ({error}); write it into its first line") from error


def _advice(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "give the authority that signed its certificate as mqtt.ca, and the host's name as it is certified"
    return "check mqtt.host and port, the network, and that the broker runs"
