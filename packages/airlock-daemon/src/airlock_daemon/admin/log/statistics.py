"""Counts of requests by agent, command and refusal, with percentiles of their durations."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from airlock_daemon.admin.log.items import (
    find_begun,
    is_beginning,
    is_end,
    read_lines,
    show_word,
    weigh,
)
from airlock_daemon.serving.audit.record import Entry, LogFile, read_entry

# Names that are not known commands are invented by clients: at most this many are listed.
NAMES = 100
OTHERS = "(other names)"

_FINAL = ("exec", "check", "invalid")

# The ratio between classes, and the shortest duration that is told apart.
_WIDTH = 1.01
_SHORTEST_MS = 0.001

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RECORDED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


class CommandRow(msgspec.Struct, frozen=True, kw_only=True):
    """One command of one agent; `command` is None if the request named none.

    An API counts as a command. The percentiles, in ms, are of commands that ran and of operations;
    None if there were none.
    """

    agent: str | None
    command: str | None
    requests: int
    allowed: int
    denied: int
    failed: int
    aborted: int
    invalid: int
    p50_ms: float | None
    p95_ms: float | None


class DenialRow(msgspec.Struct, frozen=True):
    """A refusing layer and rule, with the count; both None for commands that are not enabled.

    Includes a broker's refusals in requests that ran, which its client saw as the remote's.
    """

    layer: str | None
    rule: str | None
    requests: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of records between the times `begins` and `ends`, most frequent first.

    A record for several requests counts as all of them. `cut_off` counts commands killed with the
    daemon, `running` those without an end yet; neither is in `requests`. `no_records` counts lines
    that are no records.
    """

    begins: str | None
    ends: str | None
    agents: int
    requests: int
    outcomes: dict[str, int]
    cut_off: int
    running: int
    no_records: int
    commands: tuple[CommandRow, ...]
    denials: tuple[DenialRow, ...]


def count(
    files: Iterable[LogFile], *, since: str | None = None, agent: str | None = None
) -> Statistics:
    """Count the records of these files since the time `since`, of one agent or of all.

    Memory grows with the commands, agents and rules, not with the records.
    """
    counts = _Counts(since, agent)
    for file in files:
        for line in read_lines(file):
            if line.is_whole:
                counts.count(line.text)
    return counts.conclude()


class Durations:
    """Counts durations in classes of 1 %, at most some 3,000 of them.

    So a percentile is off by 1 % at most.
    """

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()

    def add(self, duration_ms: float) -> None:
        """Count one duration."""
        # Bounds the classes to about a year, whatever the file contains.
        bounded = min(max(duration_ms, _SHORTEST_MS), 1e11)
        self._counted[math.floor(math.log(bounded, _WIDTH))] += 1

    def percentile(self, share: float) -> float | None:
        """The duration in ms that this share of all does not exceed; None if there are none."""
        rank = math.ceil(share * self._counted.total())
        for place, count in sorted(self._counted.items()):
            rank -= count
            if rank <= 0:
                return float(f"{_WIDTH ** (place + 0.5):.3g}")
        return None


class _Tally(msgspec.Struct):
    """The requests of one row."""

    outcomes: Counter[str | None] = msgspec.field(default_factory=Counter)
    durations: Durations = msgspec.field(default_factory=Durations)


