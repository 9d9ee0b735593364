"""The station as an OPC UA server for results and states: signed and encrypted, known certificates, known users."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from asyncua import Server, ua
from asyncua.common.callback import Callback, CallbackType, ServerItemCallback
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.uacrypto import x509
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge.clock import Clock
from edge.errors import ConfigError, PlcError
from edge.options import OpcUaPlc
from edge.plc import Refused
from edge.plc.loop_thread import LoopThread
from edge.plc.opcua_space import Space
from edge.plc.owner import is_peer
from edge.plc.seldom import Seldom
from edge.plc.table import Orders, Result, Status
from edge.plc.users import Users

log = logging.getLogger(__name__)

_Value = TypeVar("_Value")

_START_S = 30.0  # the standard address space alone is thousands of nodes
_LOGIN_S = 10.0  # a connection without an activated session for so long is closed
_SESSION_MS = 60_000
_CERTIFICATES = (".der", ".pem", ".crt", ".cer")

# The library's lines about peers would fill the log; what matters is told to the journal.
logging.getLogger("asyncua").setLevel(logging.CRITICAL)


class OpcUaLink:
    """Every call waits for the server's thread, at most `timeout_ms`; the first `connect` some seconds."""

    def __init__(self, options: OpcUaPlc, clock: Clock, refused: Refused) -> None:
        """Raises ConfigError for certificates and users that cannot be read."""
        self._options = options
        self._clock = clock
        self._tell = refused
        self._seldom = Seldom()
        self._trusted = _certificates(options.trusted_dir)
        self._users = Users(options.users)
        certificate = _certificate(options.certificate)
        self._uri = _application_uri(certificate, options.certificate)
        _check_key(options.private_key, certificate)
        self._loop: LoopThread | None = None
        self._server: _Server | None = None
        self._space: Space | None = None

    def __str__(self) -> str:
        return f"OPC UA server opc.tcp://{self._options.listen}:{self._options.port}"

    def connect(self) -> None:
        """Begin to serve, with nothing of what earlier clients wrote."""
        self.close()
        self._probe_port()
        self._loop = LoopThread("plc-opcua")
        try:
            self._loop.run(self._serve, _START_S)
        except (OSError, ua.UaError, ValueError) as error:
            self.close()
            raise PlcError(f"{self} cannot serve ({error}): it is tried again") from error
        except PlcError:
            self.close()
            raise

    def _probe_port(self) -> None:
        """Before seconds of work: may this port be had at all?"""
        try:
            with socket.create_server((self._options.listen, self._options.port)):
                pass
        except OSError as error:
            raise PlcError(
                f"{self} cannot listen ({error}): is the port taken, is the address this machine's?"
            ) from error

    async def _serve(self) -> None:
        server = _Server(self)
        self._server = server
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._options.listen}:{self._options.port}/kenpin/")
        await server.set_application_uri(self._uri)
        server.set_server_name("Kenpin")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.set_identity_tokens([ua.UserNameIdentityToken])
        await server.load_certificate(self._options.certificate)
        await server.load_private_key(self._options.private_key)
        server.limit(self._options.max_connections)
        server.subscribe_server_callback(CallbackType.PostWrite, self._after_write)
        space = Space(server)
        await space.build(writable=self._options.heartbeat_timeout_ms is not None)
        await server.start()
        self._space = space

    def publish(self, result: Result) -> None:
        space = self._serving()
        self._run(lambda: space.show(result))
        if result.sequence:
            self._run(lambda: space.announce(result, self._clock.wall_ns()))

    def heartbeat(self, status: Status) -> None:
        space = self._serving()
        self._run(lambda: space.show(status))

    def poll(self) -> Orders:
        return self._run(self._serving().orders)

    def close(self) -> None:
        """Stop serving and drop every client."""
        loop, self._loop = self._loop, None
        server, self._server, self._space = self._server, None, None
        if loop is None:
            return
        try:
            if server is not None:
                loop.run(server.end, self._options.timeout_ms / 1_000)
        except (PlcError, OSError, ua.UaError) as error:
            log.warning("%s did not end in order: %s", self, error)
        finally:
            loop.close()

    def _serving(self) -> Space:
        if self._space is None:
            raise PlcError(f"{self} does not serve: connect first")
        return self._space

    def _run(self, work: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
        loop = self._loop
        if loop is None:
            raise PlcError(f"{self} does not serve: connect first")
        try:
            return loop.run(work, self._options.timeout_ms / 1_000)
        except (PlcError, ua.UaError, OSError) as error:
            self.close()
            raise PlcError(f"{self} failed: {error}; it is started again") from error

    # --- in the server's thread ---

    def admits(self, host: str) -> bool:
        """Whether a connection from this address may stay."""
        if is_peer(host, self._options.peers):
            return True
        self.refuse(host, "tried to connect and is not one of plc.peers")
        return False

    def get_user(
        self,
        _server: InternalServer,
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,
    ) -> User | None:
        """The library asks who this is, for a session over a channel with this certificate (DER, None without)."""
        name = (username or "")[:40]
        if certificate not in self._trusted:
            self.refuse(f"OPC UA user {name!r}", "tried to log in from a client whose certificate is not trusted")
        elif not self._users.admits(name, password or "", self._clock.now_ns()):
            self.refuse(f"OPC UA user {name!r}", "was refused: unknown, wrong password, or locked for a while")
        else:
            return User(role=UserRole.User, name=name)
        return None

    async def validate(self, certificate: x509.Certificate, _client: ua.ApplicationDescription) -> None:
        """The library asks whether a client with this certificate may have a session."""
        if certificate.public_bytes(Encoding.DER) not in self._trusted:
            self.refuse(
                "an OPC UA client", "with an unknown certificate tried to connect", f": {_named(certificate)}"
            )
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async def _after_write(self, event: Callback, _service: Any) -> None:
        assert isinstance(event, ServerItemCallback)
        if not event.is_external:
            return
        for asked, status in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            if not status.is_good():
                node = asked.NodeId.to_string()[:80]
                self.refuse(f"OPC UA user {event.user.name!r}", "tried to write what it may not", f": {node}")

    def refuse(self, who: str, tried: str, detail: str = "") -> None:
        """Somebody was refused; the journal hears of it, not too often."""
        words = self._seldom.words(who, tried, self._clock.now_ns(), detail)
        if words:
            self._tell(words)


class _Server(Server):
    """The library's server with an allow-list, small limits, and no way for a client to change the address space."""

    def __init__(self, link: OpcUaLink) -> None:
        super().__init__(user_manager=link)  # type: ignore[arg-type]
        self._link = link
        self._started = False
        self.iserver.allow_remote_admin = False
        self.iserver.certificate_validator = link.validate

    def limit(self, max_connections: int) -> None:
        """Bound what clients can hold."""
        inner = self.iserver
        inner.max_connections = max_connections
        inner.max_pending_activation_seconds = _LOGIN_S
        inner.max_session_timeout_ms = _SESSION_MS
        inner.max_subscriptions = 4 * max_connections
        inner.max_pending_messages_per_connection = 50
        inner.max_monitored_item_queue_size = 1_000
        inner.max_unacked_messages_per_subscription = 1_000
        self.limits.max_message_size = 1 << 20
        self.limits.max_chunk_count = 17

    async def start(self) -> None:
        """As the library's, with connections that know the allow-list."""
        await self._setup_server_nodes()
        await self.iserver.start()
        self._started = True
        host, port = self._get_bind_socket_info()
        self.bserver = _Listener(self._link, self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()

    async def end(self) -> None:
        """Stop whatever has been started."""
        if self._started:
            await self.stop()


class _Listener(BinaryServer):
    def __init__(self, link: OpcUaLink, *rest: Any) -> None:
        super().__init__(*rest)
        self._link = link

    def _make_protocol(self) -> OPCUAProtocol:
        return _Guarded(
            self._link,
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


class _Guarded(OPCUAProtocol):
    def __init__(self, link: OpcUaLink, **rest: Any) -> None:
        super().__init__(**rest)
        self._link = link

    def connection_made(self, transport: Any) -> None:
        if self._link.admits(transport.get_extra_info("peername")[0]):
            super().connection_made(transport)
        else:
            transport.abort()


def _certificates(folder: Path) -> frozenset[bytes]:
    """Every certificate in the folder as DER. Raises ConfigError when there is none, or one cannot be read."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in _CERTIFICATES)
    if not paths:
        raise ConfigError(f"{folder} holds no certificate: put those of the OPC UA clients there (.der or .pem)")
    return frozenset(_certificate(path).public_bytes(Encoding.DER) for path in paths)


def _certificate(path: Path) -> x509.Certificate:
    try:
        data = path.read_bytes()
        is_pem = data.lstrip().startswith(b"-----")
        return x509.load_pem_x509_certificate(data) if is_pem else x509.load_der_x509_certificate(data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate {path} ({error}): give a .der or .pem file") from error


def _check_key(path: Path, certificate: x509.Certificate) -> None:
    """Raises ConfigError for a key that cannot be read or is another certificate's."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"cannot read plc.private_key {path} ({error}): give a .pem file without a password"
        ) from error
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"plc.private_key {path} does not belong to plc.certificate: give the two of one pair")


def _application_uri(certificate: x509.Certificate, path: Path) -> str:
    """The server's name for clients: it must stand in its certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError) as error:
        raise ConfigError(
            f"{path} has no URI among its alternative names: OPC UA needs one, see docs/plc.md"
        ) from error


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:80]
