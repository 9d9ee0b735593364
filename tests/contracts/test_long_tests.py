"""Tests that `make test` does not run still can be: what they import is there."""

import subprocess
import sys

from tests.contracts.source_tree import ROOT


def test_the_long_tests_are_found_by_pytest():
    words = ["-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "tests/system", "tests/soak"]
    found = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
