"""What a tool has for stdin, stdout and stderr, for the reference daemon: pipes or a terminal."""

import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from typing import Any

from reference_channel import Channel

_STREAMS = ("stdin", "stdout", "stderr")
_PIECE = 65_536
_END_OF_FILE = b"\x04"
# The shell has a session of its own: the terminal that it opens becomes the controlling one.
_WITH_TERMINAL = 'exec 3<>"$0" 3>&-; exec "$@"'


class Stdio:
    """The tool's three streams. `outputs` are the descriptors to read, by the stream they are.

    `terminal` is the request's ``tty`` if it is in use. With `passed` descriptors there is nothing
    to relay. Every user closes it.
    """

    def __init__(
        self, *, feeds: bool, terminal: Mapping[str, Any] | None, passed: Channel | None
    ) -> None:
        self.outputs: dict[int, str] = {}
        self._theirs: list[int] = []
        self._feeds = feeds
        self._input = -1
        self._outer = -1
        self._path = ""
        self._pending = bytearray()
        self._ending = False
        self._written = 0
        if passed is not None:
            self._theirs = [os.dup(descriptor) for descriptor in passed.descriptors]
            passed.close_descriptors()
        else:
            self._open(terminal or {})

    def close(self) -> None:
        """Close the daemon's ends."""
        for descriptor in {*self.outputs, self._input, self._outer, *self._theirs} - {-1}:
            os.close(descriptor)
        self.outputs, self._theirs, self._input, self._outer = {}, [], -1, -1

    def spawn(
        self, argv: Sequence[bytes], *, directory: str, environment: Mapping[str, str | bytes]
    ) -> subprocess.Popen[bytes]:
        """Start the tool in a session of its own; raises `OSError`."""
        command: list[str | bytes] = [*argv]
        if self._path:
            command = ["/bin/sh", "-c", _WITH_TERMINAL, self._path, *argv]
        process = subprocess.Popen(
            command,
            stdin=self._theirs[0],
            stdout=self._theirs[1],
            stderr=self._theirs[2],
            cwd=directory,
            env={**environment},
            start_new_session=True,
        )
        while self._theirs:
            os.close(self._theirs.pop())
        return process

    def resize(self, rows: int, cols: int) -> None:
        """Set the size of the terminal."""
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def feed(self, data: bytes) -> None:
        """Take bytes for the tool's stdin."""
        if not self._ending:
            self._pending += data

    def end(self) -> None:
        """Take the end of the tool's stdin."""
        if not self._ending:
            self._ending = True
            if self._input == self._outer:
                self._pending += _END_OF_FILE
            self._close_if_done()

    def forget(self, descriptor: int) -> None:
        """Read a descriptor of output no more, which has come to its end.

        A terminal stays open: its end shows before the tool is gone, and closing it would make the
        kernel send the tool SIGHUP.
        """
        del self.outputs[descriptor]
        if descriptor != self._outer:
            os.close(descriptor)

    @property
    def waiting(self) -> int:
        """The descriptor to write to when it is ready; -1 if there is nothing to write."""
        return self._input if self._pending else -1

    def write(self) -> int:
        """Write what the tool's stdin takes and return how many bytes that were."""
        try:
            count = os.write(self._input, self._pending[:_PIECE])
        except BlockingIOError:
            return 0
        except OSError:  # the tool has closed its stdin: what comes for it is dropped
            self._pending.clear()
            self._ending = True
            self._close_if_done()
            return 0
        del self._pending[:count]
        self._written += count
        self._close_if_done()
        return count

    def _close_if_done(self) -> None:
        if self._ending and not self._pending and self._input not in (-1, self._outer):
            os.close(self._input)
            self._input = -1

    def _open(self, tty: Mapping[str, Any]) -> None:
        wanted = {name for name in _STREAMS if tty.get(name)}
        if not self._feeds:
            wanted.discard("stdin")
        inner = -1
        if tty:
            self._outer, inner = os.openpty()
            self._path = os.ttyname(inner)
            self.resize(tty["rows"], tty["cols"])
            if not (tty["stdin"] and self._feeds and tty["stdout"]):
                _leave_line_ends(inner)
            self.outputs[self._outer] = _terminal_stream(tty)
        for name in _STREAMS:
            if name in wanted:
                self._theirs.append(os.dup(inner))
            elif name == "stdin":
                self._theirs.append(self._open_stdin())
            else:
                ours, theirs = os.pipe()
                self.outputs[ours] = name
                self._theirs.append(theirs)
        if "stdin" in wanted:
            self._input = self._outer
        if inner >= 0:
            os.close(inner)
        for descriptor in {self._input, self._outer} - {-1}:
            os.set_blocking(descriptor, False)

    def _open_stdin(self) -> int:
        if not self._feeds:
            return os.open(os.devnull, os.O_RDONLY)
        theirs, self._input = os.pipe()
        return theirs


def _leave_line_ends(terminal: int) -> None:
    """Let newlines through as they are: the client's own terminal makes line ends of them."""
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _terminal_stream(tty: Mapping[str, Any]) -> str:
    return "stderr" if tty["stderr"] and not tty["stdout"] else "stdout"
