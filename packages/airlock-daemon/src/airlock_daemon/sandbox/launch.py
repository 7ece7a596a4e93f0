"""A command in a box that bubblewrap makes: what is said to the launcher in there, and its end."""

import logging
import os
import select
import signal as signals
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from airlock_daemon.command.launch import Ended, Launch
from airlock_daemon.command.launcher import Launcher
from airlock_daemon.command.order import CommandLine, encode_order
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.known_status import read_known_status
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.groups import Group
from airlock_daemon.sandbox.leftovers import Leftover, decode_leftovers
from airlock_daemon.sandbox.refusing import refuse

log = logging.getLogger("airlock")

# As `native/place.zig` reads it.
_PLACE = struct.Struct("<IIQI")

# Of what bubblewrap says where it makes no box.
_SAID_BYTES = 4096

# What it says where its user cannot enter what the daemon has opened for it.
_UNREACHABLE = "find source path /proc/self/fd/"


class BoxedLaunch(Launch):
    """One command in a box, once there is an `order` for it. Its `control` is that of the launcher
    in there.

    The processes of the box are also those of another launch, of which it is the tool: that ends
    them where the launcher in the box does not, or is not there yet.
    """

    def __init__(
        self,
        control: socket.socket,
        maker: Launch,
        said: int,
        group: Group | None,
        doors: socket.socket | None = None,
        *,
        is_trial: bool = False,
    ) -> None:
        """Take over all of it; `said` is the file that bubblewrap writes its messages to, and over
        `doors` come the listeners of a box that has some. Who made it as a trial asks for what was
        said, so that the daemon's messages do not have it too.

        Raises OSError, and has taken over nothing then.
        """
        super().__init__(control, socket.socket.close)
        self._either = select.epoll()
        for each in (control, maker.control):
            self._either.register(each, select.EPOLLIN)
        self._maker = maker
        self._said = said
        self._group = group
        self._first: bytes | None = None
        self._is_trial = is_trial
        self.doors = doors
        self.leftovers: tuple[Leftover, ...] = ()

    def order(
        self,
        what: CommandLine,
        standard: Sequence[int],
        box: Box,
        *,
        launcher: Launcher,
        terminal: int = 0,
        kept: Sequence[int] = (),
    ) -> None:
        """Have the box, which must be `box`, run `what`, once: the first and last thing it is told.

        The launcher in there need not be there yet; where it is no more, `read_report` says why.
        Raises OSError.
        """
        place = _place(box, what.directory)
        order = encode_order(
            what,
            nofile=launcher.nofile,
            terminal=terminal,
            kept=len(kept),
            bounds=box.bounds,
            before=place,
        )
        with order as (message, files), suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.control, [message], [*standard, *kept, *files])

    @property
    def ready(self) -> int:
        """As for any command: where bubblewrap is killed before the launcher in the box is there,
        nobody else tells of it.
        """
        return self._either.fileno()

    def read_report(self) -> Ended | AirlockError | None:
        """As for any command."""
        report = super().read_report()
        if report is None and not _is_silent(self._maker.control):
            # The box is gone. What was said in there was said before.
            report = super().read_report()
            return self._explain_loss() if report is None else report
        return report

    def _take_message(self) -> bytes:
        message = super()._take_message()
        while message[:1] == b"L":
            self.leftovers = decode_leftovers(message)
            message = super()._take_message()
        return message

    def is_made(self) -> bool:
        """Whether the launcher in there has said that the box is complete; before an `order`."""
        if self._first is None:
            with suppress(BlockingIOError):
                self._first = self._take_message()[:1]
        return self._first == b"W"

    def is_waiting(self) -> bool:
        """Whether box and maker are alive, and nothing else was reported of either."""
        is_right = self.is_made() or self._first is None
        return is_right and _is_silent(self.control) and _is_silent(self._maker.control)

    def end(self, number: int = signals.SIGHUP) -> None:
        """As for any command; the box is killed where that was of no use for 2 s."""
        super().end(number)
        if super().is_gone():
            # The launcher in there waits for a word.
            with suppress(OSError):
                self.control.shutdown(socket.SHUT_WR)
        else:
            # The tool gets one signal, from the launcher beside it.
            self._maker.end(number if number == signals.SIGKILL else signals.SIGCONT)

    def is_gone(self) -> bool:
        """Whether no process of the box is left, and with the last one its mounts."""
        return self._maker.is_gone()

    async def wait_gone(self) -> None:
        """Wait until no process of the box is left."""
        await self._maker.wait_gone()

    def close(self) -> None:
        """Give back all that it has. Closing it also ends whatever still runs."""
        self._either.close()
        super().close()
        self._maker.close()
        os.close(self._said)
        if self.doors is not None:
            self.doors.close()
        if self._group is not None:
            self._group.close()

    def said(self) -> str:
        """What bubblewrap and the launcher in the box have said, which is why there is none."""
        return os.pread(self._said, _SAID_BYTES, 0).decode(errors="replace").strip()

    def _explain_loss(self) -> AirlockError:
        said = self.said()
        if said:
            if not self._is_trial:
                log.error("bubblewrap makes no box: %s; airlock-daemon doctor tells more", said)
            if _UNREACHABLE in said:
                remedy = "let it enter the directories above (chmod o+x), or map one elsewhere"
                return refuse("the user of boxes cannot enter a mapped directory", remedy)
            return refuse("bubblewrap makes none", "see what it said among the daemon's messages")
        report = self._maker.read_report()
        return super()._explain_loss() if report is None or isinstance(report, Ended) else report


def _is_silent(control: socket.socket) -> bool:
    """Whether there is neither a message nor the end of them."""
    try:
        control.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _place(box: Box, directory: int) -> bytes:
    """What stands before an order for a box."""
    major = minor = inode = 0
    if box.is_shared:
        found = read_known_status(directory)
        major, minor, inode = os.major(found.st_dev), os.minor(found.st_dev), found.st_ino
    name = os.fsencode(box.directory) + b"\0"
    return _PLACE.pack(major, minor, inode, len(name)) + name
