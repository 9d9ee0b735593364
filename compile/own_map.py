"""The map.toml of a network from elsewhere: which output is what, and how its input is normalised."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edge.errors import ConfigError
from edge.pixels import InputSpec
from edge.section import Options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Column = Annotated[int, Field(ge=0, le=10_000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Input(Options):
    """[input]: what the network takes. A pixel p (0..255) becomes (p / scale - mean) / std for each channel, in the
    order that `order` names. `width` and `height` are needed where the network leaves them open. `roi` and `fit` say
    which part of the picture it sees, as for a student of edge-train."""

    name: str = ""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    order: Literal["RGB", "BGR", "GREY"] = "RGB"
    width: int | None = Field(default=None, ge=8, le=4_096)
    height: int | None = Field(default=None, ge=8, le=4_096)
    scale: Finite = Field(default=255.0, gt=0)
    mean: tuple[Finite, ...] = (0.0,)
    std: tuple[Annotated[Finite, Field(gt=0)], ...] = (1.0,)
    roi: tuple[int, int, int, int] | None = None
    fit: Literal["stretch", "letterbox"] = "stretch"

    @model_validator(mode="after")
    def _one_for_each_channel(self) -> Input:
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ValueError(f"{name} needs one value, or {self.channels}")
        return self

    @property
    def channels(self) -> int:
        """Of the picture as the network sees it."""
        return 1 if self.order == "GREY" else 3


class Output(Options):
    """An output that grows with the defect, and how it becomes a share from 0 to 1.

    `probability`: it is one. `logit`: by a sigmoid. `softmax`: the share of column `column`, or of all but the column
    `good`. `min_max`: linearly, `low` becomes 0 and `high` 1, cut off beyond."""

    output: str
    kind: Literal["probability", "logit", "softmax", "min_max"]
    column: Column | None = None
    good: Column | None = None
    low: Finite | None = None
    high: Finite | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Output:
        if self.kind == "softmax" and (self.column is None) == (self.good is None):
            raise ValueError('kind = "softmax" needs either column (the defect\'s) or good (that of good parts)')
        if self.kind != "softmax" and self.good is not None:
            raise ValueError('good goes with kind = "softmax" only')
        if self.kind == "min_max" and (self.low is None or self.high is None or not self.low < self.high):
            raise ValueError('kind = "min_max" needs low and a higher high')
        return self


class Embedding(Options):
    """An output of any shape that describes the picture."""

    output: str


class ClassScores(Options):
    """The columns of an output whose softmax tells defect classes apart, in the order of `classes`."""

    output: str
    columns: tuple[Column, ...]


class Map(Options):
    """A whole map. Without `heat_map` every place gets the score, without `embedding` the score stands for it."""

    input: Input = Input()
    score: Output
    heat_map: Output | None = None
    embedding: Embedding | None = None
    class_scores: ClassScores | None = None
    classes: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()

    @model_validator(mode="after")
    def _classes_have_columns(self) -> Map:
        columns = () if self.class_scores is None else self.class_scores.columns
        if len(self.classes) > 1 and len(columns) != len(self.classes):
            raise ValueError("classes: name one, or give [class_scores] with a column for each")
        if self.class_scores is not None and len(self.classes) < 2:
            raise ValueError("class_scores: needs two classes or more")
        if self.heat_map is not None and self.heat_map.kind == "softmax":
            raise ValueError('heat_map: kind = "softmax" is for scores only')
        return self

    def spec(self, width: int, height: int) -> InputSpec:
        """The geometry of the student's input. Raises ConfigError for one that no student may have."""
        return InputSpec(width, height, self.input.channels, self.input.roi, self.input.fit)


def read_map(path: Path) -> Map:
    """The map of a file. Raises ConfigError with every mistake."""
    try:
        return Map.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give the map.toml of the network") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}; see docs/own-network.md") from error
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'map'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise ConfigError(f"{path}: {mistakes}; see docs/own-network.md") from error
