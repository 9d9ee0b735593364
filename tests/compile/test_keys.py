"""Keys are made once, readable by their owner only, and never overwritten."""

import os

import pytest

from compile import cli
from compile.keys import make_keys, read_key, readable_by_others
from edge.bundle import key_id, load_keys
from edge.errors import ConfigError
from tests.compile.belts import run


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_the_private_key_is_readable_by_its_owner_only_whatever_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        private, public = make_keys(tmp_path / "acme")
    finally:
        os.umask(before)
    assert (private.name, private.stat().st_mode & 0o777) == ("acme.key", 0o600)
    assert (public.name, public.stat().st_mode & 0o777) == ("acme.pub", 0o644)
    assert not readable_by_others(private)
    private.chmod(0o640)
    assert readable_by_others(private)


def test_the_pair_belongs_together(tmp_path):
    private, _ = make_keys(tmp_path / "acme")
    assert key_id(read_key(private).public_key()) in load_keys(tmp_path)


def test_keygen_never_overwrites_a_key(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, cli.main, "keygen", tmp_path / "acme") == 0
    before = (tmp_path / "acme.key").read_bytes()
    assert run(monkeypatch, cli.main, "keygen", tmp_path / "acme") == 78
    assert "acme.key exists already" in capsys.readouterr().err
    assert (tmp_path / "acme.key").read_bytes() == before


def test_a_file_that_is_no_private_key_is_refused(tmp_path):
    _, public = make_keys(tmp_path / "acme")
    for path in (public, tmp_path / "none.key"):
        with pytest.raises(ConfigError, match="edge-compile keygen"):
            read_key(path)
