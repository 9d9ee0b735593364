"""The OPC UA server to clients of another make: encrypted, known, and in the words of OPC 40100-1."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from edge.clock import SystemClock
from edge.errors import ConfigError
from edge.options import OpcUaPlc
from edge.plc.table import Orders, Packml, Result
from edge.plc.vision import AutomaticState, ReadyResult, VisionState, browse_name, ready_result, states
from tests.peers.node import node_folder
from tests.plc.golden import RESULT, STATUS
from tests.plc.opcua_client import PASSWORD, USER, OpcUaClient, write_certificate

pytest.importorskip("asyncua", reason="pip install 'kenpin[plc]'")
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from edge.plc.opcua import OpcUaLink
from edge.plc.opcua_space import NAMESPACE


class Server:
    """The link as an observer's server, what it told of refusals, and a client's files."""

    def __init__(self) -> None:
        self.client = OpcUaClient()
        self.client.start()
        self.told: list[str] = []
        options = self.client.options()
        self.options = OpcUaPlc.model_validate(
            options.model_dump() | {"heartbeat_timeout_ms": None, "peers": ["127.0.0.1/32"]}
        )
        self.link = OpcUaLink(self.options, SystemClock(), self.told.append)
        self.link.connect()

    def close(self) -> None:
        self.link.close()
        self.client.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_results_and_states_reach_a_client_of_another_make(server: Server) -> None:
    client = server.client
    try:
        assert client.log_in() == "connected"
        server.link.heartbeat(STATUS)
        assert client.read("VisionStateMachine", "CurrentState", "Number") == ["Operational", 4]
        assert client.read("AutomaticMode", "CurrentState", "Number") == ["ContinuousExecution", 8]
        server.link.heartbeat(replace(STATUS, state=int(Packml.ABORTED)))
        assert client.read("VisionStateMachine", "CurrentState", "Number") == ["Error", 3]
        assert client.read("AutomaticMode", "Number") == [0]
        server.link.publish(RESULT)
        server.link.publish(replace(RESULT, part_number=5, verdict=3, reason=3, flags=0, score=0xFFFF))
        first, second = (json.loads(client.events.get(timeout=20)) for _ in range(2))
        assert first["SourceName"] == "VisionSystem"
        part = f"{RESULT.part_session}-{RESULT.part_number}"
        assert first["PartId"] == first["JobId"] == part
        assert (first["IsPartial"], first["IsSimulated"], first["ResultState"]) == (False, True, 1)
        assert (first["Verdict"], first["Outcome"], first["Reason"]) == ("REJECT", "FIRED", "DEFECT")
        assert first["Score"] == 0.98 and first["CreationTime"].startswith("20")
        assert (second["ResultState"], second["IsSimulated"], second["Score"]) == (4, False, -1)
        # an observer's server has nothing to write
        for group, name, kind in (("Orders", "recipe", "UInt16"), ("Status", "parts", "UInt32")):
            assert client.ask(f"write {group} {name} {kind} 1") == "BadUserAccessDenied"
        assert server.link.poll() == Orders()
        assert any(f"user '{USER}' tried to write what it may not" in words for words in server.told)
    finally:
        client.leave()


def attempt(server: Server, certificate: str = "client", user: str = USER, password: str = PASSWORD) -> object:
    """A session with these, by the library's own client; its error, or None."""

    async def try_it() -> object:
        client = Client(f"opc.tcp://127.0.0.1:{server.client.port}/kenpin/", timeout=10)
        client.application_uri = f"urn:kenpin:{certificate}"
        folder = server.client.folder
        files = (folder / f"{certificate}.pem", folder / f"{certificate}.key.pem")
        await client.set_security(SecurityPolicyBasic256Sha256, *files, server_certificate=folder / "server.pem")
        if user:
            client.set_user(user)
            client.set_password(password)
        try:
            async with client:
                return None
        except ua.UaError as error:
            return error

    return asyncio.run(try_it())


def test_whoever_is_not_known_is_refused(server: Server) -> None:
    assert attempt(server) is None
    assert isinstance(attempt(server, password="a wrong password"), ua.uaerrors.BadUserAccessDenied)
    assert isinstance(attempt(server, user="eve"), ua.uaerrors.BadUserAccessDenied)
    assert isinstance(attempt(server, user=""), ua.uaerrors.BadIdentityTokenRejected)
    assert isinstance(attempt(server, certificate="stranger"), ua.uaerrors.BadCertificateUntrusted)
    told = " | ".join(server.told)
    assert f"user '{USER}' was refused" in told and "user 'eve' was refused" in told
    assert "unknown certificate tried to connect: CN=kenpin stranger" in told


def test_nothing_but_encrypted_sessions_of_known_users_is_offered(server: Server) -> None:
    client = Client(f"opc.tcp://127.0.0.1:{server.client.port}/kenpin/", timeout=5)
    endpoints = asyncio.run(client.connect_and_get_server_endpoints())
    offered = [(endpoint.SecurityPolicyUri.partition("#")[2], endpoint.SecurityMode) for endpoint in endpoints]
    assert offered == [("Basic256Sha256", ua.MessageSecurityMode.SignAndEncrypt)]
    assert [token.TokenType for token in endpoints[0].UserIdentityTokens] == [ua.UserTokenType.UserName]


