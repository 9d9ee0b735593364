"""A device has one key for its life: whoever asks first makes it, nobody else may read it, nothing replaces it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.device_key import PRIVATE, PUBLIC, load_or_create, load_public
from edge.errors import ConfigError

ASK = """
import sys
from pathlib import Path
from edge.device_key import load_or_create
print(load_or_create(Path(sys.argv[1])).public_key().public_bytes_raw().hex())
"""


def test_the_key_is_made_once_and_its_public_half_checks_what_it_signs(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    signature = load_or_create(state_dir).sign(b"words")
    assert load_or_create(state_dir).sign(b"words") == signature
    load_public(state_dir / PUBLIC).verify(signature, b"words")
    assert sorted(path.name for path in state_dir.iterdir()) == [PRIVATE, PUBLIC]
    assert (state_dir / PRIVATE).stat().st_mode & 0o777 == 0o600


def test_processes_that_ask_together_get_the_same_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    asked = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = {process.communicate(timeout=60)[0] for process in asked}
    assert len(told) == 1 and len(told.pop().strip()) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == [PRIVATE, PUBLIC]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    (tmp_path / PRIVATE).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_or_create(tmp_path)


@pytest.mark.parametrize(
    "spoilt", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_told_and_not_replaced(tmp_path: Path, spoilt: bytes) -> None:
    load_or_create(tmp_path)
    (tmp_path / PRIVATE).write_bytes(spoilt)
    with pytest.raises(ConfigError, match="restore it"):
        load_or_create(tmp_path)
    assert (tmp_path / PRIVATE).read_bytes() == spoilt


def test_a_public_key_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=PUBLIC):
        load_public(tmp_path / PUBLIC)
    (tmp_path / PUBLIC).write_bytes(b"no key")
    with pytest.raises(ConfigError, match="PEM"):
        load_public(tmp_path / PUBLIC)
