"""Every fault of docs/faults.md is there once, and every test that it names exists."""

from __future__ import annotations

import re

from tests.contracts.source_tree import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \|(.+)\|$", PAGE, re.MULTILINE)
COUNT = 55


def test_all_faults_stand_in_the_table_in_order():
    assert [int(number) for number, _ in ROWS] == list(range(1, COUNT + 1))


def test_each_row_names_tests_that_exist():
    for number, row in ROWS:
        *_, shown = (cell.strip() for cell in row.split(" | "))
        for name in re.findall(r"`([^`]+)`", shown):
            path, _, test = name.partition("::")
            file = ROOT / "tests" / path
            assert file.is_file(), f"fault {number}: {name}"
            assert not test or re.search(rf"def {test}\b", file.read_text(encoding="utf-8")), (
                f"fault {number}: {name}"
            )


def test_what_is_not_shown_is_said():
    bare = [number for number, row in ROWS if row.rstrip().endswith("| none")]
    assert not bare, "a fault without a test: write one, or say here that it is not built"