def test_the_right_password_over_an_open_channel_is_refused(server: Server) -> None:
    """A client that ignores the server's list of endpoints, and asks for a session without any encryption."""

    async def try_it() -> ua.StatusCode | None:
        client = Client(f"opc.tcp://127.0.0.1:{server.client.port}/kenpin/", timeout=5)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            created = ua.CreateSessionParameters()
            created.EndpointUrl = client.server_url.geturl()
            created.SessionName = "bold"
            created.RequestedSessionTimeout = 60_000
            await client.uaclient.create_session(created)
            token = ua.UserNameIdentityToken()
            token.PolicyId, token.UserName, token.Password = "username", USER, PASSWORD.encode()
            activated = ua.ActivateSessionParameters()
            activated.UserIdentityToken = token
            await client.uaclient.activate_session(activated)
        except ua.UaError as error:
            return error
        finally:
            client.disconnect_socket()
        return None

    refused = asyncio.run(try_it())
    assert isinstance(refused, ua.uaerrors.BadUserAccessDenied), refused
    assert any("certificate is not trusted" in words for words in server.told)


def test_nothing_can_be_read_without_a_session(server: Server) -> None:
    async def try_it() -> object:
        client = Client(f"opc.tcp://127.0.0.1:{server.client.port}/kenpin/", timeout=5)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            return await client.get_node(ua.NodeId(ua.ObjectIds.Server_NamespaceArray)).read_value()
        except (ua.UaError, ConnectionError, asyncio.TimeoutError) as error:
            return error
        finally:
            client.disconnect_socket()

    assert isinstance(asyncio.run(try_it()), Exception)


def test_noise_and_parked_connections_do_not_stop_it(server: Server) -> None:
    address = ("127.0.0.1", server.client.port)
    parked = [socket.create_connection(address, 2) for _ in range(server.options.max_connections + 4)]
    try:
        for number, connection in enumerate(parked):
            with suppress(OSError):
                connection.sendall(bytes([number]) * 64 if number % 2 else b"HELF\xff\xff\xff\x7f")
        time.sleep(0.2)
        server.link.heartbeat(STATUS)
        assert server.link.poll() == Orders()
    finally:
        for connection in parked:
            connection.close()


def test_a_stranger_s_address_cannot_connect(server: Server) -> None:
    with socket.create_connection(
        ("127.0.0.1", server.client.port), 2, source_address=("127.0.0.9", 0)
    ) as stranger:
        stranger.settimeout(5)
        with suppress(ConnectionError):
            assert stranger.recv(1) == b""
    assert "127.0.0.9 tried to connect and is not one of plc.peers" in server.told


# --- files --------------------------------------------------------------------------------------------------------


def _options(server: Server, **keys: object) -> OpcUaPlc:
    return OpcUaPlc.model_validate(server.options.model_dump() | keys)


def test_missing_files_say_what_to_do(server: Server, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pem").write_text("no certificate")
    for keys, words in (
        ({"trusted_dir": tmp_path / "empty"}, "holds no certificate"),
        ({"trusted_dir": tmp_path / "nowhere"}, "holds no certificate"),
        ({"certificate": tmp_path / "nowhere.pem"}, "cannot read the certificate"),
        ({"certificate": tmp_path / "text.pem"}, "cannot read the certificate"),
        ({"users": tmp_path / "nowhere"}, "python -m edge.plc.users"),
    ):
        with pytest.raises(ConfigError, match=words):
            OpcUaLink(_options(server, **keys), SystemClock(), lambda words: None)


def test_a_key_that_is_not_the_certificate_s_is_told(server: Server, tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_certificate(tmp_path, "other")
    (tmp_path / "broken.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    for key in (tmp_path / "broken.pem", tmp_path / "other.key.pem"):
        with pytest.raises(ConfigError, match="private_key"):
            OpcUaLink(_options(server, private_key=key), SystemClock(), lambda words: None)


# --- words --------------------------------------------------------------------------------------------------------


def test_every_packml_state_has_its_place() -> None:
    assert states(0) == (VisionState.PREOPERATIONAL, None)
    for state in Packml:
        vision, automatic = states(state)
        assert (automatic is not None) is (vision is VisionState.OPERATIONAL)


def test_a_part_is_named_by_its_session_and_number() -> None:
    ready = ready_result(Result(7, 0, 3, 9, 1, 2, 0, 15, 2, 0, 7))
    assert ready == ReadyResult(
        "3-9-7", "3-9", "3-9", False, False, ready.result_state, "2", "PASS", "RELEASED", "NONE", 0.015
    )


def test_the_words_are_those_of_the_companion_specification() -> None:
    """The official node set, as it comes with a client of another make."""
    folder = node_folder("plc-opcua") / "node_modules" / "node-opcua-nodesets" / "nodesets"
    root = ElementTree.parse(folder / "Opc.Ua.MachineVision.NodeSet2.xml").getroot()
    space = {"ua": "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"}
    names = {node.get("NodeId"): (node.get("BrowseName") or "").partition(":")[2] for node in root}
    numbers: dict[str, int] = {}
    for node in root.iter(f"{{{space['ua']}}}UAVariable"):
        if (node.get("BrowseName") or "").endswith("StateNumber"):
            text = "".join(value.text or "" for value in node.find("ua:Value", space) or ())
            numbers[names[node.get("ParentNodeId")]] = int(text)
    ours = {browse_name(state): int(state) for kind in (VisionState, AutomaticState) for state in kind}
    assert ours.items() <= numbers.items()
    event = next(node for node in root if (node.get("BrowseName") or "").endswith(":ResultReadyEventType"))
    properties = {names[node.get("NodeId")] for node in root if node.get("ParentNodeId") == event.get("NodeId")}
    shared = {
        "ResultId",
        "JobId",
        "PartId",
        "IsPartial",
        "IsSimulated",
        "ResultState",
        "InternalRecipeId",
        "CreationTime",
    }
    assert shared <= properties
    assert {"VisionStateMachineType", "VisionAutomaticModeStateMachineType", "ResultDataType"} <= set(
        names.values()
    )


def test_our_nodes_do_not_pose_as_the_companion_specification_s() -> None:
    assert re.match(r"urn:kenpin:", NAMESPACE)
