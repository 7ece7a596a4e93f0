"""Checks that every message and every session undergoes, and how often each of them was made.

A case says what it expects; these hold whatever it expects. A fault fails the case in which it
shows. It is noted here as well, so that each check stands in the report by itself: with the number
of messages or sessions that it looked at, and what it found.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from airlock_conformance.cases import Case
from airlock_conformance.violation import Violation, require_none

_FROM_DAEMON: Final = {
    "output": ("B-18", "F-06"),
    "exec-result": ("B-25", "F-11", "F-17"),
    "check-result": ("B-26",),
    "error": ("B-27", "B-31"),
    "start": ("F-01", "F-07"),
    "credit": ("F-08",),
}
_FROM_SHIM: Final = {
    "request": ("B-07", "B-11"),
    "stdin": ("F-07",),
    "signal": ("F-12",),
    "resize": ("F-16",),
}
_SESSION: Final = {
    "daemon-line-is-json": (("B-01",), "Each line of the daemon is a JSON object in UTF-8."),
    "daemon-one-response": (("B-24",), "There is one response, and nothing after it."),
    "daemon-start-once-and-first": (
        ("F-01", "F-04", "B-14"),
        "A run that was asked for features begins with one start, and nothing else has one.",
    ),
    "daemon-start-is-asked-for": (
        ("F-02", "F-13", "F-19", "F-21"),
        "The daemon uses no feature that was not asked for, or that excludes another.",
    ),
    "daemon-uses-what-it-started": (
        ("B-14", "F-06", "F-08", "F-11", "F-17", "F-21"),
        "The daemon sends no message or member of a feature that is not in use.",
    ),
    "daemon-stays-up": (("daemon: stays up",), "No case ends the daemon."),
    "shim-line-is-json": (("B-01",), "Each line of the shim is a JSON object in UTF-8."),
    "shim-waits-for-start": (("F-03",), "The shim sends nothing but its request before start."),
    "shim-uses-what-was-started": (
        ("F-03", "B-07"),
        "The shim sends no message of a feature that is not in use.",
    ),
    "shim-keeps-to-its-credit": (("F-08",), "The shim never sends more stdin than was granted."),
    "shim-passes-descriptors": (
        ("F-19", "F-20"),
        "Descriptors are three of the permitted kinds, on the first byte, where fds is asked for.",
    ),
}


class Checks:
    """How often each check was made in this run, and the faults that it found.

    With `base_only` the implementation is judged as one of the base of the protocol: its errors
    need no `data`, and it need not know what features are.
    """

    def __init__(self, *, base_only: bool = False) -> None:
        self.base_only = base_only
        self._made: dict[str, int] = {}
        self._faults: dict[str, list[str]] = {}

    def require(self, name: str, faults: Sequence[str]) -> None:
        """Note that a check was made; raises `Violation` with its faults if there are any."""
        self._made[name] = self._made.get(name, 0) + 1
        self._faults.setdefault(name, []).extend(faults)
        require_none(list(faults))

    def refuse(self, name: str, fault: str) -> NoReturn:
        """Note a fault and raise it as `Violation`."""
        self.require(name, [fault])
        raise Violation(fault)

    def names(self) -> set[str]:
        """Return the names of the checks that were made."""
        return set(self._made)

    def made(self, name: str) -> int:
        """Return how many messages or sessions the check looked at."""
        return self._made.get(name, 0)

    def faults(self, name: str) -> list[str]:
        """Return what the check found, each fault once."""
        return list(dict.fromkeys(self._faults.get(name, [])))


def list_checks() -> list[Case]:
    """Return each check as a case of the role ``checks``, so that it is reported like one."""
    messages = [
        _as_case(
            f"{peer}-message-{kind}",
            reference,
            f"Each {kind} message of the {peer} follows its schemas.",
        )
        for peer, kinds in (("daemon", _FROM_DAEMON), ("shim", _FROM_SHIM))
        for kind, reference in kinds.items()
    ]
    rules = [_as_case(name, reference, text) for name, (reference, text) in _SESSION.items()]
    return messages + rules


def _as_case(name: str, reference: tuple[str, ...], description: str) -> Case:
    return Case(
        id=name,
        role="checks",
        description=description,
        reference=reference,
        body={},
        source=Path(__file__),
    )
