"""Aravis' fake GigE Vision camera for long: 10,000 frames without a leaked buffer, 100 times killed and returned,
opened a thousand times."""

from __future__ import annotations

from edge import options
from edge.capture.gige import GigeCamera
from edge.clock import MS, SystemClock
from edge.timing import percentile
from tests.peers.aravis_camera import AravisCamera
from tests.peers.waiting import eventually
from tests.system.camera_runs import Delivery, Held, deaths, deliver
from tests.system.results import keep

FRAMES, DEATHS, RECONNECTS = 10_000, 100, 1_000
COMMAND = 'make test-system PYTEST_ARGS="-k gige_camera"'


def camera_for(peer: AravisCamera, **settings: object) -> GigeCamera:
    keys = {"kind": "gige", "name": "top", "address": peer.address, "triggered": False, **settings}
    return GigeCamera(options.GigeCamera.model_validate(keys), SystemClock())


def test_gige_camera_delivers_ten_thousand_frames_and_returns_a_hundred_times() -> None:
    with AravisCamera() as peer:
        frames = _ten_thousand(peer)
        camera = camera_for(peer, width=64, height=48, fps=200, timeout_ms=200)
        took_ns, held = deaths(camera, peer, DEATHS)
    keep("gige-camera", "The fake GigE Vision camera for long", COMMAND, _lines(frames, took_ns, held))
    assert frames.copies == 0
    _check_kept(*held)


def test_gige_camera_opens_a_thousand_times_and_leaves_nothing_behind() -> None:
    clock, took_ns, held = SystemClock(), [], []
    with AravisCamera() as peer:
        camera = camera_for(peer, width=64, height=48, fps=200)
        for number in range(RECONNECTS):
            began_ns = clock.now_ns()
            camera.open()
            assert camera.read(10.0) is not None
            camera.close()
            took_ns.append(clock.now_ns() - began_ns)
            if number in (RECONNECTS // 10, RECONNECTS - 1):
                held.append(Held.now())
    first, last = held
    rows = [
        (f"opened, read and closed {RECONNECTS} times, ms", "p50 {:.0f}, p99 {:.0f}".format(*_shares_ms(took_ns))),
        ("held after a tenth of them", str(first)),
        ("held after the last", str(last)),
    ]
    table = ["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)]
    keep("gige-reconnects", f"The fake GigE Vision camera opened {RECONNECTS:,} times", COMMAND, table)
    _check_kept(first, last)


def _check_kept(first: Held, last: Held) -> None:
    """Nothing grew but what libraries keep for themselves."""
    assert last.threads <= first.threads
    assert last.native_threads <= first.native_threads + 1
    assert last.files <= first.files + 2
    assert last.rss_mb - first.rss_mb < 20


def _ten_thousand(peer: AravisCamera) -> Delivery:
    """After the last frame every buffer comes back."""
    camera = camera_for(peer, width=640, height=480, fps=120)
    camera.open()
    frames = deliver(camera, FRAMES)
    camera._link._give_back()
    camera._link._camera.stop_acquisition()
    link = camera._link

    def outstanding() -> int:
        return len(link._memory) - sum(link._stream.get_n_buffers())

    eventually(lambda: outstanding() == 0, "every buffer came back", 2.0)
    camera.close()
    return frames


def _shares_ms(took_ns: list[int]) -> list[float]:
    return [percentile(sorted(took_ns), share) / MS for share in (0.5, 0.99)]


def _lines(frames: Delivery, took_ns: list[int], held: tuple[Held, Held]) -> list[str]:
    returned_ms = _shares_ms(took_ns)
    rows = [
        ("frames of 640 x 480 Mono8 at 120/s", f"{frames.frames} read at {frames.fps:.0f}/s, {frames.lost} lost"),
        ("buffers that did not come back", "0"),
        (
            "age when handed over, ms",
            f"p50 {frames.age_ms['p50']}, p99 {frames.age_ms['p99']}, max {frames.age_ms['max']}",
        ),
        ("copies of each frame before the eye's own", str(frames.copies)),
        ("CPU time for each frame, ms", f"{frames.cpu_ms:.2f}"),
        (
            f"killed and returned {len(took_ns)} times: first frame after, ms",
            "p50 {:.0f}, p99 {:.0f}".format(*returned_ms),
        ),
        ("held after the tenth return", str(held[0])),
        ("held after the last return", str(held[1])),
    ]
    note = "The camera is a process on the same two cores, so ages and losses hold its own lateness too."
    return ["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows), "", note]
