"""How long a run waits for an implementation, so that one that hangs costs minutes, not hours."""

import contextlib
from collections.abc import Iterator
from typing import Final

from airlock_conformance.violation import TimedOut, Violation

ENOUGH: Final = 5


class Patience:
    """How many seconds the implementation has for each thing that is awaited.

    When `ENOUGH` cases have waited in vain the others wait a quarter of that. When as many of one
    subject have done so, one after the other, the rest of that subject is not tried any more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._in_vain = 0
        self._in_succession: dict[str, int] = {}

    @property
    def seconds(self) -> float:
        """What the next case has."""
        return self._seconds if self._in_vain < ENOUGH else self._seconds / 4

    @contextlib.contextmanager
    def trying(self, subject: str) -> Iterator[float]:
        """Yield the seconds for a case of a subject: a setup of the daemon, or the shim.

        Raises `Violation` at once where the last cases of the subject waited in vain.
        """
        before = self._in_succession.get(subject, 0)
        if before == ENOUGH:
            text = f"not tried: the {ENOUGH} cases before waited in vain"
            raise Violation(f"{text} ({subject})", cause=text)
        waited = False
        try:
            yield self.seconds
        except TimedOut:
            waited = True
            raise
        finally:
            self._in_vain += waited
            self._in_succession[subject] = before + 1 if waited else 0
