"""edge doctor tells which services of a station stay down, which systemd starts again and again, and how they ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.doctor import services
from edge.doctor.finding import Finding
from tests.doctor.test_doctor import a_station

LINE = "kenpin-line@packing-1.service"


def a_systemctl(folder: Path, monkeypatch: pytest.MonkeyPatch, *units: dict[str, str]) -> None:
    """A program of that name that says this of its units."""
    (folder / "bin").mkdir()
    told = "\n\n".join("\n".join(f"{name}={value}" for name, value in unit.items()) for unit in units)
    (folder / "bin/told").write_text(told + "\n")
    program = folder / "bin/systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/bin/asked\ncat {folder}/bin/told\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")


def a_unit(
    state: str, restarts: int = 0, code: int = 0, status: int = 0, enabled: str = "enabled"
) -> dict[str, str]:
    found = {"Id": LINE, "UnitFileState": enabled, "ActiveState": state, "NRestarts": str(restarts)}
    return found | {"ExecMainCode": str(code), "ExecMainStatus": str(status)}


@pytest.mark.parametrize(
    ("unit", "grade", "words"),
    [
        (a_unit("active"), "well", f"{LINE} runs"),
        (a_unit("active", 3), "advice", f"{LINE} runs; systemd has restarted it 3 times"),
        (a_unit("activating", 3, 1, 69), "advice", f"{LINE} is starting; systemd has restarted it 3 times"),
        (a_unit("inactive"), "advice", f"{LINE} does not run"),
        (a_unit("failed", 10, 3, 11), "wrong", "it ended by SIGSEGV, after 10 restarts by systemd"),
        (a_unit("failed", 0, 2, 99), "wrong", "it ended by signal 99"),
        (a_unit("failed", 0, 1, 78), "wrong", f"{LINE} stays down; it ended with exit code 78"),
    ],
)
def test_a_service_is_told_with_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: dict[str, str], grade: str, words: str
) -> None:
    a_systemctl(tmp_path, monkeypatch, unit)
    (found,) = services.examine(a_station(tmp_path))
    assert (found.topic, found.grade) == ("service", grade)
    assert words in found.words
    assert (tmp_path / "bin/asked").read_text().split()[2:4] == [LINE, LINE.replace("line", "eye", 1)]


def test_the_remedy_of_one_that_stays_down_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_systemctl(tmp_path, monkeypatch, a_unit("failed", 10, 3, 11))
    station = a_station(tmp_path)
    (found,) = services.examine(station)
    assert f"journalctl -u {LINE}" in found.remedy and found.remedy.endswith(f"edge setup {station.source}")


def test_what_is_not_set_up_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_systemctl(tmp_path, monkeypatch, a_unit("active", enabled="disabled"), {"Id": LINE, "UnitFileState": ""})
    assert examined(tmp_path) == []


def test_a_machine_without_systemd_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert examined(tmp_path) == []


def examined(folder: Path) -> list[Finding]:
    return list(services.examine(a_station(folder)))


def test_a_systemd_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_systemctl(tmp_path, monkeypatch)
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(services, "_PATIENCE_S", 0.2)
    (found,) = services.examine(a_station(tmp_path))
    assert found == Finding("service", "advice", "systemd gave no answer in 0.2 s", "systemctl status")
