"""Whatever is asked of the panel, by whom and how: it answers as its schema says, and does nothing that the asker's
role, or a page of another site, may not have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from edge.clock import SystemClock
from edge.control import Control
from edge.panel.access import AccessNotes
from edge.panel.acts import Acts
from edge.panel.app import make_app
from edge.panel.desk import Desk
from edge.panel.options import Panel
from edge.panel.users import Users
from tests.journal.records import decided, ended, opened
from tests.panel.panels import Eye, Visitor, a_station, an_eye, keep_picture, served

pytest.importorskip("schemathesis", reason="its version is in requirements/ci.txt")

import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

CHECKS = [
    checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
    checks.negative_data_rejection,
]  # fmt: skip
FEW = settings(
    max_examples=5, deadline=None, database=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
MAY = {
    "vera": set(),
    "otto": {"acknowledge", "end_bypass", "set_lot"},
    "erna": {"acknowledge", "end_bypass", "set_lot", "bypass", "change_bundle", "start_again"},
}


@dataclass(frozen=True)
class Site:
    """A panel with all that it can have, what its schema is, and who knocks."""

    eye: Eye
    schema: Any
    visitor: Callable[[str], Visitor]

    def ask(self, visitor: Visitor, case: Case, token: bool = True) -> Any:
        """One generated request as the page would send it, or without the page's token; the answer."""
        headers = {"Cookie": visitor.cookie, "Origin": visitor.address, "X-CSRF": visitor.csrf if token else ""}
        reply = case.call(base_url=visitor.address, headers=headers, allow_redirects=False, timeout=20)
        assert reply.status_code < 500, f"{case.as_curl_command()}: {reply.status_code} {reply.text}"
        return reply

    def play(self, each: Callable[[Case], None], **which: Any) -> None:
        """Give it requests of every operation, some of them well-formed and some not."""
        for found in self.schema.exclude(**which).get_all_operations():
            operation = found.ok()
            for mode in GenerationMode if operation.body else [GenerationMode.POSITIVE]:  # any text is a path
                FEW(given(operation.as_strategy(generation_mode=mode))(lambda case: each(case)))()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    station = a_station(tmp_path)
    keep_picture(station, 0x700000001)
    journal = opened(station.journal.dir, SystemClock())
    journal.commit([decided(1), ended(1)])
    journal.close()
    settings = {"labels_dir": tmp_path / "labels", "classes": ("scratch",), "shifts": ("06:00",)}
    panel, clock = Panel(**settings), SystemClock()
    control, users = Control(station), Users(station.station.state_dir)
    app = make_app(Desk(station, panel, clock), Acts(control), users, panel, clock, AccessNotes(control, clock))
    schema = schemathesis.openapi.from_dict(app._app.openapi())  # type: ignore[attr-defined]
    with an_eye(station) as eye, served(station, **settings) as at_work:
        yield Site(eye, schema, at_work.visitor)


@pytest.mark.parametrize("name", MAY)
def test_the_answers_are_as_the_schema_says_and_a_role_does_what_it_may(site: Site, name: str) -> None:
    visitor = site.visitor(name)
    seen: set[int] = set()

    def each(case: Case) -> None:
        reply = site.ask(visitor, case)
        seen.add(reply.status_code)
        case.validate_response(reply, checks=CHECKS)

    site.play(each, path="/api/logout")  # after which the others would be asked by nobody
    visitor.post(
        "/api/change_bundle", {"product": "cap-a", "version": 2, "why": "as printable as few made-up ones"}
    )
    assert {request.ask for request in site.eye.asked} == MAY[name]
    assert visitor.get("/api/live").status == 200, "still signed in: the answers were to somebody with this role"
    assert {200, 422} < seen


def test_no_request_without_the_token_of_the_page_changes_anything(site: Site) -> None:
    erna = site.visitor("erna")

    def each(case: Case) -> None:
        reply = site.ask(erna, case, token=False)
        assert reply.status_code == 403, case.as_curl_command()
        case.validate_response(reply, checks=CHECKS[:3])

    site.play(
        each, func=lambda context: context.operation.method != "post" or context.operation.path == "/api/login"
    )
    assert site.eye.asked == []
    assert erna.get("/api/live").status == 200, "nor was she signed out"


def test_nobody_gets_anything_without_signing_in(site: Site) -> None:
    stranger = Visitor(site.visitor("vera").port)

    def each(case: Case) -> None:
        reply = site.ask(stranger, case)
        assert reply.status_code in (303, 401, 403, 422, 429), case.as_curl_command()
        case.validate_response(reply, checks=CHECKS[:3])

    site.play(each, path=["/login", "/files/{name}"])
    assert site.eye.asked == []


def test_signing_out_answers_as_the_schema_says(site: Site) -> None:
    def each(case: Case) -> None:
        reply = site.ask(site.visitor("otto"), case)
        case.validate_response(reply, checks=CHECKS)

    site.play(each, func=lambda context: context.operation.path != "/api/logout")
