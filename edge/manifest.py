"""What a bundle says of itself: product and version, models with thresholds and evidence, input geometry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

import edge
from edge.clock import SECOND
from edge.coverage import Coverage
from edge.errors import BundleError, ConfigError
from edge.pixels import InputSpec

PRODUCT_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,39}$"  # no dot first: the name becomes a folder
MODEL_NAME = r"^models/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}\.onnx$"
TOLERANCE = 0.05  # other processors and libraries add in another order, and INT8 rounds what that gives
_VERSION = r"^\d{1,5}\.\d{1,5}\.\d{1,5}$"

Count = Annotated[int, Field(ge=0, le=10**9)]
Share = Annotated[float, Field(ge=0, le=1)]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _input(value: object) -> InputSpec:
    """The input's own check, which knows its keys and bounds."""
    if not isinstance(value, dict):
        raise ValueError("must be an object with width and height")
    try:
        return InputSpec.from_dict(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the acceptance set proves of a model at its threshold.

    Of `defects` defective pictures `missed` passed, of `goods` good ones `overkill` were rejected, in `groups`
    groups. `escape_upper` and `overkill_upper` are upper bounds of the rates at `confidence`; the first was to be
    at most `target_escape`. All rates are shares (0..1).
    """

    __pydantic_config__ = _STRICT

    defects: Count
    missed: Count
    goods: Count
    overkill: Count
    groups: Count
    confidence: Share
    escape_upper: Share
    overkill_upper: Share
    target_escape: Share

    def __post_init__(self) -> None:
        if self.missed > self.defects or self.overkill > self.goods:
            raise ValueError("more pictures misjudged than there are")


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model: its `file` in the bundle, the engine it is for (`target`, such as "ort") and its `precision`.

    A part is a REJECT where its score is at least `threshold`. `proven`: the evidence meets its target. `scores` are
    those of the acceptance pictures on the host, by name; a device accepts the model where its own are within
    `tolerance` of them. `coverage` tells pictures of something else; None where too few were there to tell.
    """

    __pydantic_config__ = _STRICT

    file: Annotated[str, Field(pattern=MODEL_NAME)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    target: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    precision: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
    threshold: Share
    evidence: Evidence
    proven: bool
    scores: dict[str, Share] = field(default_factory=dict, hash=False)
    tolerance: Share = TOLERANCE
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """`version` counts up within a product; `created` and `expires` are ISO 8601 with a zone (UTC).

    `models` stand in the order of preference. `min_runtime` is the oldest Kenpin that can run the bundle.
    """

    __pydantic_config__ = _STRICT

    product: Annotated[str, Field(pattern=PRODUCT_NAME)]
    version: Annotated[int, Field(ge=1, le=10**9)]
    created: str
    expires: str | None
    min_runtime: Annotated[str, Field(pattern=_VERSION)]
    input: Annotated[InputSpec, PlainValidator(_input)]
    models: Annotated[tuple[ModelEntry, ...], Field(min_length=1, max_length=32)]
    classes: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=1_000)]
    provenance: dict[str, str]

    def __post_init__(self) -> None:
        for name in ("created", "expires"):
            value = getattr(self, name)
            if value is not None and _moment(value).tzinfo is None:
                raise ValueError(
                    f"{name} {value!r} lacks a time zone: write it in UTC, such as 2026-01-31T12:00:00Z"
                )

    def entry(self, target: str, precision: str | None = None) -> ModelEntry:
        """The preferred model for an engine, of this precision where one is given.

        Raises BundleError that lists what there is.
        """
        for model in self.models:
            if model.target == target and precision in (None, model.precision):
                return model
        there = ", ".join(f"{model.target} {model.precision}" for model in self.models)
        wanted = f"{target} {precision}" if precision else target
        raise BundleError(
            f"{self.product} version {self.version} holds no model for {wanted}, only {there}; "
            "choose another engine or precision, or compile for this one"
        )

    def has_expired(self, wall_ns: int) -> bool:
        """Whether `expires` lies before this wall time (ns since 1970 UTC)."""
        return self.expires is not None and _moment(self.expires).timestamp() * SECOND <= wall_ns

    def refuse_older_runtime(self, where: str) -> None:
        """Raises BundleError when this Kenpin is older than `min_runtime`."""
        if _numbers(self.min_runtime) > _numbers(edge.__version__):
            raise BundleError(
                f"{where} needs Kenpin {self.min_runtime} or newer, this is {edge.__version__}; update Kenpin"
            )


_ADAPTER = TypeAdapter(Manifest)


def to_json(manifest: Manifest) -> bytes:
    """The manifest as JSON: the same bytes for the same values. Raises BundleError for a value out of range."""
    values = asdict(manifest) | {"input": manifest.input.to_dict()}
    data = json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False).encode()
    from_json(data, "the manifest to be written")
    return data


def from_json(data: bytes, where: str) -> Manifest:
    """The manifest that `to_json` wrote; `where` stands in the message.

    Raises BundleError for unknown or missing keys and values out of range.
    """
    try:
        return _ADAPTER.validate_json(data)
    except ValidationError as error:
        mistakes = "; ".join(_sentence(dict(item)) for item in error.errors()[:5])
        raise BundleError(f"{where}: wrong manifest: {mistakes}; compile the bundle again") from error


def _sentence(error: dict[str, Any]) -> str:
    path = ".".join(str(step) for step in error["loc"]) or "manifest"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{path}: unknown key"
    message: str = error["msg"]
    return f"{path}: {message.removeprefix('Value error, ')}"


def _moment(text: str) -> datetime:
    """An ISO 8601 time; ValueError where it is none. Python 3.10 does not know the Z."""
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:3] if number.isdigit())
