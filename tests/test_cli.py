"""What a user meets when something is wrong: one clear message, the promised exit code, and nothing lost."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import pytest
from rich.markup import escape

from edge import trial
from edge.bundle import MAGIC, key_id
from edge.clock import SystemClock
from edge.errors import ConfigError
from tests.bundles import KEY, OTHER_KEY, a_bundle
from tests.eye.stations import DARK, Bench, EdgeProcess, bundle, draw, modbus_bench
from tests.peers import ModbusServer

TEN_MISTAKES = """
[station]
name = "no spaces allowed"
mode = "inspekt"
colour = "blue"
[[camera]]
name = "top"
kind = "webcam"
[trigger]
kind = "modbus"
host = "192.0.2.10"
input = 70000
debounce_ms = -1
[travel]
trigger_to_gate_ms = "soon"
pitch_ms = 0
[gate]
kind = "modbus"
host = "192.0.2.10"
rest = "ajar"
coil = 0
pulse_ms = 80
"""


def edge(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Exit code and output of `edge ...`; never a traceback."""
    with EdgeProcess(*arguments, cwd=cwd) as process:
        code = process.ends()
    assert "Traceback" not in process.output
    return code, process.output


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    with modbus_bench(tmp_path) as bench:
        yield bench


def test_ten_mistakes_in_a_station_file_come_in_one_report(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(TEN_MISTAKES)
    code, said = edge("run", tmp_path / "station.toml")
    assert code == 78
    for path in (
        "station.name",
        "station.mode",
        "station.colour",
        "camera.0.kind",
        "trigger.input",
        "trigger.debounce_ms",
        "travel.trigger_to_gate_ms",
        "travel.decide_before_ms",
        "travel.pitch_ms",
        "gate.rest",
    ):
        assert f"{path}:" in said, f"{path} is not named in {said}"
    assert "10 mistakes" in said
    assert "'inspect', 'shadow' or 'collect'" in said and "'folder', 'belt', 'cv', 'gst'" in said


@pytest.mark.parametrize("command", ["run", "check", "collect", "line"])
def test_a_missing_station_file_is_named(tmp_path: Path, command: str) -> None:
    more = ["--into", str(tmp_path / "set")] if command == "collect" else []
    code, said = edge(command, tmp_path / "nowhere.toml", *more)
    assert code == 78 and "nowhere.toml" in said


def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    assert edge("run", "--sideways")[0] == 2
    assert edge("run", tmp_path / "station.toml", "--for", "a while")[0] == 78


def test_a_station_without_an_installed_bundle_says_how_to_install_one(bench: Bench) -> None:
    (bench.folder / "state" / "bundles" / "cap-a" / "active").unlink()
    code, said = edge("run", bench.file)
    assert code == 65 and "edge install" in said


def tampered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def unsigned(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")


def of_a_wrong_key(path: Path) -> None:
    a_bundle(path, key=OTHER_KEY, version=9)


def a_zip_bomb(path: Path) -> None:
    inner = path.with_suffix(".zip")
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(50_000_000))
    body = inner.read_bytes()
    path.write_bytes(MAGIC + key_id(KEY.public_key()) + KEY.sign(body) + body)


@pytest.mark.parametrize("spoil", [tampered, truncated, unsigned, of_a_wrong_key, a_zip_bomb])
def test_a_bundle_that_cannot_be_trusted_is_refused_and_the_old_one_stays(bench: Bench, spoil: object) -> None:
    new = bundle(bench.folder / "new.bundle", version=2)
    spoil(new)  # type: ignore[operator]
    code, said = edge("install", new, "--station", bench.file)
    assert code == 65 and "new.bundle" in said
    code, said = edge("bundles", "--station", bench.file)
    assert code == 0 and "1" in said
    assert edge("check", bench.file)[0] == 0


def test_install_and_rollback_show_the_evidence(bench: Bench) -> None:
    code, said = edge("install", bundle(bench.folder / "new.bundle", version=2), "--station", bench.file)
    assert code == 0 and "version 2 is active" in said and "0 missed" in said
    code, said = edge("rollback", "cap-a", "--station", bench.file)
    assert code == 0 and "version 1 is active" in said


def test_check_shows_what_the_outputs_do_before_a_bundle_is_there(tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "examples" / "plc-gate.toml"
    code, said = edge("check", example, cwd=tmp_path)
    assert code == 65
    assert "time budget" in said and "rests by itself" in said.replace("\n", " ")
    assert said.rstrip().endswith("no bundle of cap-a is active: edge install X.bundle --station STATION.TOML")


def test_check_with_devices_fires_nothing(bench: Bench) -> None:
    draw(bench.folder, [DARK])
    code, said = edge("check", bench.file, "--devices")
    assert code == 0, said
    assert "would pass" in said and "gate: modbus answers" in said and "line_permit: modbus answers" in said
    assert not any(level for _, level in [*bench.gate(), *bench.permit()])


def test_devices_are_tried_before_a_bundle_is_there(bench: Bench) -> None:
    draw(bench.folder, [DARK])
    shutil.rmtree(bench.station.station.state_dir / "bundles")
    code, said = edge("check", bench.file, "--devices")
    assert code == 65 and "camera top: " in said and "gate: modbus answers" in said
    assert said.rstrip().endswith("is active: edge install X.bundle --station STATION.TOML")
    bench.file.write_text(bench.file.read_text().replace("127.0.0.1", "127.0.0.2"))
    code, said = edge("check", bench.file, "--devices")
    assert code == 69 and "gate: " in said and "edge install X.bundle" in said, "what does not answer comes last"


def test_a_camera_whose_library_is_not_there_keeps_no_gate_from_being_tried(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ConfigError("camera kind 'gst' needs gi")

    monkeypatch.setattr(trial, "_camera_answers", absent)
    said: list[str] = []
    with pytest.raises(ConfigError, match="needs gi"):
        for words in trial.try_devices(bench.station, SystemClock()):
            said.append(words)
    assert said[0] == "camera kind 'gst' needs gi" and any("gate: modbus answers" in words for words in said)


def test_check_names_the_device_that_does_not_answer(bench: Bench) -> None:
    code, said = edge("check", bench.file, "--devices")
    assert code == 69 and "not a folder" in said
    draw(bench.folder, [DARK])
    bench.file.write_text(bench.file.read_text().replace("127.0.0.1", "127.0.0.2"))
    code, said = edge("check", bench.file, "--devices")
    assert code == 69 and "gate: " in said and "check power" in said


def test_a_plc_that_answers_wrong_is_named(tmp_path: Path) -> None:
    with modbus_bench(tmp_path) as bench, ModbusServer() as broken:
        draw(tmp_path, [DARK])
        text = bench.file.read_text()
        first = text.index("port = ")
        line_end = text.index("\n", first)
        bench.file.write_text(text[:first] + f"port = {broken.port}" + text[line_end:])
        broken.misbehave("exception")
        code, said = edge("check", bench.file, "--devices")
        assert code == 69 and "gate: " in said


def test_collect_makes_a_set_that_can_be_labelled_and_resumes(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="collect", rate=40.0) as bench:
        draw(tmp_path, [DARK] * 8)
        code, said = edge("collect", bench.file, "--into", tmp_path / "set", "--lot", "monday", "--pictures", "5")
        assert code == 0 and "5 pictures stored" in said
        code, said = edge("collect", bench.file, "--into", tmp_path / "set")
        assert code == 0 and "3 pictures stored" in said and "5 were there already" in said
    rows = (tmp_path / "set" / "labels.csv").read_text().splitlines()
    assert rows[0] == "file,label,group,mask" and rows[1] == "images/top-0000.png,,monday,"
    assert len(rows) == 9


def test_collect_keeps_replayed_pictures_of_any_size(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="collect", rate=40.0) as bench:
        draw(tmp_path, [DARK] * 4)
        odd = tmp_path / "pictures" / "images" / "0002.png"
        cv2.imwrite(str(odd), cv2.resize(cv2.imread(str(odd)), (90, 70)))
        code, said = edge("collect", bench.file, "--into", tmp_path / "set")
        assert code == 0 and "4 pictures stored" in said


def test_collect_skips_a_broken_picture_and_refuses_unknown_columns(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="collect", rate=40.0) as bench:
        draw(tmp_path, [DARK] * 4)
        (tmp_path / "pictures" / "images" / "0002.png").write_bytes(b"not a picture")
        code, said = edge("collect", bench.file, "--into", tmp_path / "set")
        assert code == 0 and "3 pictures stored" in said and "1 refused" in said and "0002.png" in said
        table = tmp_path / "pictures" / "labels.csv"
        table.write_text(table.read_text().replace("label,group", "verdict,lot"))
        code, said = edge("collect", bench.file, "--into", tmp_path / "other", "--for", "500ms")
        assert code == 78 and "unknown columns ['verdict', 'lot']" in said


def test_collect_without_its_camera_ends_as_for_a_device_that_is_away(tmp_path: Path) -> None:
    camera = '[[camera]]\nname = "top"\nkind = "cv"\nsource = "nowhere.mp4"\n'
    text = f'[station]\nname = "a"\nmode = "collect"\nrun_dir = "run"\n{camera}'
    (tmp_path / "station.toml").write_text(text + '[trigger]\nkind = "camera"\ncamera = "top"\n')
    code, said = edge("collect", tmp_path / "station.toml", "--into", tmp_path / "set", "--for", "500ms")
    assert code == 69 and "nothing was recorded: camera 'top'" in said
    assert "WARN:" not in said, "OpenCV says it too, in words of its own"


def test_run_refuses_a_station_that_only_collects(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="collect") as bench:
        code, said = edge("run", bench.file)
        assert code == 78 and "edge collect" in said


def test_an_unwritable_report_is_told(bench: Bench) -> None:
    code, said = edge("run", bench.file, "--report", bench.folder / "no" / "report.json")
    assert code == 78 and "report" in said
    assert not (bench.folder / "journal").exists(), "told before the run, not after it"


def test_no_word_is_lost_from_the_help() -> None:
    from edge.cli import outbox

    assert f"the broker of {escape('[mqtt]')}," in (outbox.__doc__ or ""), "the help's markup takes it for a colour"
    assert "the broker of [mqtt]," in " ".join(edge("outbox", "--help")[1].split())


def test_the_demo_needs_nothing_and_reports(tmp_path: Path) -> None:
    code, said = edge("demo", "--parts", "12", "--report", tmp_path / "report.json", cwd=tmp_path)
    assert code == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["parts"] >= 12 and report["verdicts"]["pass"] >= 1
    assert report["gate"]["orders"] == report["parts"] and "all relays at rest" in said
