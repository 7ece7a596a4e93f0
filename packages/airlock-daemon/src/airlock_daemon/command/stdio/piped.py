"""Pipes: what a tool has that is not at a terminal."""

from airlock_daemon.command.stdio.standard import Stdio, count_unread


class Piped(Stdio):
    """A pipe each for stdout and stderr, and for stdin where the client may send some."""

    def __init__(self, *, has_input: bool) -> None:
        """Raises OSError where there are no descriptors left."""
        super().__init__()
        try:
            stdin = self._open_input() if has_input else self._open_null()
            self.standard = (stdin, self._open_output("stdout"), self._open_output("stderr"))
        except BaseException:
            self.close()
            raise

    def count_input(self) -> int | None:
        """How many bytes of the client's input are no longer in the pipe."""
        if self.input is None:
            return None
        return self.input.written - count_unread(self.standard[0])
