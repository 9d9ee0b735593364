"""`edge-train pretrain`: unlabelled pictures -> the weights a student's backbone begins with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightly.utils.scheduler import cosine_schedule
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn

from edge import __version__
from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from edge.pixels import InputSpec
from training.backbones import Stages, Start
from training.checkpoint import Checkpoints
from training.encoder import write_encoder
from training.fit import warm_cosine
from training.pool import Cached
from training.pretext import USUAL, Pretext
from training.results import versions, write_json
from training.views import look_at

PICTURE_PASSES = 16_000  # of a whole pretraining, where nobody says how many passes
LEAST_PASSES = 10
TEACHER = 0.99  # how much of the teacher stays at every step, at the beginning
CURVE_POINTS = 100
STATISTICS_FROM = 1024  # pictures
VERSIONS = ("torch", "timm", "lightly", "lightning-fabric", "numpy")

Tell = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to pretrain. A step looks at `batch` pictures in each of its `shards`.

    The shards are spread over the processes: 4 processes of one shard give what one process of 4 gives. `pull`: how
    far each step at full rate moves weights that began as public ones back towards them (L2-SP).
    """

    passes: int | None = None
    batch: int = 32
    shards: int = 1
    terms: tuple[tuple[str, float], ...] = tuple(USUAL.items())
    head_rate: float = 1e-3
    adapted_rate: float = 2e-4
    weight_decay: float = 0.05
    pull: float = 1e-3

    def steps(self, pictures: int) -> int:
        """The optimiser's steps for a pool of so many pictures."""
        passes = self.passes or max(LEAST_PASSES, round(PICTURE_PASSES / pictures))
        return max(1, round(passes * pictures / (self.batch * self.shards)))


@dataclass(frozen=True, slots=True)
class Settings:
    """What one pretraining needs to know besides its pictures."""

    spec: InputSpec
    recipe: Recipe
    begin: Start
    seed: int = 0
    checkpoint_s: float = 60.0
    precision: str = "32"


@dataclass(frozen=True, slots=True)
class Progress:
    """A step was done: `step` of `steps`, and the loss of each term there."""

    step: int
    steps: int
    losses: Mapping[str, float]


def pretrain(cached: Cached, settings: Settings, out: Path, fabric: Fabric, tell: Tell) -> dict[str, Any]:
    """Write encoder.safetensors and pretrain.json into `out`; returns what pretrain.json says.

    Killed and started again it goes on from its last checkpoint, to the same weights. Only rank 0 writes. Raises
    ConfigError where `out` holds another pretraining's checkpoint, or the loss is no number any more.
    """
    clock = SystemClock()
    begun = clock.now_ns()
    work = Work(settings, len(cached.images), fabric)
    checkpoints = Checkpoints(out / "checkpoint.pt", _identity(cached, settings), settings.checkpoint_s, clock)
    resumed = work.load(checkpoints.read())
    images = torch.from_numpy(np.asarray(cached.images))
    while work.step < work.steps:
        tell(work.advance(images))
        if fabric.is_global_zero:
            checkpoints.write_when_due(work.state)
    facts = _facts(cached, settings, work.steps)
    if fabric.is_global_zero:
        stages = work.finished(images)
        write_encoder(out / "encoder.safetensors", stages, settings.spec, cached.fingerprints, facts)
    seconds = round((clock.now_ns() - begun) / SECOND, 1)
    report = facts | {
        "seconds": seconds, "resumed_at_step": resumed, "processes": fabric.world_size,
        "skipped": list(cached.skipped), "curve": work.curve,
    }  # fmt: skip
    if fabric.is_global_zero:
        write_json(out / "pretrain.json", report)
        checkpoints.remove()
    fabric.barrier()
    return report


def is_there(cached: Cached, settings: Settings, out: Path) -> bool:
    """Whether `out` holds the encoder of this very pretraining. Raises ConfigError where it is another one's."""
    path = out / "pretrain.json"
    if not path.is_file():
        return False
    held = json.loads(path.read_text(encoding="utf-8"))
    facts = json.loads(json.dumps(_facts(cached, settings, settings.recipe.steps(len(cached.images)))))
    if held != held | facts or not (out / "encoder.safetensors").is_file():
        raise ConfigError(
            f"{out} holds a pretraining with other pictures, settings or versions: choose another folder with -o, "
            "or remove it"
        )
    return True


