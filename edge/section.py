"""What all settings of station.toml are made of."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
Register = Annotated[int, Field(ge=0, le=65_535)]
Axis = Literal["x", "y"]  # the belt's direction in the picture
Port = Annotated[int, Field(ge=1, le=65_535)]


class Options(BaseModel):
    """A section of station.toml; its validator is built as part of the file's, or when it is first used alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def of_letters(pattern: str, words: str) -> AfterValidator:
    """A text that matches `pattern` as a whole; `words` say to people what that is."""
    whole = re.compile(pattern)

    def check(value: str) -> str:
        if whole.fullmatch(value) is None:
            raise ValueError(f"use {words}")
        return value

    return AfterValidator(check)


# The name of a camera or interlock; it becomes part of files' names and of topics.
PlainName = Annotated[
    str,
    Field(min_length=1, max_length=40),
    of_letters("[a-z0-9_-]*", "small letters, digits, - and _, without spaces"),
]
