"""TensorRT's engine on a simulated GPU: what is built, kept, refused and freed. No test here has run on a GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import options
from edge.errors import ConfigError, EngineError
from edge.infer import TABLE, Engine
from edge.infer.engine_cache import KEPT, EngineCache
from edge.kinds import find
from tests.infer.simulated_gpu import Machine, simulated
from tests.infer.students import student

ORIGIN = {"model": "a", "gpu": "b"}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with simulated(Machine()) as made:
        yield made


def engine_of(folder: Path) -> Engine:
    made: Engine = find(TABLE, "trt", "engine")(options.TrtEngine(kind="trt", engines_dir=folder))
    return made


def test_an_engine_is_built_once_and_only_when_it_is_prepared(machine: Machine, tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    with pytest.raises(EngineError, match="no engine of this model was built for Simulated GPU"):
        engine.load(student())
    engine.prepare(student())
    engine.prepare(student())
    engine.load(student())
    assert machine.builds == 1
    engine.close()


@pytest.mark.parametrize("change", [{"name": "Another GPU"}, {"driver": 13_000}])
def test_another_gpu_or_driver_takes_an_engine_of_its_own(
    machine: Machine, tmp_path: Path, change: dict[str, object]
) -> None:
    engine_of(tmp_path).prepare(student())
    with simulated(Machine(**change)):  # type: ignore[arg-type]
        engine = engine_of(tmp_path)
        with pytest.raises(EngineError, match="run `edge install`"):
            engine.load(student())


@pytest.mark.parametrize("integrated", [False, True])
def test_everything_is_freed_and_only_a_gpu_with_its_own_memory_copies(integrated: bool, tmp_path: Path) -> None:
    with simulated(Machine(integrated=integrated)) as machine:
        engine = engine_of(tmp_path)
        engine.prepare(student())
        for _ in range(3):
            engine.load(student())
            engine.input[...] = 51
            before = machine.copies
            assert engine.infer().score == pytest.approx(0.2, abs=1e-4)
            assert machine.copies - before == (0 if integrated else 4)
        engine.close()
        assert not machine.held


def test_a_gpu_that_fails_is_an_error_at_every_picture_and_frees_what_it_can(
    machine: Machine, tmp_path: Path
) -> None:
    engine = engine_of(tmp_path)
    engine.prepare(student())
    engine.load(student())
    machine.fails = True
    for _ in range(2):
        with pytest.raises(EngineError, match="cudaErrorIllegalAddress"):
            engine.infer()
    engine.close()


def test_without_a_gpu_it_says_what_to_look_at(tmp_path: Path) -> None:
    with simulated(Machine(count=0)), pytest.raises(EngineError, match="no NVIDIA GPU that can be used here"):
        engine_of(tmp_path).prepare(student())


def test_without_its_libraries_it_names_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda", "tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("edge.gpu", "edge.infer.trt"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ConfigError, match=r"kenpin\[tensorrt\]"):
        find(TABLE, "trt", "engine")


def test_a_model_that_is_none_is_refused_before_anything_is_built(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="loading the model failed"):
        engine_of(tmp_path).prepare(b"garbage")
    assert machine.builds == 0


# --- the cache ---


def test_what_was_kept_is_found_by_what_it_was_built_from(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    assert cache.find(ORIGIN) is None
    cache.keep(ORIGIN, b"engine")
    assert EngineCache(tmp_path / "engines").find(dict(reversed(ORIGIN.items()))) == b"engine"
    assert cache.find(ORIGIN | {"gpu": "c"}) is None
    assert (tmp_path / "engines" / "engines.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("harm", ["a bit", "cut", "of another model", "another device's key"])
def test_an_engine_that_was_changed_or_brought_along_counts_as_absent(tmp_path: Path, harm: str) -> None:
    cache = EngineCache(tmp_path)
    cache.keep(ORIGIN, b"engine" * 100)
    (path,) = tmp_path.glob("*.engine")
    data = path.read_bytes()
    if harm == "a bit":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "cut":
        path.write_bytes(data[:20])
    elif harm == "of another model":
        cache.keep(ORIGIN | {"model": "z"}, b"other")
        (other,) = set(tmp_path.glob("*.engine")) - {path}
        path.write_bytes(other.read_bytes())
    else:
        (tmp_path / "engines.key").write_bytes(bytes(32))
    assert cache.find(ORIGIN) is None


def test_the_oldest_engines_give_way(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    for number in range(KEPT + 3):
        cache.keep(ORIGIN | {"model": str(number)}, b"engine")
    assert len(list(tmp_path.glob("*.engine"))) == KEPT
    assert cache.find(ORIGIN | {"model": str(KEPT + 2)}) == b"engine"


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot keep an engine"):
        EngineCache(tmp_path / "file").keep(ORIGIN, b"engine")
