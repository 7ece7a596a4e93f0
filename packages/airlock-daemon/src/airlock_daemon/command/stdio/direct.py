"""The client's own descriptors as the tool's: no output passes through the daemon."""

from collections.abc import Sequence

from airlock_daemon.command.stdio.standard import Stdio
from airlock_daemon.connection.descriptors import Kind


class Direct(Stdio):
    """Three descriptors that came with the request, which belong to this object from now on.

    In place of what a client calls /dev/null stands `null`, that of the host, which stays the
    caller's: in the client's files it could be anything.
    """

    def __init__(self, passed: Sequence[int], kinds: Sequence[Kind], *, null: int) -> None:
        super().__init__()
        for descriptor in passed:
            self._keep(descriptor)
        stdin, stdout, stderr = (
            null if kind == "null" else descriptor
            for descriptor, kind in zip(passed, kinds, strict=True)
        )
        self.standard = (stdin, stdout, stderr)

    def hand_over(self) -> None:
        """Close them all: whoever reads the other ends waits for the tool, not for the daemon."""
        self.close()
