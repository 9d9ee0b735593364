"""A client of node-opcua as the PLC's side of the OPC UA link, with its certificates and users."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import astuple
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge import options
from edge.plc.table import Orders, Result, Status, words
from edge.plc.users import line_for
from tests.peers.node import node_folder, node_peer
from tests.peers.plcs import Peer, _parsed, free_port

USER, PASSWORD = "mes", "correct horse battery"
_TYPES = {1: "UInt16", 2: "UInt32"}


def write_certificate(folder: Path, name: str) -> None:
    """`name`.pem and `name`.key.pem: self-signed, for urn:kenpin:`name`."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"kenpin {name}")])
    now = datetime.now(timezone.utc)
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(f"urn:kenpin:{name}"), x509.DNSName("localhost")]
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(names, critical=False)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key.pem").write_bytes(private)


def write_security(folder: Path) -> None:
    """Everything that an [plc] section of kind "opcua" names, and a stranger's certificate beside it."""
    for name in ("server", "client", "stranger"):
        write_certificate(folder, name)
    (folder / "trusted").mkdir()
    shutil.copy(folder / "client.pem", folder / "trusted")
    (folder / "users").write_text(f"# users\n{line_for(USER, PASSWORD)}\n")


def section(folder: Path, port: int) -> dict[str, object]:
    return {
        "kind": "opcua",
        "port": port,
        "certificate": folder / "server.pem",
        "private_key": folder / "server.key.pem",
        "trusted_dir": folder / "trusted",
        "users": folder / "users",
    }


class OpcUaClient(Peer):
    """Its memory is the server's: it reads the words one by one as variables."""

    port = 0

    def start(self) -> None:
        self.port = self.port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="kenpin-opcua-"))
        write_security(self.folder)
        node_folder("plc-opcua")

    def arrive(self) -> None:
        assert self.log_in() == "connected"

    def leave(self) -> None:
        super().stop()

    def log_in(self) -> str:
        """Connect as one should; the client's first words."""
        self.begin()
        return self.answer(60)

    def begin(
        self,
        certificate: str = "client",
        user: str = USER,
        password: str = PASSWORD,
        policy: str = "Basic256Sha256",
        mode: str = "SignAndEncrypt",
    ) -> None:
        """Begin to connect."""
        files = (f"{certificate}.pem", f"{certificate}.key.pem", "pki")
        arguments = [str(self.folder / name) for name in files] + [policy, mode, user, password]
        endpoint = f"opc.tcp://127.0.0.1:{self.port}/kenpin/"
        super().start([*node_peer("plc-opcua", "client.js"), endpoint, *arguments])

    def options(self, **keys: object) -> options.PlcOptions:
        given = section(self.folder, self.port) | {"heartbeat_timeout_ms": 5_000, "timeout_ms": 5_000}
        return options.OpcUaPlc.model_validate(given | keys)

    def read(self, group: str, *names: str) -> list[object]:
        found: list[object] = json.loads(self.ask(f"read {group} {' '.join(names)}"))
        return found

    def memory(self) -> dict[type, str]:
        found: dict[type, str] = {}
        for kind in (Status, Result):
            values = self.read(kind.__name__, *(word.name for word in words(kind)))
            cells = [f"{value:0{4 * word.registers}x}" for value, word in zip(values, words(kind), strict=True)]
            found[kind] = " ".join(cell[at : at + 4] for cell in cells for at in range(0, len(cell), 4))
        return found

    def status(self) -> Status:
        return _parsed(Status, self.memory()[Status])  # type: ignore[no-any-return]

    def result(self) -> Result:
        return _parsed(Result, self.memory()[Result])  # type: ignore[no-any-return]

    def write(self, orders: Orders) -> None:
        for word, value in zip(words(Orders), astuple(orders), strict=True):
            assert self.ask(f"write Orders {word.name} {_TYPES[word.registers]} {value}") == "Good"

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.folder, ignore_errors=True)
