"""What a station saves, from the user's own figures: arithmetic that says which figures each result comes from."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Amount = Annotated[float, Field(ge=0, le=1e15)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Costs:
    """The user's figures, each None where it is not known; money in `currency`, shares 0..1.

    `defect_share`: of the parts that are made. `manual_escape_share`: of the defects, what passes the inspection by
    hand. `seconds_per_recheck`: by hand, for each part that the station rejects. `cost_per_overkill`: of a good part
    that is rejected and thrown away.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    currency: Annotated[str, Field(max_length=12)] = ""
    parts_per_day: Positive | None = None
    days_per_year: Annotated[float, Field(gt=0, le=366)] | None = None
    seconds_per_inspection: Positive | None = None
    seconds_per_recheck: Amount | None = None
    wage_per_hour: Amount | None = None
    defect_share: Share | None = None
    manual_escape_share: Share | None = None
    cost_per_escape: Amount | None = None
    cost_per_overkill: Amount | None = None
    running_cost_per_year: Amount | None = None
    integration_cost: Amount | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares (0..1) of defects that pass and of good parts that are rejected."""

    escape: float
    overkill: float


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: `name` is a key of the words, `formula` what it was computed from, in the names of Costs.

    `value` is None where it was not computed; `missing` are the figures that would be needed. A pay-back that never
    comes is infinite.
    """

    name: str
    value: float | None
    formula: str
    missing: tuple[str, ...] = ()


def read_costs(path: Path) -> Costs:
    """The figures of a TOML file. Raises ConfigError that names the wrong line or key, and the known ones."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return TypeAdapter(Costs).validate_python(values)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; write a TOML file with lines such as wage_per_hour = 2400"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}; write lines such as wage_per_hour = 2400") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_wrong(dict(error.errors()[0]))}") from error


def _wrong(error: dict[str, Any]) -> str:
    key = ".".join(str(step) for step in error["loc"][:1])
    if error["type"] == "unexpected_keyword_argument":
        return f"unknown key {key}; the keys are {', '.join(one.name for one in fields(Costs))}"
    return f"{key}: {error['msg']}; correct or remove that line"


class Reckoning:
    """The results in the order in which they follow from each other, at these rates."""

    def __init__(self, costs: Costs, rates: Rates | None, labelling_minutes: float | None) -> None:
        self._known: dict[str, float | None] = {
            one.name: getattr(costs, one.name) for one in fields(Costs) if one.name != "currency"
        }
        self._known["escape"] = rates.escape if rates else None
        self._known["overkill"] = rates.overkill if rates else None
        self._known["labelling_minutes"] = labelling_minutes
        self.results: list[Result] = []
        self._reckon()

    def _reckon(self) -> None:
        """`FORMULAS` one after the other, then what is left of them and when it has paid back."""
        for name, formula, needed in FORMULAS:
            self._add(name, formula, needed)
        self._add_sum(
            "saving_year", ("wages_year", "escapes_year"), less=("overkill_year", "running_cost_per_year")
        )
        self._add_sum("investment", ("integration_cost",), more=("labelling_cost",))
        self._add_pay_back()

    def value(self, name: str) -> float | None:
        """A result or a given figure."""
        return self._known.get(name)

    def _add(self, name: str, formula: str, needed: tuple[str, ...]) -> None:
        missing = tuple(one for one in needed if self._known.get(one) is None)
        values = {one: self._known[one] for one in needed}
        # a constant of this file: so what is shown is what was computed
        value = None if missing else float(eval(formula, {"__builtins__": {}}, values))  # noqa: S307
        self._keep(Result(name, value, formula, missing))

    def _add_sum(
        self, name: str, of: tuple[str, ...], more: tuple[str, ...] = (), less: tuple[str, ...] = ()
    ) -> None:
        """A sum of what is known, where any `of` is; what is not known is named as missing from it."""
        signs = dict.fromkeys((*of, *more), "+") | dict.fromkeys(less, "-")
        known = {one: self._known[one] for one in signs}
        missing = tuple(one for one, value in known.items() if value is None)
        there = {one: value for one, value in known.items() if value is not None}
        formula = " ".join(f"{signs[one]} {one}" for one in there).removeprefix("+ ")
        value = sum(value if signs[one] == "+" else -value for one, value in there.items())
        self._keep(Result(name, value if set(of) & set(there) else None, formula, missing))

    def _add_pay_back(self) -> None:
        saving, investment = self._known["saving_year"], self._known["investment"]
        needed = tuple(one for one in ("investment", "saving_year") if self._known[one] is None)
        months = None
        if saving is not None and investment is not None:
            months = investment / saving * 12 if saving > 0 else float("inf")
        self._keep(Result("payback_months", months, "investment / saving_year * 12", needed))

    def _keep(self, result: Result) -> None:
        self._known[result.name] = result.value
        self.results.append(result)


FORMULAS = (
    (
        "manual_minutes_day",
        "parts_per_day * seconds_per_inspection / 60",
        ("parts_per_day", "seconds_per_inspection"),
    ),
    (
        "recheck_minutes_day",
        "parts_per_day * (overkill * (1 - defect_share) + defect_share) * seconds_per_recheck / 60",
        ("parts_per_day", "overkill", "defect_share", "seconds_per_recheck"),
    ),
    (
        "saved_minutes_day",
        "manual_minutes_day - recheck_minutes_day",
        ("manual_minutes_day", "recheck_minutes_day"),
    ),
    (
        "wages_year",
        "saved_minutes_day / 60 * wage_per_hour * days_per_year",
        ("saved_minutes_day", "wage_per_hour", "days_per_year"),
    ),
    (
        "escapes_year",
        "parts_per_day * days_per_year * defect_share * (manual_escape_share - escape) * cost_per_escape",
        ("parts_per_day", "days_per_year", "defect_share", "manual_escape_share", "escape", "cost_per_escape"),
    ),
    (
        "overkill_year",
        "parts_per_day * days_per_year * (1 - defect_share) * overkill * cost_per_overkill",
        ("parts_per_day", "days_per_year", "defect_share", "overkill", "cost_per_overkill"),
    ),
    ("escapes_per_million", "defect_share * escape * 1000000", ("defect_share", "escape")),
    ("labelling_cost", "labelling_minutes / 60 * wage_per_hour", ("labelling_minutes", "wage_per_hour")),
)
