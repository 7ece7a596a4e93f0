"""A byte budget that refills at a rate (token bucket), for an agent's audit records."""

from collections.abc import Callable

import trio


class Allowance:
    """A budget of `bytes_s` bytes per second, with unused ones saved up to `burst`.

    Bytes that cannot be delayed are counted too, and can make the budget negative. Outside trio
    only `spend` may be called.
    """

    def __init__(
        self, *, bytes_s: float, burst: float, on_wait: Callable[[], None] | None = None
    ) -> None:
        """`burst` is the limit of saved bytes, and the initial budget.

        `on_wait` is called whenever a task has to wait.
        """
        self._bytes_s = bytes_s
        self._burst = burst
        self._on_wait = on_wait
        self._saved = burst
        self._counted: float | None = None

    def adopt(self, *, bytes_s: float, burst: float) -> None:
        """Change rate and burst; what was spent stays spent."""
        self._saved = min(self._count(), burst)
        self._bytes_s, self._burst = bytes_s, burst

    def spend(self, count: int) -> None:
        """Spend bytes."""
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
        """Wait until something is left."""
        while self.is_spent:
            if self._on_wait is not None:
                self._on_wait()
            # A little longer than needed, so that rounding causes no further round.
            await trio.sleep(-self._saved / self._bytes_s + 0.001)

    def _count(self) -> float:
        now = trio.current_time()
        if self._counted is not None:
            self._saved = min(self._burst, self._saved + (now - self._counted) * self._bytes_s)
        self._counted = now
        return self._saved
