"""A budget of bytes that refills at a rate: what one agent may write into the log."""

from collections.abc import Callable

import trio


class Allowance:
    """So many bytes in each second, and at once what was not used for a while.

    What cannot be held back is counted all the same, and leaves a debt. Outside of trio only
    `spend` may be called.
    """

    def __init__(
        self, *, bytes_s: float, burst: float, on_wait: Callable[[], None] | None = None
    ) -> None:
        """`burst` is the most that is saved up, in bytes; so much is there at first.

        `on_wait` is called whenever somebody has to wait.
        """
        self._bytes_s = bytes_s
        self._burst = burst
        self._on_wait = on_wait
        self._saved = burst
        self._counted: float | None = None

    def adopt(self, *, bytes_s: float, burst: float) -> None:
        """Go by another rate and burst from now on; what was spent stays spent."""
        self._saved = min(self._count(), burst)
        self._bytes_s, self._burst = bytes_s, burst

    def spend(self, count: int) -> None:
        """Count bytes."""
        self._saved -= count

    @property
    def has_plenty(self) -> bool:
        """Whether more than half of the burst is left."""
        return self._count() > self._burst / 2

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._count() <= 0

    async def wait(self) -> None:
        """Return when something is left."""
        while self.is_spent:
            if self._on_wait is not None:
                self._on_wait()
            # A little longer than the debt, so that rounding makes no round in vain.
            await trio.sleep(-self._saved / self._bytes_s + 0.001)

    def _count(self) -> float:
        now = trio.current_time()
        if self._counted is not None:
            self._saved = min(self._burst, self._saved + (now - self._counted) * self._bytes_s)
        self._counted = now
        return self._saved
