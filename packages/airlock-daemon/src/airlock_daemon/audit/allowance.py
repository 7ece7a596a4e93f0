"""How fast one agent may fill the audit log."""

import logging
import math

import trio

# How often a person is told that an agent is held up.
TELL_S = 60

_log = logging.getLogger("airlock")


class Allowance:
    """So many bytes in each second, and at once what was not used for a while.

    What must be written is written all the same, and leaves a debt. Outside of trio only `spend`
    may be called.
    """

    def __init__(self, agent: str, *, bytes_s: float, burst: float) -> None:
        """`burst` is the most that is saved up, in bytes; so much is there at first."""
        self._agent = agent
        self._bytes_s = bytes_s
        self._burst = burst
        self._saved = burst
        self._counted: float | None = None
        self._told = -math.inf

    def spend(self, count: int) -> None:
        """Count bytes that were written."""
        self._saved -= count

    @property
    def has_plenty(self) -> bool:
        """Whether more than half is left: the other half is for the records of what ran."""
        return self._count() > self._burst / 2

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._count() <= 0

    async def wait(self) -> None:
        """Return when something is left."""
        while self.is_spent:
            self._tell()
            # A little longer than the debt, so that rounding makes no round in vain.
            await trio.sleep(-self._saved / self._bytes_s + 0.001)

    def _count(self) -> float:
        now = trio.current_time()
        if self._counted is not None:
            self._saved = min(self._burst, self._saved + (now - self._counted) * self._bytes_s)
        self._counted = now
        return self._saved

    def _tell(self) -> None:
        if trio.current_time() - self._told >= TELL_S:
            self._told = trio.current_time()
            _log.warning(
                "agent %s: its commands wait, since their audit records come faster than "
                "[limits] log_bytes_s = %g",
                *(self._agent, self._bytes_s),
            )
