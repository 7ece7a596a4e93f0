"""Makes a box with bubblewrap, starts the command in it, ends it, and reports leftovers."""

import errno
import fnmatch
import itertools
import logging
import os
import re
import signal as signals
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

import msgspec
import trio

from airlock_daemon.boundary.box.box import TMP, Box, Shared, refuse
from airlock_daemon.boundary.box.bubblewrap import prepare
from airlock_daemon.boundary.box.inner_mounts import opened
from airlock_daemon.boundary.command import (
    CommandLine,
    Ended,
    Group,
    Identity,
    Launch,
    Launcher,
    OpenGroup,
    cannot_start,
    encode_order,
    explain_changed,
    find_launcher,
    make_pair,
    open_none,
)
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import READABLE, SEARCH, Readiness, read_known_status
from airlock_daemon.setup.generation import Reserved
from airlock_wire import quote

# Leftovers are new entries directly in /tmp or the home. One is a loss if an argument names it, or
# if it was made for others. Exempt are temporary files (those of mkstemp(3) and mkdtemp(3) are
# private), directories of settings and caches (dot names), sockets, histories, and a few known
# caches.

_MODE = struct.Struct("<I")
_HEADER = 4

_MAX_ENTRIES = 100

# Lines for the client; further losses are counted.
_MAX_LINES = 4

# Of shells and pagers, in the home.
_HISTORIES = (".*_history", ".lesshst", ".viminfo", ".wget-hsts")
# Of node, its compilers, and java: in /tmp, readable by all.
_CACHES = ("node-compile-cache", "v8-compile-cache-*", "jiti", "node-jiti", "hsperfdata_*")
_KNOWN = re.compile("|".join(map(fnmatch.translate, (*_HISTORIES, *_CACHES))))

# Ends a name in a script, a list or a URL.
_DELIMITER = re.compile(r"[\s\"'`;:,&|()<>=?#]")


class Leftover(msgspec.Struct, frozen=True):
    """A file or directory at `path`, the tool's, and its mode (inode(7))."""

    path: str
    mode: int


def decode_leftovers(message: bytes) -> tuple[Leftover, ...]:
    """Decode the launcher's message of leftovers (`native/README.md`); drops a truncated entry."""
    found, start = list[Leftover](), _HEADER
    while (end := message.find(b"\0", start + _MODE.size)) >= 0:
        (mode,) = _MODE.unpack_from(message, start)
        found.append(Leftover(os.fsdecode(message[start + _MODE.size : end]), mode))
        start = end + 1
    return tuple(found)


def list_leftovers(directory: str, is_made: Callable[[str], bool]) -> tuple[Leftover, ...]:
    """List the entries of a host `directory`, except names that `is_made` accepts.

    Stops after `_MAX_ENTRIES`. Raises OSError.
    """
    with os.scandir(directory) as entries:
        return tuple(
            Leftover(each.path, each.stat(follow_symlinks=False).st_mode)
            for each in itertools.islice(entries, _MAX_ENTRIES)
            if not is_made(each.name)
        )


