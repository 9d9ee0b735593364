"""The wheel holds every file of the packages, data files too, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.contracts.source_tree import PACKAGES, ROOT

METADATA = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory) -> set[str]:
    """The names in a wheel built from a copy of the tree, as `pip install` of a fresh clone would build it."""
    tree = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in METADATA:
        shutil.copy(ROOT / name, tree)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "out",
        ".",
    ]
    built = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tree / "out").glob("kenpin-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_file_of_the_packages(wheel_names):
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel_names if ".dist-info/" not in name}
    assert packed == ours


def test_the_wheel_has_the_licence_and_the_commands(wheel_names):
    endings = {name.partition(".dist-info/")[2] for name in wheel_names if ".dist-info/" in name}
    assert {"entry_points.txt", "licenses/LICENSE"} <= endings
