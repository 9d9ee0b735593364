"""What all settings of station.toml are made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
Register = Annotated[int, Field(ge=0, le=65_535)]
Axis = Literal["x", "y"]  # the belt's direction in the picture
Port = Annotated[int, Field(ge=1, le=65_535)]


class Options(BaseModel):
    """A section of station.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
