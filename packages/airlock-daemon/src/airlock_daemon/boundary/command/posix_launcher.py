"""The launcher where the native one cannot run: a process of Python that makes calls of POSIX.

`platform.posix.spawner` specifies the messages. It offers what `launcher.NativeLauncher` does, but
no confinement: no fence, no limits of a box, no cgroup, no other user.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Sequence

import trio

from airlock_daemon.boundary.command.launcher import (
    Bounds,
    CommandLine,
    Fence,
    Identity,
    Launch,
    cannot_start,
)
from airlock_daemon.errors import Failed
from airlock_daemon.platform.posix import spawner

_PROGRAM = "airlock_daemon.platform.posix.spawner"


class PosixLaunch(Launch):
    """One command of this launcher; its reports come on a stream."""

    # The tool's session, while only this object knows what to end if the launcher is killed.
    _session = 0

    def _take_message(self) -> bytes:
        while (message := self._take_report())[:1] == b"P":
            _, self._session = spawner.REPORT.unpack(message)
        if not message and self._session:
            spawner.kill_session(self._session)
        if message[:1] != b"X":
            self._session = 0
        # All has ended, as the end of the stream says, too.
        return b"" if message[:1] == b"G" else message

    def _take_report(self) -> bytes:
        try:
            return self.control.recv(spawner.REPORT.size)
        except BlockingIOError:
            raise
        except OSError:
            return b""


class PosixLauncher:
    """The launcher process. Its owner must `close` it, which ends all that it runs."""

    def __init__(self, *, nofile: int) -> None:
        """Start it; `nofile` is the tools' soft limit of open files. Raises Failed."""
        self.nofile = nofile
        self._turn = trio.Lock()
        self._start()

    async def launch(
        self,
        what: CommandLine,
        standard: Sequence[int],
        *,
        terminal: int = 0,
        kept: Sequence[int] = (),
        identity: Identity | None = None,
        fence: Fence | None = None,
        bounds: Bounds | None = None,
        group: int | None = None,
    ) -> Launch:
        """As `NativeLauncher.launch`, but what this system does not have is a TypeError."""
        if (identity, fence, bounds, group) != (None, None, None, None):
            raise TypeError(what.program)
        try:
            text = _encode(what, terminal=terminal, kept=len(kept), nofile=self.nofile)
            given = (what.directory, *standard, *kept)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise cannot_start(what.program, error) from error
        try:
            with theirs:
                ours.setblocking(False)
                await self._send([theirs.fileno(), *given])
                # Until they have arrived, macOS may drop descriptors that their sender closes.
                await _receive_arrival(ours)
            await _send_all(ours, text)
        except OSError as error:
            ours.close()
            raise cannot_start(what.program, error) from error
        except BaseException:
            ours.close()
            raise
        return PosixLaunch(ours, socket.socket.close)

    def close(self) -> None:
        """End the launcher. Running commands end with their own control sockets."""
        self._orders.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, os.WNOHANG)

    async def _send(self, descriptors: Sequence[int]) -> None:
        # One task at a time may wait for the socket.
        async with self._turn:
            for attempt in range(2):
                try:
                    await self._send_waiting(descriptors)
                except (BrokenPipeError, ConnectionResetError):
                    # It was killed, and its commands are lost. Start another one.
                    if attempt:
                        raise
                    self.close()
                    self._start()
                else:
                    return

    async def _send_waiting(self, descriptors: Sequence[int]) -> None:
        while True:
            try:
                socket.send_fds(self._orders, [b"c"], descriptors)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._orders)
            else:
                return

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        keep = theirs.fileno()
        actions = [
            # Duplicating a descriptor onto itself clears close-on-exec, in the child only.
            (os.POSIX_SPAWN_DUP2, keep, keep),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
        ]
        words = [sys.executable, "-I", "-m", _PROGRAM, str(keep)]
        try:
            # A group of its own: what a terminal sends is for the daemon, which ends it.
            self._pid = os.posix_spawn(sys.executable, words, {}, file_actions=actions, setpgroup=0)
        except OSError as error:
            ours.close()
            raise Failed(
                f"the launcher cannot be started by {sys.executable}: {error.strerror}",
                hint="install airlock-daemon again",
            ) from error
        finally:
            theirs.close()
        self._orders = ours


async def _receive_arrival(control: socket.socket) -> None:
    """Wait until the descriptors have arrived. Raises OSError if the launcher is gone."""
    while True:
        try:
            message = control.recv(spawner.REPORT.size)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(control)
        else:
            if message[:1] != b"A":
                raise BrokenPipeError
            return


async def _send_all(control: socket.socket, text: bytes) -> None:
    view = memoryview(text)
    while view:
        try:
            view = view[control.send(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(control)


def _encode(what: CommandLine, *, terminal: int, kept: int, nofile: int) -> bytes:
    words = [what.program, *what.argv]
    words += [f"{name}={value}" for name, value in what.environment.items()]
    words.append("")
    strings = "\0".join(words).encode("utf-8", "surrogateescape")
    lengths = (len(strings), len(what.argv), len(what.environment), terminal, kept)
    return spawner.HEADER.pack(*lengths, nofile) + strings
