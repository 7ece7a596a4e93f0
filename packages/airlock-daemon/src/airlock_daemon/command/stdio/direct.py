"""The client's own descriptors as the tool's: no output passes through the daemon."""

from airlock_daemon.command.stdio.standard import Stdio
from airlock_daemon.connection.descriptors import Passed


class Direct(Stdio):
    """Three descriptors that came with the request and were found to be usable.

    In place of what a client calls /dev/null stands `null`, that of the host, which stays the
    caller's: in the client's files it could be anything.
    """

    def __init__(self, passed: Passed, *, null: int) -> None:
        super().__init__()
        self._passed = passed
        stdin, stdout, stderr = [
            null if kind == "null" else number
            for number, kind in zip(passed.numbers, passed.kinds, strict=True)
        ]
        self.standard = (stdin, stdout, stderr)

    def hand_over(self) -> None:
        """Close them, so that readers of the other ends wait for the tool, not for the daemon."""
        self._passed.close(is_usable=True)

    def close(self) -> None:
        """Close them, also where the tool was never started."""
        self._passed.close(is_usable=True)
        super().close()
