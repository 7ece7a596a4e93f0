"""Holding up who asks too fast, without refusing anybody."""

import trio

# However far an agent is ahead of its pace, nobody waits longer for one answer.
LONGEST_S = 1.0


class Pace:
    """Lets a second's worth of events pass at once, and then `per_s` of them in each second."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._due = -1.0

    async def keep(self) -> None:
        """Return when the next event may take place.

        Cancellation does not shorten it: who leaves at once must not be faster than who waits.
        """
        now = trio.current_time()
        self._due = min(max(self._due, now - 1.0) + 1 / self.per_s, now + LONGEST_S)
        if self._due > now:
            with trio.CancelScope(shield=True):
                await trio.sleep_until(self._due)