def find_losses(leftovers: Sequence[Leftover], argv: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each loss, and one for those beyond the limit.

    An agent chooses the number and length of the words in `argv`, and blocks all agents meanwhile,
    so this reads the words and names only once.
    """
    named = _find_named(leftovers, argv)
    lost = sorted(each.path for each in leftovers if each.path in named or _is_loss(each))
    for path in lost[:_MAX_LINES]:
        shown = path if quote(path, limit=None) == f'"{path}"' else quote(path)
        yield f"warning: {shown} was written where nothing is kept; write to the workspace instead"
    if len(lost) > _MAX_LINES:
        yield f"warning: so were {len(lost) - _MAX_LINES} more; write to the workspace instead"


def _find_named(leftovers: Sequence[Leftover], argv: Sequence[str]) -> set[str]:
    """The leftover files, directories and symlinks that an argument contains."""
    paths = {each.path for each in leftovers if _is_file(each)}
    named = set[str]()
    for place in dict.fromkeys(map(os.path.dirname, paths)):
        start = place.rstrip("/") + "/"
        inside = re.compile(re.escape(start) + "([^/]+)")
        for word in argv:
            if start in word:
                for name in inside.findall(word):
                    named.add(start + name)
                    named.add(start + _DELIMITER.split(name, maxsplit=1)[0])
    return named & paths


def _is_file(leftover: Leftover) -> bool:
    return stat.S_ISREG(leftover.mode) or stat.S_ISDIR(leftover.mode) or stat.S_ISLNK(leftover.mode)


def _is_loss(leftover: Leftover) -> bool:
    """Whether it is a loss even if no argument names it."""
    place, name = os.path.split(leftover.path)
    if not _is_file(leftover) or (name.startswith(".") and stat.S_ISDIR(leftover.mode)):
        return False
    if _KNOWN.match(name):
        return False
    # Settings such as .npmrc may be private too.
    is_setting = name.startswith(".") and place != TMP
    return is_setting or bool(leftover.mode & (stat.S_IRWXG | stat.S_IRWXO))


log = logging.getLogger("airlock")

# Keep in step with `native/place.zig`.
_PLACE = struct.Struct("<IIQI")

# Bytes of bubblewrap's messages.
_SAID_BYTES = 4096

# bubblewrap's message if its user cannot reach a descriptor's path, and the launcher's if something
# else than what it was to cover is there.
_UNREACHABLE = "find source path /proc/self/fd/"
_REPLACED = f"the box cannot be finished: errno {errno.ESTALE};"


class BoxedLaunch(Launch):
    """One command in a box, after `order`. `control` is the socket of the launcher in the box.

    The box's processes are also descendants of another launch, `maker`, which runs bubblewrap. It
    kills them if the launcher in the box does not, or has not started.
    """

    def __init__(
        self,
        control: socket.socket,
        maker: Launch,
        said: int,
        group: Group | None,
        listeners: socket.socket | None = None,
        *,
        is_trial: bool = False,
    ) -> None:
        """Take over all arguments. bubblewrap writes its messages to the file `said`; the box's
        listening sockets come over `listeners`. A trial does not log `said`: its caller reads it.

        Raises OSError, and has then taken over nothing.
        """
        super().__init__(control, socket.socket.close)
        self._either = Readiness()
        for each in (control, maker.control):
            self._either.register(each.fileno(), READABLE)
        self._maker = maker
        self._said = said
        self._group = group
        self._first: bytes | None = None
        self._is_trial = is_trial
        self.listeners = listeners
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
        """Run `what` in the box, which must equal `box`. Can be called once.

        The launcher in the box may not have started yet; if it has ended, `read_report` says why.
        Raises OSError.
        """
        place = _place(box, what.directory)
        message, files = encode_order(
            what,
            nofile=launcher.nofile,
            terminal=terminal,
            kept=len(kept),
            bounds=box.bounds,
            before=place,
        )
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self.control, [message], [*standard, *kept, *files])
        finally:
            for file in files:
                os.close(file)

    @property
    def ready(self) -> int:
        """As `Launch.ready`, but also readable when the maker has a report: only the maker notices
        if bubblewrap is killed before the launcher in the box has started.
        """
        return self._either.fileno()

    def read_report(self) -> Ended | AirlockError | None:
        """As `Launch.read_report`."""
        report = super().read_report()
        if report is None and not _is_silent(self._maker.control):
            # The box has ended, so its last message has arrived by now.
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
        """Whether the launcher in the box has reported that it is complete; before an `order`."""
        if self._first is None:
            with suppress(BlockingIOError):
                self._first = self._take_message()[:1]
        return self._first == b"W"

    def is_waiting(self) -> bool:
        """Whether box and maker are alive and have reported nothing else."""
        is_right = self.is_made() or self._first is None
        return is_right and _is_silent(self.control) and _is_silent(self._maker.control)

    def end(self, number: int = signals.SIGHUP) -> None:
        """As `Launch.end`; the maker kills the box if that has not ended it after 2 s."""
        super().end(number)
        if super().is_gone():
            # The launcher in the box waits for EOF.
            with suppress(OSError):
                self.control.shutdown(socket.SHUT_WR)
        else:
            # The tool gets one signal, from the launcher in the box.
            self._maker.end(number if number == signals.SIGKILL else signals.SIGCONT)

    def is_gone(self) -> bool:
        """Whether all of the box's processes have ended, and with them its mounts."""
        return self._maker.is_gone()

    async def wait_gone(self) -> None:
        """Wait until all of the box's processes have ended."""
        await self._maker.wait_gone()

    def close(self) -> None:
        """Close all descriptors, which also kills what still runs."""
        self._either.close()
        super().close()
        self._maker.close()
        os.close(self._said)
        if self.listeners is not None:
            self.listeners.close()
        if self._group is not None:
            self._group.close()

    def said(self) -> str:
        """The messages of bubblewrap and of the launcher in the box."""
        return os.pread(self._said, _SAID_BYTES, 0).decode(errors="replace").strip()

    def _explain_loss(self) -> AirlockError:
        said = self.said()
        if _REPLACED in said:
            return explain_changed()
        if said:
            if not self._is_trial:
                log.error("bubblewrap makes no box: %s; airlock doctor tells more", said)
            if _UNREACHABLE in said:
                remedy = "let it enter the directories above (chmod o+x), or map one elsewhere"
                return refuse("the user of boxes cannot enter a mapped directory", remedy)
            return refuse("bubblewrap makes none", "see what it said among the daemon's messages")
        report = self._maker.read_report()
        return super()._explain_loss() if report is None or isinstance(report, Ended) else report


def _is_silent(control: socket.socket) -> bool:
    """Whether there is neither a message nor EOF."""
    try:
        control.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _place(box: Box, directory: int) -> bytes:
    """The prefix of an order for a box."""
    major = minor = inode = 0
    if box.is_shared:
        found = read_known_status(directory)
        major, minor, inode = os.major(found.st_dev), os.minor(found.st_dev), found.st_ino
    name = os.fsencode(box.directory) + b"\0"
    return _PLACE.pack(major, minor, inode, len(name)) + name


class BoxBuilder(msgspec.Struct, frozen=True, kw_only=True):
    """Makes boxes with the program `bubblewrap`, started by `launcher`.

    bubblewrap and the box run as `identity`, in the cgroup from `open_group`, if any. No box shows
    `reserved` paths; `null` is an open /dev/null. Opening that would block is done in threads of
    `lookups`, or refused if that is None. `is_trial`: only tests whether boxes can be made.
    """

    bubblewrap: str
    launcher: Launcher
    identity: Identity
    reserved: Reserved
    null: int
    lookups: trio.CapacityLimiter | None
    open_group: OpenGroup = open_none
    is_trial: bool = False

    async def make(self, box: Box) -> BoxedLaunch:
        """Begin to make `box`, without its working directory; the caller closes it.

        It may be incomplete on return: an order waits for that and reports errors. Raises Denied
        and Failed.
        """
        try:
            root = os.open("/", SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                async with opened(box, self.reserved, self.lookups) as shared:
                    return await self._make(box, root, shared)
            finally:
                os.close(root)
        except OSError as error:
            raise cannot_start(self.bubblewrap, error) from error

    async def _make(self, box: Box, root: int, shared: Mapping[Shared, int]) -> BoxedLaunch:
        with ExitStack() as undo:
            said = os.memfd_create("airlock-box-said", os.MFD_CLOEXEC)
            undo.callback(os.close, said)
            near = far = None
            if box.listeners is not None:
                # The box gets the far end.
                near, far = make_pair()
                undo.callback(near.close)
                undo.callback(far.close)
            group = self.open_group()
            if group is not None:
                undo.callback(group.close)
            ours, theirs = make_pair()
            undo.callback(ours.close)
            with (
                theirs,
                prepare(
                    box,
                    self.bubblewrap,
                    launcher=find_launcher(),
                    identity=self.identity,
                    control=theirs.fileno(),
                    listeners=None if far is None else far.fileno(),
                    root=root,
                    shared=shared,
                ) as making,
            ):
                maker = await self.launcher.launch(
                    making.command_line,
                    (self.null, self.null, said),
                    kept=making.kept,
                    identity=None if self.identity.user == os.geteuid() else self.identity,
                    group=None if group is None else group.descriptor,
                )
            undo.callback(maker.close)
            launch = BoxedLaunch(ours, maker, said, group, near, is_trial=self.is_trial)
            undo.pop_all()
            if far is not None:
                far.close()
        return launch
