"""The rules of tests/conftest.py hold: in CI a skip fails with its reason, a test leaves nothing running, and one that
is run again meets nothing that was left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
    import pytest

    def test_without_peer():
        pytest.skip("no peer here")

    @pytest.mark.skip(reason="marked")
    def test_marked():
        pass

    @pytest.mark.gpu
    def test_on_gpu():
        pytest.skip("no GPU here")

    @pytest.mark.xfail(reason="known")
    def test_expected_failure():
        assert False

    def test_plain():
        pass
"""


@pytest.fixture
def project(pytester):
    shutil.copy(Path(__file__).parents[1] / "conftest.py", pytester.path / "conftest.py")
    pytester.makeini("[pytest]\nmarkers = gpu")
    return pytester


def test_in_ci_only_gpu_tests_may_skip(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    project.makepyfile(SKIPPING)
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=1, failed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*skipped in CI: *no peer here*"])


def test_elsewhere_they_skip(project, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    project.makepyfile(SKIPPING)
    project.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1, skipped=3, xfailed=1)


def test_in_ci_a_module_that_skips_itself_fails(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    project.makepyfile("import pytest\npytest.importorskip('no_such_library')\n")
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)


LEAKING = """
    import subprocess
    import threading

    import pytest

    @pytest.fixture(scope="module")
    def shared():
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        yield
        stop.set()
        thread.join()

    def test_thread():
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    def test_process():
        subprocess.Popen(["sleep", "8"], stdin=subprocess.DEVNULL)

    def test_clean(shared):
        threading.Thread(target=lambda: None).start()
"""


def test_a_test_that_leaves_something_running_fails(project):
    project.makepyfile(LEAKING)
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "-W", "ignore")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*left running: thread *", "*left running: process *"])


SHARING = """
    import pytest
    import conftest

    conftest._BUSY_S = -1.0  # every failure is one of a busy machine
    made = []


    @pytest.fixture(scope="module")
    def shared():
        made.append("")
        assert len(made) > 1, "the first time it cannot be made"
        held = ["in use"]
        yield held
        held.clear()


    def test_one(shared):
        assert shared


    def test_another(shared):
        shared.append("left by the failed run")
        made.append("")
        assert len(made) > 3 and shared == ["in use", "left by the failed run"]


    def test_a_third(shared):
        assert shared
"""


def test_a_test_that_is_run_again_meets_no_fixture_of_the_run_that_failed(project):
    project.makepyfile(SHARING)
    result = project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    assert result.stdout.str().count("where processes waited") == 2
