"""Records of connections that are refused before anything was read from them."""

from collections.abc import Callable

import trio

from airlock_daemon.audit.record import Record

# A flood of them must not push other records out of the log.
EVERY_S = 1.0


class Refusals:
    """Writes at most one record in EVERY_S for refusals of one kind, and loses none.

    A record's `count` says for how many connections it stands; the rest of it is the first one's.
    Its owner must `flush` when `due` has come, and at the end.
    """

    def __init__(self, write: Callable[[Record], None]) -> None:
        self._write = write
        self._waiting: Record | None = None
        self._count = 0
        self._written = -EVERY_S

    @property
    def due(self) -> float | None:
        """When what waits is to be written, by trio's clock; None where nothing waits."""
        return None if self._waiting is None else self._written + EVERY_S

    def note(self, rule: str, describe: Callable[[], Record]) -> None:
        """Record one more refusal by `rule`, now or by the next `flush`.

        `describe` makes the record, and is not called where an earlier one stands for it too.
        """
        if self._waiting is not None and self._waiting.rule != rule:
            self.flush()
        if self._waiting is None:
            self._waiting = describe()
        self._count += 1
        if trio.current_time() - self._written >= EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting is None:
            return
        record, self._waiting = self._waiting, None
        record.count, self._count = self._count, 0
        self._written = trio.current_time()
        self._write(record)
