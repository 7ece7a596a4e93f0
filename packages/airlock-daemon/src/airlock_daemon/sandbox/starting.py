"""Starting a command in a box: bubblewrap makes it, and the launcher in there starts the tool."""

import logging
import os
import signal as signals
import socket
import struct
from collections.abc import Sequence

from airlock_daemon.command.launch import Ended, Launch, cannot_start
from airlock_daemon.command.launcher import (
    CommandLine,
    Identity,
    Launcher,
    find_launcher,
    make_pair,
)
from airlock_daemon.errors import AirlockError
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.bubblewrap import prepare
from airlock_daemon.sandbox.refusing import refuse
from airlock_daemon.sandbox.sockets import SOCKETS
from airlock_daemon.setup.reserved import Reserved

log = logging.getLogger("airlock")

# As `native/place.zig` reads it.
_PLACE = struct.Struct("<IIQII")

# Of what bubblewrap says where it makes no box.
_SAID_BYTES = 4096


class BoxedLaunch(Launch):
    """One command in a box. Its `control` is that of the launcher in there.

    The processes of the box are also those of another launch, of which it is the tool: that ends
    them where the launcher in the box does not, or is not there yet.
    """

    def __init__(self, control: socket.socket, maker: Launch, said: int) -> None:
        """Take over all three; `said` is the file that bubblewrap writes its messages to."""
        super().__init__(control, socket.socket.close)
        self._maker = maker
        self._said = said

    def end(self, number: int = signals.SIGHUP) -> None:
        """As for any command; the box is killed where that was of no use for 2 s."""
        super().end(number)
        if not super().is_gone():
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
        super().close()
        self._maker.close()
        os.close(self._said)

    def said(self) -> str:
        """What bubblewrap and the launcher in the box have said, which is why there is none."""
        return os.pread(self._said, _SAID_BYTES, 0).decode(errors="replace").strip()

    def _explain_loss(self) -> AirlockError:
        said = self.said()
        if said:
            log.error("no box can be made: %s; airlock-daemon doctor tells more", said)
            return refuse("bubblewrap makes none", "see what it said among the daemon's messages")
        report = self._maker.read_report()
        return super()._explain_loss() if report is None or isinstance(report, Ended) else report


async def start_boxed(
    what: CommandLine,
    standard: Sequence[int],
    box: Box,
    *,
    bubblewrap: str,
    launcher: Launcher,
    identity: Identity,
    reserved: Reserved,
    null: int,
    terminal: int = 0,
    group: int | None = None,
) -> BoxedLaunch:
    """Start `what` in `box`, otherwise as `Launcher.launch` does.

    `what.directory` is the box's directory on the host, as it was checked. The program `bubblewrap`
    runs as `identity`, and with it all that is in the box, in the cgroup `group`. Raises Denied and
    Failed.
    """
    ours, theirs = make_pair()
    said = os.memfd_create("airlock-box-said", os.MFD_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        order = launcher.encode(
            what, terminal=terminal, bounds=box.bounds, before=_place(box, what.directory)
        )
        with order as (message, files):
            # It waits in the socket for the launcher to be there.
            socket.send_fds(ours, [message], [*standard, *files])
        making = prepare(
            box,
            bubblewrap,
            launcher=find_launcher(),
            identity=identity,
            control=theirs.fileno(),
            root=root,
            reserved=reserved,
        )
        with making as made:
            maker = await launcher.launch(
                made.command_line,
                (null, null, said),
                kept=made.kept,
                identity=None if identity.user == os.geteuid() else identity,
                group=group,
            )
    except BaseException as error:
        ours.close()
        os.close(said)
        if isinstance(error, OSError):
            raise cannot_start(what.program, error) from error
        raise
    finally:
        theirs.close()
        os.close(root)
    return BoxedLaunch(ours, maker, said)


def _place(box: Box, directory: int) -> bytes:
    """What stands before an order for a box."""
    major = minor = inode = 0
    if box.is_shared:
        found = os.fstat(directory)
        major, minor, inode = os.major(found.st_dev), os.minor(found.st_dev), found.st_ino
    name = os.fsencode(box.directory) + b"\0"
    fixed = _PLACE.pack(major, minor, inode, SOCKETS[box.sockets], len(name))
    return fixed + name
