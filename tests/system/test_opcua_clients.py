"""Clients of node-opcua that should not get in: each is a program of its own that takes seconds to begin."""

from __future__ import annotations

import pytest

from edge.clock import SystemClock
from edge.options import OpcUaPlc
from edge.plc.opcua import OpcUaLink
from tests.plc.opcua_client import OpcUaClient

REFUSED = {
    "a wrong password": ({"password": "a wrong password"}, "BadUserAccessDenied"),
    "an unknown user": ({"user": "eve"}, "BadUserAccessDenied"),
    "no user": ({"user": "-", "password": "-"}, "Cannot find ANONYMOUS user token policy"),
    "a stranger's certificate": ({"certificate": "stranger"}, "BadCertificateUntrusted"),
    "no encryption": ({"policy": "None", "mode": "None"}, "End point must exist"),
    "signing alone": ({"mode": "Sign"}, "Cannot find an Endpoint"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_client_of_another_make_is_refused(how: str) -> None:
    keys, words = REFUSED[how]
    client = OpcUaClient()
    client.start()
    told: list[str] = []
    link = OpcUaLink(OpcUaPlc.model_validate(client.options().model_dump()), SystemClock(), told.append)
    try:
        link.connect()
        client.begin(**keys)
        answer = client.answer(90)
        assert answer.startswith("refused") and words in answer
        assert bool(told) is words.startswith("Bad"), "what reaches the server is told"
    finally:
        link.close()
        client.stop()
