"""What teaches an encoder without labels: to fill masks, know views again, whole and by cells, and find flaws."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everybody knows

from training.backbones import Stages
from training.fit import pixel_loss
from training.reconstruction import SCALES, reconstruction
from training.views import Look, Wanted

TERMS: Mapping[str, float] = {"mask": 1.0, "contrast": 0.5, "dense": 0.25, "synthetic": 0.5}
USUAL: Mapping[str, float] = {
    name: weight for name, weight in TERMS.items() if name != "synthetic"
}  # docs/learning.md
WIDTH = 64  # channels of the decoder
HIDDEN, CODE = 512, 128  # of the heads that compare views
RARE = -4.6  # a cell's logit before training: 1 % are flaws


class Pretext(nn.Module):
    """An encoder with the decoder and the heads of the `terms` (name -> weight) that are on."""

    def __init__(self, stages: Stages, channels: int, terms: Mapping[str, float]) -> None:
        super().__init__()
        self.terms = dict(terms)
        self.stages = stages
        kind = stages.kind
        drawn = "mask" in terms or "synthetic" in terms
        self.decoder = Decoder(kind.early, kind.fine, kind.coarse) if drawn else None
        self.fill = Fill(channels) if "mask" in terms else None
        self.flaw = nn.Conv2d(WIDTH, 1, 1) if "synthetic" in terms else None
        if self.flaw is not None and self.flaw.bias is not None:
            nn.init.constant_(self.flaw.bias, RARE)
        self.whole = Compared(kind.climbed[-1]) if "contrast" in terms else None
        self.cells = Compared(kind.fine + kind.coarse) if "dense" in terms else None
        compared = self.whole is not None or self.cells is not None
        self.teacher = copy.deepcopy(stages) if compared else None
        if self.teacher is not None:
            deactivate_requires_grad(self.teacher)

    def wanted(self) -> Wanted:
        """What a look must hold."""
        return Wanted(self.fill is not None, self.teacher is not None, self.flaw is not None)

    def forward(self, look: Look) -> dict[str, Tensor]:
        """The loss of each term over the look's pictures, unweighted."""
        online = [images for images in (look.plain, look.one, look.flawed) if images is not None]
        features = self._encode(torch.cat(online), look.keep)
        parts = iter(zip(*(torch.split(level, len(online[0])) for level in features), strict=True))
        losses = {}
        if self.fill is not None and self.decoder is not None:
            assert look.plain is not None and look.keep is not None
            losses["mask"] = reconstruction(self.fill(self.decoder(*next(parts))), look.plain, look.keep)
        if self.teacher is not None:
            losses |= self._compare(next(parts), look)
        if self.flaw is not None and self.decoder is not None:
            assert look.flaws is not None
            heat = self.flaw(self.decoder(*next(parts))[0])[:, 0]
            cells = F.max_pool2d(look.flaws.float()[:, None], 4)[:, 0]
            losses["synthetic"] = pixel_loss(heat.float(), cells)
        return losses

    def _encode(self, images: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The features to stride 16; the first pictures are masked by `keep`, again after every stage.

        Without that, what a convolution sees past a cell's border would tell what is behind the mask.
        """
        masks = None
        if keep is not None:
            masks = torch.ones((len(images), *keep.shape[1:]), device=keep.device)
            masks[: len(keep)] = keep
            grey = self.stages.kind.mean
            images = (images - grey) * masks.permute(0, 2, 3, 1) + grey
        with torch.set_grad_enabled(not self.stages.begin.public):
            early = _masked(self.stages.see(images), masks)
        fine = _masked(self.stages.fine(early), masks)
        return early, fine, _masked(self.stages.coarse(fine), masks)

    def _compare(self, features: tuple[Tensor, ...], look: Look) -> dict[str, Tensor]:
        assert self.teacher is not None and look.two is not None and look.where is not None
        with torch.no_grad():
            fine = self.teacher.fine(self.teacher.see(look.two))
            taught = (fine, self.teacher.coarse(fine))
        losses = {}
        if self.whole is not None:
            with torch.no_grad():
                top = self.teacher.top(self.teacher.deep(taught[1]))
            mine = self.stages.top(self.stages.deep(features[2]))
            losses["contrast"] = self.whole(mine.mean((2, 3)), top.mean((2, 3)))
        if self.cells is not None:
            mine, theirs = _joined(features[1], features[2]), _joined(*taught)
            where = F.interpolate(look.where.permute(0, 3, 1, 2), size=mine.shape[2:], mode="area").permute(
                0, 2, 3, 1
            )
            theirs = F.grid_sample(theirs.float(), where, align_corners=False)
            inside = (where.abs() <= 1).all(3)
            losses["dense"] = self.cells(mine.permute(0, 2, 3, 1)[inside], theirs.permute(0, 2, 3, 1)[inside])
        return losses

    def teach(self, momentum: float) -> None:
        """Move the teacher towards the encoder; after every optimiser's step."""
        if self.teacher is not None:
            update_momentum(self.stages, self.teacher, momentum)
        for head in (self.whole, self.cells):
            if head is not None:
                update_momentum(head.project, head.project_taught, momentum)


class Compared(nn.Module):
    """Vectors of one view (N x D) predict the teacher's of another, as in BYOL: no pair counts as different."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = BYOLProjectionHead(width, HIDDEN, CODE)
        self.predict = BYOLPredictionHead(CODE, HIDDEN, CODE)
        self.project_taught = copy.deepcopy(self.project)
        deactivate_requires_grad(self.project_taught)
        self.apart = NegativeCosineSimilarity()

    def forward(self, mine: Tensor, theirs: Tensor) -> Tensor:
        """0 where they point alike, 2 where opposite."""
        told = self.predict(self.project(mine))
        with torch.no_grad():
            truth = self.project_taught(theirs)
        apart: Tensor = self.apart(told.float(), truth.float())
        return 1 + apart


class Decoder(nn.Module):
    """A light pyramid back up: features at strides 4, 8 and 16, 64 channels each."""

    def __init__(self, early: int, fine: int, coarse: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, WIDTH, 1) for width in (early, fine, coarse))
        self.mix = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()) for _ in range(3)
        )

    def forward(self, early: Tensor, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each level from what is coarser and its own."""
        third = self.mix[2](self.lateral[2](coarse))
        second = self.mix[1](self.lateral[1](fine) + _like(third, fine))
        first: Tensor = self.mix[0](self.lateral[0](early) + _like(second, early))
        return first, second, third


class Fill(nn.Module):
    """From the decoder's levels, what is in every patch of 4, 8 and 16 pixels: colours and strength of edges."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_patch = nn.ModuleList(nn.Conv2d(WIDTH, scale * scale * (channels + 1), 1) for scale in SCALES)

    def forward(self, levels: tuple[Tensor, ...]) -> list[Tensor]:
        """B x (scale^2 x (C + 1)) x H/scale x W/scale for each scale."""
        return [to_patch(level) for to_patch, level in zip(self.to_patch, levels, strict=True)]


def _masked(features: Tensor, masks: Tensor | None) -> Tensor:
    if masks is None:
        return features
    return features * F.interpolate(masks, size=features.shape[2:], mode="nearest")


def _like(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[2:], mode="nearest")


def _joined(fine: Tensor, coarse: Tensor) -> Tensor:
    return torch.cat((fine, _like(coarse, fine)), 1)
