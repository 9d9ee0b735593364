"""edge doctor tells how far the journal's disk is worn, and how long it lasts at the station's rate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.doctor import wear
from edge.doctor.finding import Finding, Here
from edge.errors import ControlError
from tests.doctor.test_doctor import a_station

NVME = {"nvme_smart_health_information_log": {"percentage_used": 7, "data_units_written": 19_531_250}}  # 10 TB
SATA = {
    "ata_device_statistics": {
        "pages": [
            {"number": 1, "table": [{"name": "Logical Sectors Written", "value": 3_906_250_000}]},
            {"number": 7, "table": [{"name": "Percentage Used Endurance Indicator", "value": 91}]},
        ]
    }
}


def a_disk(folder: Path, name: str, **files: str) -> Here:
    """The disk that holds the folder, as a kernel shows the second partition of `name`."""
    device = folder.stat().st_dev
    disk = folder / "root/sys/dev/block/disk"
    (disk / "part").mkdir(parents=True)
    (disk / "uevent").write_text(f"MAJOR=1\nDEVNAME={name}\nDEVTYPE=disk\n")
    (disk / "part/partition").write_text("2\n")
    for path, text in files.items():
        (disk / path.replace("__", "/")).parent.mkdir(parents=True, exist_ok=True)
        (disk / path.replace("__", "/")).write_text(text + "\n")
    (folder / f"root/sys/dev/block/{os.major(device)}:{os.minor(device)}").symlink_to(disk / "part")
    return Here(folder / "root")


def a_smartctl(folder: Path, monkeypatch: pytest.MonkeyPatch, told: object) -> None:
    """A program of that name that says this of /dev/NAME and ends as smartctl does where a bit is set."""
    (folder / "bin").mkdir()
    (folder / "bin/told.json").write_text(json.dumps(told))
    program = folder / "bin/smartctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/bin/asked\ncat {folder}/bin/told.json\nexit 4\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")


def examined(folder: Path, here: Here, endurance_tb: float = 0) -> list[Finding]:
    return list(wear.examine(folder, a_station(folder), here, endurance_tb))


@pytest.mark.parametrize(
    ("name", "told", "grade", "words"),
    [
        ("nvme0n1", NVME, "well", "/dev/nvme0n1: 7 % of its life is used, 10.0 TB were written"),
        ("sda", SATA, "advice", "/dev/sda: 91 % of its life is used, 2.0 TB were written"),
    ],
)
def test_smartctl_is_asked_of_the_whole_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: object, grade: str, words: str
) -> None:
    a_smartctl(tmp_path, monkeypatch, told)
    found = examined(tmp_path, a_disk(tmp_path, name))[0]
    assert (found.grade, found.words) == (grade, words)
    assert (tmp_path / "bin/asked").read_text().split() == ["--json", "-x", f"/dev/{name}"]


def test_where_smartctl_tells_nothing_it_is_said_how_to_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_smartctl(tmp_path, monkeypatch, {"smartctl": {"messages": [{"string": "Permission denied"}]}})
    found = examined(tmp_path, a_disk(tmp_path, "nvme0n1"))[0]
    assert (
        found.grade == "advice" and "smartmontools" in found.remedy and "smartctl -x /dev/nvme0n1" in found.remedy
    )


def test_a_disk_that_turns_and_a_virtual_one_are_not_asked(tmp_path: Path) -> None:
    assert len(examined(tmp_path, a_disk(tmp_path, "sda", queue__rotational="1"))) == 1


def test_a_partition_of_worn_flash_memory_is_told(tmp_path: Path) -> None:
    found = examined(tmp_path, a_disk(tmp_path, "mmcblk0", device__life_time="0x02 0x09"))[0]
    assert found.grade == "advice" and "90 %" in found.words and "replace it soon" in found.remedy


def test_encryption_on_a_disk_is_looked_through(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    upper = tmp_path / f"root/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    for path, text in {
        upper / "slaves/x/dev": "7:99",
        upper.with_name("7:99") / "device/life_time": "0x09",
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert examined(tmp_path, Here(tmp_path / "root"))[0].grade == "advice"


def days(folder: Path, megabytes: int) -> None:
    """Two days that are over, each with a file of records and a picture, and one that is written."""
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        (folder / "journal/pictures" / day).mkdir(parents=True)
        for path in (folder / f"journal/{day}.sqlite", folder / "journal/pictures" / day / "1_reject.jpg"):
            with path.open("wb") as file:
                file.truncate(megabytes * 1_000_000)


def test_the_growth_of_whole_days_is_held_against_the_stated_endurance(tmp_path: Path) -> None:
    days(tmp_path, 10_000)
    here = a_disk(tmp_path, "vda")
    (found,) = examined(tmp_path, here)
    assert found.grade == "well" and found.words.startswith(
        "the station writes 20.00 GB a day (the growth of 2 days"
    )
    (found,) = examined(tmp_path, here, 20)
    assert found.grade == "advice" and "the 20 TB that are left last 2.7 years" in found.words
    (found,) = examined(tmp_path, here, 200)
    assert found.grade == "well"


def test_what_is_used_up_is_no_longer_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days(tmp_path, 10_000)
    a_smartctl(tmp_path, monkeypatch, SATA)
    found = examined(tmp_path, a_disk(tmp_path, "sda"), 200)[1]
    assert found.grade == "advice" and "the 18 TB that are left" in found.words


def running(monkeypatch: pytest.MonkeyPatch, status: Any) -> None:
    monkeypatch.setattr(wear, "Control", lambda _station: SimpleNamespace(status=status))


def test_of_a_running_eye_the_kernel_has_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, files = a_disk(tmp_path, "vda"), tmp_path / "root/proc"
    (files / "77").mkdir(parents=True)
    (files / "uptime").write_text("9000.5 1\n")
    began = round((9_000.5 - 3_600) * os.sysconf("SC_CLK_TCK"))
    (files / "77/stat").write_text(f"77 (a (b) c) {' '.join(['S', *['0'] * 18, str(began), '0'])}\n")
    (files / "77/io").write_text("wchar: 5\nwrite_bytes: 500000000\n")
    running(monkeypatch, lambda: SimpleNamespace(pid=77))
    (found,) = examined(tmp_path, here)
    assert found.words.startswith("the station writes 12.00 GB a day (the kernel's count of the eye, 1.0 h)")


def test_before_the_first_day_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise ControlError("no eye")

    running(monkeypatch, refused)
    (found,) = examined(tmp_path, a_disk(tmp_path, "vda"), 20)
    assert found.grade == "well" and "not known" in found.words