class Work:
    """A pretraining that goes on step by step; what it draws depends on seed, step and shard alone."""

    def __init__(self, settings: Settings, pictures: int, fabric: Fabric) -> None:
        self.settings = settings
        self.pictures = pictures
        self.fabric = fabric
        self.recipe = settings.recipe
        if self.recipe.shards % fabric.world_size:
            raise ConfigError(
                f"{self.recipe.shards} shards cannot be dealt to {fabric.world_size} processes: "
                "use a multiple with --shards"
            )
        self.step = 0
        self.steps = self.recipe.steps(pictures)
        self.curve: list[dict[str, float]] = []
        torch.manual_seed(settings.seed)
        stages = Stages(settings.begin, settings.spec.channels)
        self.pretext = Pretext(stages, settings.spec.channels, dict(self.recipe.terms)).to(
            memory_format=torch.channels_last
        )
        self.anchors = _anchors(stages, fabric.device)
        optimiser = _optimiser(self.pretext, self.recipe)
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.model, self.optimiser = fabric.setup(self.pretext, optimiser)
        self.model.train()
        self._sums = torch.zeros(len(self.recipe.terms), device=fabric.device)
        self._summed = 0

    def advance(self, images: Tensor) -> Progress:
        """One step of the optimiser over uint8 N x H x W x C pictures."""
        pace = warm_cosine(self.step, self.steps)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * pace
        losses = self._learn(images)
        for weight, anchor in self.anchors:
            weight.data.lerp_(anchor, self.recipe.pull * pace)
        self.pretext.teach(cosine_schedule(self.step, self.steps, TEACHER, 1.0))
        self.step += 1
        return Progress(self.step, self.steps, self._note(losses))

    def _learn(self, images: Tensor) -> Tensor:
        """The gradients of all shards of this process, then the optimiser's step; the losses of the terms."""
        self.optimiser.zero_grad()
        mine = range(self.fabric.global_rank, self.recipe.shards, self.fabric.world_size)
        noted = torch.zeros_like(self._sums)
        for shard in mine:
            last = shard == mine[-1]
            with self.fabric.no_backward_sync(self.model, enabled=not last):
                losses = self.model(self._look(images, shard))
                total = sum(weight * losses[name] for name, weight in self.recipe.terms)
                self.fabric.backward(total / len(mine))
            noted += torch.stack([losses[name].detach() for name, _ in self.recipe.terms]) / len(mine)
        self.fabric.clip_gradients(self.model, self.optimiser, max_norm=1.0)
        self.optimiser.step()
        return noted

    def _look(self, images: Tensor, shard: int) -> Any:
        draw = Generator(self.fabric.device).manual_seed(_seed(self.settings.seed, self.step, shard))
        chosen = _dealt(self.pictures, self.recipe, self.settings.seed, self.step, shard)
        return look_at(images[chosen].to(self.fabric.device), self.pretext.wanted(), draw)

    def _note(self, losses: Tensor) -> dict[str, float]:
        """Add to the curve; a hundred points of it over the whole pretraining."""
        self._sums += losses
        self._summed += 1
        names = [name for name, _ in self.recipe.terms]
        told = dict(zip(names, losses.tolist(), strict=True))
        if not all(np.isfinite(loss) for loss in told.values()):
            raise ConfigError(f"step {self.step}: a loss is no number ({told}); pretrain with --precision 32")
        if self.step * CURVE_POINTS // self.steps > (self.step - 1) * CURVE_POINTS // self.steps:
            mean = self.fabric.all_reduce(self._sums / self._summed, reduce_op="mean")
            assert isinstance(mean, Tensor)
            self.curve.append(
                {"step": self.step} | dict(zip(names, [round(x, 5) for x in mean.tolist()], strict=True))
            )
            self._sums.zero_()
            self._summed = 0
        return told

    def state(self) -> dict[str, Any]:
        """All that another process needs to go on."""
        return {
            "step": self.step, "curve": self.curve, "sums": self._sums, "summed": self._summed,
            "pretext": self.pretext.state_dict(), "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip

    def load(self, state: Mapping[str, Any] | None) -> int:
        """Go on from what `state` gave; the step it was at, 0 without one."""
        if state is not None:
            self.step, self.curve, self._summed = state["step"], state["curve"], state["summed"]
            self._sums.copy_(state["sums"])
            self.pretext.load_state_dict(state["pretext"])
            self.optimiser.load_state_dict(state["optimiser"])
        return self.step

    def finished(self, images: Tensor) -> Stages:
        """The encoder; batch norms from scratch take their statistics again, from pictures without masks."""
        stages = self.pretext.stages
        norms = [module for module in stages.modules() if isinstance(module, nn.BatchNorm2d)]
        if stages.begin.scratch:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the mean over all batches
            stages.train()
            with torch.no_grad():
                for batch in _spread(len(images), self.recipe.batch):
                    stages.climb(stages.see(images[batch].to(self.fabric.device)))
        return stages.eval()


def _spread(pictures: int, batch: int) -> tuple[Tensor, ...]:
    """Pictures from all over the pool, in batches that are about equal: a short last one would count as much."""
    count = min(pictures, STATISTICS_FROM)
    chosen = torch.linspace(0, pictures - 1, count).round().long()
    return chosen.tensor_split(max(1, count // batch))


def _anchors(stages: Stages, device: torch.device) -> list[tuple[nn.Parameter, Tensor]]:
    """The weights that began as given ones and what they were: those are held near."""
    if stages.begin.scratch:
        return []
    return [(weight, weight.detach().clone().to(device)) for weight in stages.parameters() if weight.requires_grad]


def _optimiser(pretext: Pretext, recipe: Recipe) -> torch.optim.Optimizer:
    """Given weights learn slower and are pulled back instead of decaying; biases and batch norms do not decay."""
    given = set() if pretext.stages.begin.scratch else {id(weight) for weight in pretext.stages.parameters()}
    trained = [weight for weight in pretext.parameters() if weight.requires_grad]
    kinds = (
        ([weight for weight in trained if id(weight) in given], recipe.adapted_rate, 0.0),
        ([weight for weight in trained if id(weight) not in given and weight.ndim > 1], recipe.head_rate,
         recipe.weight_decay),
        ([weight for weight in trained if id(weight) not in given and weight.ndim <= 1], recipe.head_rate, 0.0),
    )  # fmt: skip
    groups = [{"params": weights, "lr": lr, "weight_decay": decay} for weights, lr, decay in kinds if weights]
    return torch.optim.AdamW(groups, foreach=True)


def _seed(*numbers: int) -> int:
    told = hashlib.blake2b(repr(numbers).encode(), digest_size=7)
    return int.from_bytes(told.digest(), "big")


def _dealt(pictures: int, recipe: Recipe, seed: int, step: int, shard: int) -> Tensor:
    """Which pictures a shard looks at: every pass deals all of them, in another order."""
    first = (step * recipe.shards + shard) * recipe.batch
    places = range(first, first + recipe.batch)
    return torch.tensor([order[place % pictures] for place, order in _orders(pictures, seed, places)])


def _orders(pictures: int, seed: int, places: range) -> Iterator[tuple[int, list[int]]]:
    known: dict[int, list[int]] = {}
    for place in places:
        turn = place // pictures
        if turn not in known:
            draw = Generator().manual_seed(_seed(seed, turn))
            known[turn] = torch.randperm(pictures, generator=draw).tolist()
        yield place, known[turn]


def _facts(cached: Cached, settings: Settings, steps: int) -> dict[str, Any]:
    """What is told with the weights: no times, so that the same pretraining gives the same file."""
    return {
        "kenpin": __version__,
        "versions": versions(*VERSIONS),
        "begin": settings.begin.to_dict(),
        "seed": settings.seed,
        "precision": settings.precision,
        "input": settings.spec.to_dict(),
        "recipe": asdict(settings.recipe) | {"terms": dict(settings.recipe.terms), "steps": steps},
        "pictures": len(cached.images),
        "pool": hashlib.sha256("\n".join(sorted(cached.fingerprints)).encode()).hexdigest(),
    }


def _identity(cached: Cached, settings: Settings) -> str:
    """The same for pretrainings that would give the same weights."""
    facts = _facts(cached, settings, settings.recipe.steps(len(cached.images)))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