class _Counts:
    def __init__(self, since: str | None, agent: str | None) -> None:
        self._since = since
        self._agent = agent
        self._begins: str | None = None
        self._ends: str | None = None
        self._tallies: dict[tuple[str | None, str | None], _Tally] = {}
        self._denials: Counter[tuple[str | None, str | None]] = Counter()
        self._begun: set[str | None] = set()
        self._refused: dict[str | None, tuple[str | None, str | None]] = {}
        self._cut_off = 0
        self._no_records = 0
        self._known: set[str] = set()
        self._named: set[str] = set()

    def count(self, text: bytes) -> None:
        """Count a line."""
        entry = read_entry(text)
        if entry is None:
            self._no_records += 1
            return
        if entry.event == "daemon-start":
            self._cut_off += len(self._begun)
            self._begun.clear()
            self._refused.clear()
        if self._agent not in (None, entry.profile) or not is_since(entry.ts, self._since):
            return
        if is_beginning(entry):
            self._begun.add(find_begun(entry))
            self._known.add(show_word(entry.command))
        elif entry.event == "broker" and entry.request and entry.outcome == "denied":
            self._refused[entry.request] = _name_refusal(entry)
        elif entry.event in _FINAL or is_end(entry):
            self._begun.discard(find_begun(entry))
            self._count(entry)

    def _count(self, entry: Entry) -> None:
        self._begins = self._begins or entry.ts
        self._ends = entry.ts
        tally = self._tallies.setdefault((entry.profile, self._name(entry)), _Tally())
        tally.outcomes[entry.outcome] += weigh(entry)
        has_run = entry.event in ("exec", "broker") and entry.outcome == "allowed"
        if has_run and entry.duration_ms is not None:
            tally.durations.add(entry.duration_ms)
        refused = self._refused.pop(entry.request, None)
        if entry.outcome == "denied":
            self._denials[_name_refusal(entry)] += weigh(entry)
        elif refused is not None:
            self._denials[refused] += 1

    def _name(self, entry: Entry) -> str | None:
        if entry.command is None:
            return None
        name = show_word(entry.command)
        if entry.outcome == "allowed" or entry.layer in ("profile", "module"):
            self._known.add(name)
        elif name not in self._known and name not in self._named:
            if len(self._named) >= NAMES:
                return OTHERS
            self._named.add(name)
        return name

    def conclude(self) -> Statistics:
        """The counts."""
        outcomes: Counter[str | None] = Counter()
        for tally in self._tallies.values():
            outcomes.update(tally.outcomes)
        rows = [_make_row(*key, tally) for key, tally in self._tallies.items()]
        return Statistics(
            begins=self._begins,
            ends=self._ends,
            agents=len({agent for agent, _ in self._tallies if agent is not None}),
            requests=outcomes.total(),
            outcomes={name: number for name, number in outcomes.items() if name is not None},
            cut_off=self._cut_off,
            running=len(self._begun),
            no_records=self._no_records,
            commands=tuple(sorted(rows, key=lambda row: (row.agent or "", -row.requests))),
            denials=tuple(DenialRow(*key, number) for key, number in self._denials.most_common()),
        )


def _name_refusal(entry: Entry) -> tuple[str | None, str | None]:
    rule = entry.rule
    return entry.layer, rule if rule is None or isinstance(rule, str) else show_word(rule)


def _make_row(agent: str | None, command: str | None, tally: _Tally) -> CommandRow:
    names = ("allowed", "denied", "failed", "aborted", "invalid")
    return CommandRow(
        agent=agent,
        command=command,
        requests=tally.outcomes.total(),
        p50_ms=tally.durations.percentile(0.5),
        p95_ms=tally.durations.percentile(0.95),
        **{name: tally.outcomes[name] for name in names},
    )


def read_moment(text: str, *, now: datetime) -> str:
    """Parse a duration before `now` (`90s 15m 24h 7d 2w`) or an ISO 8601 time, as in records.

    A time without a zone is local; `now` has a zone. Raises ValueError for anything else.
    """
    duration = _DURATION.fullmatch(text)
    try:
        if duration:
            moment = now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        else:
            moment = datetime.fromisoformat(text)
        return _format(moment)
    except (ValueError, OverflowError):
        raise ValueError(
            f"'{text}' is no duration (90s, 15m, 24h, 7d, 2w) and no time (2026-01-31T12:00)"
        ) from None


def is_since(ts: str, moment: str | None) -> bool:
    """Whether `ts` of a record is not before `moment`; invalid times count as new."""
    if moment is None:
        return True
    if not _RECORDED.fullmatch(ts):
        # Earlier implementations wrote another format.
        try:
            ts = _format(datetime.fromisoformat(ts))
        except (ValueError, OverflowError):
            return True
    return ts >= moment


def _format(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
