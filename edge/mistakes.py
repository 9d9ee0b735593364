"""What is wrong in a station file, told to the person who wrote it: the key's path, what it may be, what it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from edge.section import Options

Place = tuple[int | str, ...]


def of_toml(error: Exception, data: bytes) -> str:
    """Why these bytes are no TOML, with the line that has to be mended."""
    if isinstance(error, UnicodeDecodeError):
        line = data[: error.start].count(b"\n") + 1
        return f"is not plain text (at line {line}): save it as UTF-8"
    found = re.search(r"at line (\d+)", str(error))
    lines = data.decode("utf-8").splitlines()
    text = lines[int(found[1]) - 1].strip() if found and int(found[1]) <= len(lines) else ""
    curly = "; quotes are straight, not curly" if re.search("[\u2018-\u201f]", text) else ""
    return f"is not valid TOML: {error}; fix that line{curly}{': ' + text if text else ''}"


def sentences(errors: Sequence[dict[str, Any]], model: type[BaseModel], places: dict[str, str]) -> list[str]:
    """One sentence for each of pydantic's `errors` about `model`. `places` names the sections whose device stands a
    level deeper in the model than in the file, each with that level."""
    return [_sentence(error, model, places) for error in _told_once(errors)]


def _told_once(errors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without "too short" for a list whose entries are wrong themselves."""
    locations = [error["loc"] for error in errors]

    def has_wrong_entry(error: dict[str, Any]) -> bool:
        here = error["loc"]
        return any(len(place) > len(here) and place[: len(here)] == here for place in locations)

    return [error for error in errors if error["type"] != "too_short" or not has_wrong_entry(error)]


def _sentence(error: dict[str, Any], model: type[BaseModel], places: dict[str, str]) -> str:
    """One mistake as: key path: what is wrong (what it may be), got what."""
    loc, kind = error["loc"], error["type"]
    path = _path_of(loc, places)
    if kind == "extra_forbidden":
        return f"{path}: unknown key; remove it or correct its name{_meant(loc, model)}"
    if kind == "missing":
        return f"{path}: missing; add it"
    if kind == "union_tag_invalid":
        context = error["ctx"]
        tag = context["discriminator"].strip("'")
        return f"{path}.{tag}: {context['tag']!r} is not one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{path}.kind: missing; add it"
    if kind == "tuple_type" and isinstance(error["input"], dict):
        return f"{path}: there may be several, so write [[{path}]] instead of [{path}]"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}, got {error['input']!r}"


def _path_of(loc: Place, places: dict[str, str]) -> str:
    """The key path as the file has it: pydantic's also names the chosen kind, and the level that a device has below
    its place."""
    tags = frozenset(_tags(Options))
    steps = [str(step) for step in loc]
    if steps[0] in places:
        device = 2 if len(loc) > 1 and isinstance(loc[1], int) else 1
        if steps[device : device + 1] == [places[steps[0]]]:
            del steps[device]
    return ".".join(step for index, step in enumerate(steps) if index == 0 or step not in tags)


def _tags(model: type[Any]) -> Iterator[str]:
    """The kinds and modes of all sections that have some."""
    for each in model.__subclasses__():
        for name in ("kind", "mode"):
            if name in each.model_fields:
                yield from get_args(each.model_fields[name].annotation)
        yield from _tags(each)


def _meant(loc: Place, model: type[BaseModel]) -> str:
    """The key of this place that is spelt like the unknown one, as a question."""
    known = {name for level in _levels(loc, model) for each in level for name in each.model_fields}
    like = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.75)
    return f": {like[0]}?" if like else ""


def _levels(loc: Place, model: type[BaseModel]) -> list[list[type[BaseModel]]]:
    """What may stand at each level of the way to a key: its section's own, and the device's within it."""
    levels = [[model]]
    for step in loc[:-1]:
        if isinstance(step, int):
            continue
        fields = [each.model_fields[step].annotation for each in levels[-1] if step in each.model_fields]
        if fields:
            levels.append([found for field in fields for found in _models(field)])
        else:
            levels[-1] = [each for each in levels[-1] if _is(each, step)]
    return levels[1:] or levels


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _is(model: type[BaseModel], tag: str) -> bool:
    return any(
        tag in get_args(model.model_fields[name].annotation)
        for name in ("kind", "mode")
        if name in model.model_fields
    )
