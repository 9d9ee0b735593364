"""A command whose libraries are not installed, or that is interrupted while it loads, ends without a traceback."""

import subprocess
import sys

import pytest

COMMANDS = {"train": "edge-train", "calibrate": "edge-calibrate", "build": "edge-compile"}


def _ends(prepare: str, name: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{prepare}\nfrom edge import entry\nsys.argv = ['command', '--help']\nentry.{name}()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_host_lacks_is_one_line(name: str) -> None:
    done = _ends("sys.modules['scipy'] = sys.modules['scipy.stats'] = None", name)
    assert done.returncode == 78
    assert done.stderr.startswith(f"{COMMANDS[name]}: scipy is not installed; ")
    assert len(done.stderr.splitlines()) == 1 and "'kenpin[host]'" in done.stderr


def test_a_lost_module_of_our_own_is_a_defect() -> None:
    done = _ends("sys.modules['edge.station'] = None", "edge")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_ctrl_c_while_it_loads_is_no_traceback() -> None:
    loading = "sys.meta_path.insert(0, type('_', (), {'find_spec': staticmethod(find)}))"
    find = "def find(name, *_):\n    if name == 'edge.cli': raise KeyboardInterrupt"
    done = _ends(f"{find}\n{loading}", "edge")
    assert done.returncode == 130 and not done.stderr


def test_nothing_is_collected_while_a_command_loads_and_again_while_it_runs() -> None:
    seen = "import gc\nfrom types import SimpleNamespace\nfrom edge import entry\n"
    say = "lambda *_: print(gc.isenabled())"
    load = f"entry.import_module = lambda _: (print(gc.isenabled()), SimpleNamespace(main={say}))[1]"
    done = _ends(seen + load, "edge")
    assert done.stdout.split() == ["False", "True"]


def test_the_way_to_ready_waits_for_no_library_that_draws_tables() -> None:
    code = "import sys, edge.cli, edge.eye.run, edge.infer.ort\nprint('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"
