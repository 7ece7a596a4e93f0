"""The three standard streams of a client: what it gets, and what the runner keeps of them."""

import os
import pty
import socket
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from e2e.faithful.runner.content import PIECE, Capture, pieces
from e2e.faithful.runner.entry import Content, Entry
from e2e.faithful.runner.result import Said

_CLOSINGS = ("<&-", ">&-", "2>&-")


class Wiring:
    """The connections of one run, opened for `entry`; leaving the context closes them all.

    `given` are the descriptors for the client's stdin, stdout and stderr. Files that stand for a
    stream are made in `folder`, which is no part of the workspace.
    """

    def __init__(self, entry: Entry, folder: Path) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._theirs: list[int] = []
        self.outputs: dict[int, str] = {}
        """Descriptors to be read until their end, and the name of the stream that each is."""
        self.feed: int | None = None
        """Where the client's standard input is written to; None where nobody can write to it."""
        self.source: Iterator[bytes] | None = None
        """What is written there, and then its end; None where only the conversation knows."""
        self.stdin_file: int | None = None
        self.files: dict[str, int] = {}
        self.master: int | None = None
        self.terminal_name = ""
        slave = self._open_terminal(entry) if "terminal" in entry.ends else -1
        stdin, stdout, stderr = entry.ends
        out = self._open_output("stdout", stdout, slave)
        err = out if stderr == "stdout" else self._open_output("stderr", stderr, slave)
        self.given = (self._open_input(stdin, slave), out, err)
        closed = zip((stdin, stdout, stderr), _CLOSINGS, strict=True)
        self.closings = " ".join(closing for what, closing in closed if what == "closed")
        """The redirections that close what the client shall not have at all."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything that is still open."""
        self.start()
        self.end_feed()
        self._stack.close()

    def start(self) -> None:
        """Close the client's ends here: the client has them now."""
        while self._theirs:
            os.close(self._theirs.pop())

    def end_feed(self) -> None:
        """End the client's standard input."""
        if self.feed is not None:
            os.close(self.feed)
            self.feed = None

    def modes(self) -> str:
        """Return the terminal's settings and size; empty where there is no terminal."""
        if self.master is None:
            return ""
        # The other side of a pseudo-terminal answers with the settings of the terminal itself.
        flags = termios.tcgetattr(self.master)[:4]
        return f"{[hex(word) for word in flags]} {termios.tcgetwinsize(self.master)}"

    def read_files(self) -> dict[str, Said]:
        """Return what was written to the files that stand for streams."""
        return {name: said(capture_file(descriptor)) for name, descriptor in self.files.items()}

    def position(self) -> int | None:
        """Return how far the file on stdin was read."""
        if self.stdin_file is None:
            return None
        return os.lseek(self.stdin_file, 0, os.SEEK_CUR)

    def _open_terminal(self, entry: Entry) -> int:
        assert entry.screen is not None, f"{entry.id} needs a screen"
        master, slave = pty.openpty()
        self._stack.callback(os.close, master)
        self._theirs.append(slave)
        termios.tcsetwinsize(slave, (entry.screen.rows, entry.screen.cols))
        self.outputs[master] = "terminal"
        self.master, self.terminal_name = master, os.ttyname(slave)
        return slave

    def _open_input(self, what: Content | str, slave: int) -> int:
        if what == "terminal":
            return slave
        if isinstance(what, Content) and what.via == "file":
            descriptor = os.open(self._folder / "stdin", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.writelines(pieces(what))
            os.lseek(descriptor, 0, os.SEEK_SET)
            self._stack.callback(os.close, descriptor)
            self.stdin_file = descriptor
            return descriptor
        if isinstance(what, Content) and what.via == "socket":
            ours, theirs = (end.detach() for end in socket.socketpair())
        elif isinstance(what, Content) or what == "idle":
            theirs, ours = os.pipe2(os.O_CLOEXEC)
        else:
            return self._null()
        os.set_blocking(ours, False)
        self.feed = ours
        self.source = pieces(what) if isinstance(what, Content) else None
        self._theirs.append(theirs)
        return theirs

    def _open_output(self, name: str, what: str, slave: int) -> int:
        if what == "terminal":
            return slave
        if what == "file":
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            self._stack.callback(os.close, descriptor)
            self.files[name] = descriptor
            return descriptor
        if what == "pipe":
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            self._stack.callback(os.close, ours)
            self._theirs.append(theirs)
            self.outputs[ours] = name
            return theirs
        return self._null()

    def _null(self) -> int:
        descriptor = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._theirs.append(descriptor)
        return descriptor


def capture_file(descriptor: int) -> Capture:
    """Read all that is in the file behind `descriptor`, from its start."""
    capture, at = Capture(), 0
    while data := os.pread(descriptor, PIECE, at):
        capture.add(data)
        at += len(data)
    return capture


def said(capture: Capture) -> Said:
    """Return what was captured as plain data."""
    return Said(kept=bytes(capture.kept), length=capture.length, digest=capture.digest)
