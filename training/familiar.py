"""A student that has seen good pictures alone: the less familiar a picture is, the worse it scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from edge.errors import ConfigError
from edge.pixels import InputSpec
from training.backbones import Start, pool
from training.pictures import Labelled
from training.probe import regression, standard
from training.student import PUBLIC, Answers, Network, doubled
from training.synthetic import add_defects

AXES = 128  # directions in which good pictures vary that are known one by one; all others count alike
LEAST = 0.1  # of a usual feature's variance: what a direction has at least, which too few good pictures do not show
PICTURES, CELLS = 400, 50_000  # that are looked at closely
PARTS = 4  # good pictures are held out in so many, to know what is usual for one that was not learnt from
FAR, FAR_CELL = 3.0, 4.0  # standard deviations beyond held-out good pictures (cells) at which a score is one half
_AT_ONCE = 32
_FLAT = 1e-6


class Distance(nn.Module):
    """How far vectors are from those of good pictures: Mahalanobis, by a covariance of `AXES` axes and a floor.

    The vectors' features are brought to unit spread; the result is the root of the mean square per feature.
    """

    usual: Tensor
    scale: Tensor
    axes: Tensor
    weights: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        count = min(AXES, size)
        self.register_buffer("usual", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("axes", torch.zeros(size, count))
        self.register_buffer("weights", torch.zeros(count))

    def learn(self, vectors: Tensor) -> None:
        """Take N x size vectors of good pictures as what is usual."""
        spread = vectors.std(0, correction=0)
        self.usual.copy_(vectors.mean(0))
        self.scale.copy_(torch.where(spread > _FLAT, 1 / spread, 0.0))
        known = (vectors - self.usual) * self.scale
        variances, axes = torch.linalg.eigh(known.T @ known / len(known))
        count = len(self.weights)
        self.axes.copy_(axes.flip(1)[:, :count])
        self.weights.copy_(1 / (variances.flip(0)[:count].clamp_min(0) + LEAST))

    def forward(self, vectors: Tensor) -> Tensor:
        """... from ... x size."""
        known = (vectors - self.usual) * self.scale
        along = known @ self.axes
        # not by Pythagoras: the difference of two large sums would lose the small one
        rest = known - along @ self.axes.T
        squares = (along.square() * self.weights).sum(-1) + rest.square().sum(-1) / LEAST
        return (squares / len(self.usual) + _FLAT).sqrt()


class Signs(nn.Module):
    """Three signs of a defect in what a backbone sees at the strides 8, 16 and 32 (so many channels each).

    How far the whole picture is (averages and maxima of the maps) from good ones, how far its cells are in the mean,
    wherever a cell lies, and what a linear probe says that tells good pictures from those with drawn defects.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.whole = Distance(2 * sum(widths))
        self.cells = Distance(sum(widths[1:]))
        self.drawn = nn.Linear(2 * sum(widths), 1)
        nn.init.zeros_(self.drawn.weight)

    def learn(self, whole: Tensor, cells: Tensor, plain: Tensor, flawed: Tensor) -> None:
        """From good pictures as a whole (N x D), cells of some (n x cells x d), and good pictures as a whole without
        and with a drawn defect."""
        self.whole.learn(whole)
        self.cells.learn(cells.flatten(0, 1))
        usual, scale = standard(plain, self.widths)
        features = ((torch.cat((plain, flawed)) - usual) * scale).numpy()
        found = regression(features, np.repeat((0, 1), (len(plain), len(flawed))), 2)
        if found is not None:
            weights, bias = (side[1:] - side[:1] for side in found)
            self.drawn.weight.copy_(weights * scale)
            self.drawn.bias.copy_(bias - (weights * scale) @ usual)

    def forward(self, fine: Tensor, coarse: Tensor, deep: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The three (B each), and how far each cell is (B x H/16 x W/16); distances as logarithms."""
        whole = pool(fine, coarse, deep)
        cells = self.cells(vectors_of(coarse, deep))
        return self.whole(whole).log(), cells.mean((1, 2)).log(), self.drawn(whole)[:, 0], cells.log()


class Familiar(Network):
    """A frozen backbone, and signs of a defect in what it sees, learnt from good pictures alone.

    Each sign is measured in standard deviations of held-out good pictures; their mean is the score. The cells'
    distances are the heat map.
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, spec: InputSpec, begin: Start = PUBLIC) -> None:
        super().__init__(begin, spec.channels)
        self.signs = Signs((self.kind.fine, self.kind.coarse, self.kind.deep))
        self.register_buffer("middle", torch.zeros(4))  # of the three signs and of the cells
        self.register_buffer("spread", torch.ones(4))
        self.requires_grad_(False)
        self.eval()

    def judge(self, seen: Tensor) -> Answers:
        """Answers for what `see` returned."""
        maps = self.maps(seen)
        whole, mean, drawn, cells = (
            (sign - middle) / spread
            for sign, middle, spread in zip(self.signs(*maps), self.middle, self.spread, strict=True)
        )
        score = (whole + mean + drawn) / 3 - FAR
        heat = doubled(cells[:, None] - FAR_CELL, maps[0])[:, 0]
        return Answers(score, heat, score, maps[-1].mean((2, 3)), score[:, None][:, :0])

    def maps(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps of the strides 8, 16 and 32."""
        fine = self.fine(seen)
        coarse = self.coarse(fine)
        return fine, coarse, self.deep(coarse)


def vectors_of(coarse: Tensor, deep: Tensor) -> Tensor:
    """What is seen of every cell: B x H/16 x W/16 x D."""
    return torch.cat((coarse, doubled(deep, coarse)), 1).permute(0, 2, 3, 1)


def refuse_scratch(begin: Start) -> None:
    """Raises ConfigError for a backbone that knows nothing yet."""
    if begin.scratch:
        raise ConfigError(
            f"{begin.backbone} knows nothing yet, and good pictures alone teach it nothing: use lite0, or "
            "--encoder with what edge-train pretrain wrote"
        )


def reads(goods: int) -> int:
    """How many ticks `learn` gives for so many good pictures."""
    return goods + 2 * min(PICTURES, goods)


@torch.no_grad()
def learn(familiar: Familiar, data: Labelled, members: Tensor, seed: int, tick: Callable[[int], None]) -> None:
    """Let `familiar` learn what is usual, from the good pictures of `members` (int64 indices into `data`).

    What is usual for a good picture is measured on those held out, whole groups where there are several. The same seed
    and pictures give the same weights. `tick` is told how many pictures were looked at.
    """
    draw = Generator().manual_seed(seed)
    goods = members[~data.bad[members]]
    goods = goods[torch.randperm(len(goods), generator=draw)]
    some = goods[:PICTURES]
    whole, cells = _looked_at(familiar, data, goods, len(some), draw, tick)
    flawed, there = _flawed(familiar, data, some, draw, tick)
    plain, others = whole[: len(some)], whole[len(some) :]
    part_of = _parts([data.pictures[index].group for index in some.tolist()])
    signs: list[list[Tensor]] = [[], [], [], []]
    for part in range(int(part_of.max()) + 1):
        rest = part_of != part
        familiar.signs.learn(torch.cat((plain[rest], others)), cells[rest], plain[rest], flawed[rest & there])
        for batch in torch.split(some[~rest], _AT_ONCE):
            told = familiar.signs(*familiar.maps(familiar.see(data.images[batch])))
            for sign, values in zip(signs, told, strict=True):
                sign.append(values.flatten())
            tick(len(batch))
    familiar.middle.copy_(torch.stack([torch.cat(sign).mean() for sign in signs]))
    familiar.spread.copy_(torch.stack([torch.cat(sign).std(correction=0).clamp_min(_FLAT) for sign in signs]))
    familiar.signs.learn(whole, cells, plain, flawed[there])


def _looked_at(
    familiar: Familiar, data: Labelled, goods: Tensor, some: int, draw: Generator, tick: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """Of all good pictures what is seen as a whole (N x D); of `some` first ones that of some cells (n x cells x D)."""
    whole: list[Tensor] = []
    cells: list[Tensor] = []
    each = math.ceil(CELLS / some)
    for start, batch in zip(range(0, len(goods), _AT_ONCE), torch.split(goods, _AT_ONCE), strict=True):
        fine, coarse, deep = familiar.maps(familiar.see(data.images[batch]))
        whole.append(pool(fine, coarse, deep))
        if start < some:
            vectors = vectors_of(coarse, deep)[: some - start].flatten(1, 2)
            cells.extend(vectors[:, torch.randperm(vectors.shape[1], generator=draw)[:each]])
        tick(len(batch))
    return torch.cat(whole), torch.stack(cells)


def _flawed(
    familiar: Familiar, data: Labelled, some: Tensor, draw: Generator, tick: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """What is seen as a whole of the pictures `some` with a defect drawn in (n x D), and in which it shows (bool n)."""
    whole, there = [], []
    for batch in torch.split(some, _AT_ONCE):
        images, flaws = add_defects(data.images[batch].float(), draw)
        whole.append(pool(*familiar.maps(familiar.see(images.round()))))
        there.append(flaws.flatten(1).any(1))
        tick(len(batch))
    return torch.cat(whole), torch.cat(there)


def _parts(groups: Sequence[str]) -> Tensor:
    """Which of `PARTS` parts each good picture is held out with: N; groups stay together where there are several."""
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        return torch.arange(len(groups)) % PARTS
    return torch.tensor([names.index(group) % PARTS for group in groups])
