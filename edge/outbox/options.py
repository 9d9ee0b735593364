"""[mqtt]: the broker that gets the records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge.section import Options, Port, of_letters


class Mqtt(Options):
    """[mqtt]: the broker to which `edge outbox` sends every record, and how it proves who it is.

    Connections are TLS, with the system's authorities or those in `ca`; `tls = false` sends readable text, passwords
    included. `password_file` holds the password in its first line, so that the station file need not be secret.
    Topics begin with `topic` and the station's name. The station's state is told every `status_every_s`.
    """

    host: str = Field(min_length=1)
    port: Port = 8_883
    tls: bool = True
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    username: str = ""
    password_file: Path | None = None
    topic: Annotated[str, of_letters("[A-Za-z0-9_./-]{1,100}", "up to 100 letters, digits, and _ . / -")] = "kenpin"
    status_every_s: float = Field(default=10.0, ge=1, le=3_600)
    timeout_s: float = Field(default=10.0, ge=1, le=120)

    def mistakes(self) -> list[str]:
        """What does not go together."""
        found = []
        if (self.certificate is None) is not (self.private_key is None):
            found.append("mqtt: certificate and private_key go together; give both or neither")
        if not self.tls and (self.ca or self.certificate):
            found.append("mqtt: ca, certificate and private_key need tls = true")
        if self.password_file is not None and not self.username:
            found.append("mqtt.password_file: a password needs a username")
        return found
