"""The results of measurements: figures and their goals."""

from typing import Literal

import msgspec

from bench.samples import Estimate

Unit = Literal["times", "ms", "µs", "MB", "MiB", "MiB/s", "kB", "% of a core", "%"]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The goal of a figure, in the figure's unit."""

    bound: Literal["at most", "at least"]
    value: float

    def is_met_by(self, value: float) -> bool:
        """Whether a value reaches it."""
        return value <= self.value if self.bound == "at most" else value >= self.value


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the table.

    `value` is None if nothing could be measured. `low` and `high` are the 95 % interval of a
    median, or None. `behind` are the values that it was computed from, by name and unit. `fault`
    says what went wrong, whatever the value; `note` is a remark for the reader.
    """

    what: str
    pair: str
    unit: Unit
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    goal: Goal | None = None
    behind: dict[str, float] = {}
    fault: str = ""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return not self.fault and self.value is not None and self.goal.is_met_by(self.value)


def estimated(
    found: Estimate,
    *,
    what: str,
    pair: str,
    unit: Unit,
    goal: Goal | None = None,
    behind: dict[str, float] | None = None,
    fault: str = "",
    note: str = "",
) -> Figure:
    """Return a figure that is a median, with its interval."""
    return Figure(
        what=what,
        pair=pair,
        unit=unit,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        goal=goal,
        behind=behind or {},
        fault=fault,
        note=note,
    )


def fail(what: str, pair: str, unit: Unit, fault: str, *, goal: Goal | None = None) -> Figure:
    """Return a figure that could not be measured."""
    return Figure(what=what, pair=pair, unit=unit, value=None, n=0, goal=goal, fault=fault)


def at_most(value: float) -> Goal:
    """Return a goal that smaller values reach."""
    return Goal(bound="at most", value=value)


def at_least(value: float) -> Goal:
    """Return a goal that larger values reach."""
    return Goal(bound="at least", value=value)
