"""Starts a pretraining on what there is: one process or those that torchrun started, CPU or GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from edge.errors import ConfigError
from edge.pixels import InputSpec
from training import pretrain as room
from training.computing import computing
from training.pool import Cached, Pool, cache_path, fill_cache, open_cache

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def precision_of(text: str) -> str:
    """One of PRECISIONS; "auto" is the one that is quicker here. Raises ConfigError for an unknown one."""
    precision = ("bf16" if _bf16_pays() else "32") if text == "auto" else text
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision {text!r}: use 32, bf16 or auto")
    return precision


def launch(precision: str) -> Fabric:
    """Fabric over the processes that torchrun started, or this one; a GPU for each where there are any.

    precision: one of PRECISIONS.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=here,
        num_nodes=max(1, world // here),
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
        strategy=DDPStrategy() if world > 1 else "auto",
    )
    fabric.launch()
    return fabric


def _bf16_pays() -> bool:
    """GPUs that know it, and CPUs with AMX; with AVX-512 alone no gain is sure."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(amx and amx())


def cache(fabric: Fabric, pool: Pool, spec: InputSpec, out: Path, skip: bool, tick: Callable[[], None]) -> Cached:
    """The pool's pictures from the file beside the output, which rank 0 writes where it is not there."""
    path = cache_path(pool, spec, out)
    if fabric.is_global_zero:
        fill_cache(pool, spec, path, skip, tick)
    fabric.barrier()
    return open_cache(pool, path)


def pretrain(
    cached: Cached, settings: room.Settings, out: Path, fabric: Fabric, threads: int, tell: room.Tell
) -> dict[str, Any]:
    """`training.pretrain.pretrain` on so many threads, the same every time on a CPU."""
    if fabric.device.type != "cpu":
        return room.pretrain(cached, settings, out, fabric, tell)
    with computing(threads):
        return room.pretrain(cached, settings, out, fabric, tell)
