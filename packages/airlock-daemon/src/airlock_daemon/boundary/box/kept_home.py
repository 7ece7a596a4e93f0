"""The home that boxes of one module keep from one command of an agent to its next.

It is a directory in the state directory, and what is in it the agent wrote. It is mounted into that
agent's closed boxes of that module and nothing else: no other box shows it, no program of the host
runs in it. The daemon opens what is in it by descriptors, follows no link, and writes no file in
place: an agent may change everything there at any moment. No quota bounds a directory for an
ordinary user, so that it is measured while a command runs and at its end. What has grown too large
is removed as a whole.
"""

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import HOME, Box, Made, Memory, Shared, identify_descriptor
from airlock_daemon.boundary.box.inner_mounts import may_enter
from airlock_daemon.boundary.command.order import Identity
from airlock_daemon.boundary.workspace.snapshot import HostPaths, look_in_thread
from airlock_daemon.boundary.workspace.temporary import remove_tree
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.platform.linux.openat2 import RESOLVE_NO_SYMLINKS, openat2
from airlock_daemon.platform.threads import run_in_thread
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.reserved import is_within
from airlock_daemon.setup.writing import make_directory

MOST_FILES = 65_536
"""As many as a file system in memory has in a box."""

TIMES = 4
"""Of what a box may have in /tmp: caches are larger."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# To look through many files takes the daemon's time: so much of it at most, and not too often.
_SHARE = 20
_PAUSE_S = 1.0
_REMOVED = ".removed-"


def keep_home(box: Box, path: str, identity: Identity) -> Box:
    """The box with the directory `path` as its home, which is made if it is missing.

    The files that are made for a tool are written there. A box that has more in its home, such as a
    workspace, keeps its fresh one: nothing is mounted where an agent could have put a link. So does
    one whose user cannot enter the state directory. Raises Denied where it cannot be made.
    """
    inside = [each for each in box.operations if _is_inside(each)]
    if not all(isinstance(each, Made) for each in inside):
        return box
    try:
        with ExitStack() as stack:
            home = _open_home(path, identity)
            stack.callback(os.close, home)
            real = os.path.realpath(path)
            if identity.user != os.geteuid() and not may_enter(real, identity, HostPaths()):
                return box
            for each in inside:
                if isinstance(each, Made):
                    _write(home, os.path.relpath(each.target, HOME), each.content, identity)
            shared = Shared(
                real,
                HOME,
                identify_descriptor(home),
                read_only=False,
                is_kept=True,
            )
    except OSError as error:
        raise Denied(
            f"the home that this command keeps cannot be used: {error.strerror}",
            layer="sandbox",
            rule="home",
            hint=f"a person on the host can remove {path}, or mend what is above it; or write home "
            f'= "fresh" in [sandbox] of its module{AND_RELOAD}',
        ) from error
    operations = (shared if _is_home(each) else each for each in box.operations)
    return replace(box, operations=tuple(each for each in operations if each not in inside))


def _is_home(operation: object) -> bool:
    return isinstance(operation, Memory) and operation.target == HOME


def _is_inside(operation: object) -> bool:
    target = getattr(operation, "target", "")
    return target != HOME and is_within(target, HOME)


def _open_home(path: str, identity: Identity) -> int:
    """Open the home, for the caller to close; one of another user is removed. Raises OSError."""
    above = os.path.dirname(path)
    is_own = identity.user == os.geteuid()
    make_directory(path, mode=0o700, undo=ExitStack())
    if not is_own:
        # bubblewrap runs as that user. What is in the state directory is private each.
        for directory in (above, homes := os.path.dirname(above), os.path.dirname(homes)):
            mode = stat.S_IMODE(os.stat(directory).st_mode)
            if not mode & stat.S_IXOTH:
                os.chmod(directory, mode | stat.S_IXOTH)
    home = os.open(path, _DIRECTORY)
    try:
        if os.fstat(home).st_uid != identity.user:
            os.fchown(home, identity.user, identity.group)
        os.fchmod(home, 0o700)
    except BaseException:
        os.close(home)
        raise
    return home


def _write(home: int, name: str, content: bytes, identity: Identity) -> None:
    """Have a file in the home say `content`. What an agent has put in its way is moved aside."""
    with ExitStack() as stack:
        directory = home
        *parts, last = name.split("/")
        for part in parts:
            directory = _enter(directory, part, identity)
            stack.callback(os.close, directory)
        if _says(directory, last, content):
            return
        new = f".airlock-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600, dir_fd=directory), "wb") as file:
            _give(file.fileno(), identity)
            file.write(content)
        try:
            os.rename(new, last, src_dir_fd=directory, dst_dir_fd=directory)
        except IsADirectoryError:
            os.rename(last, f"{new}-aside", src_dir_fd=directory, dst_dir_fd=directory)
            os.rename(new, last, src_dir_fd=directory, dst_dir_fd=directory)


def _enter(above: int, name: str, identity: Identity) -> int:
    """Open a directory, made if it is missing or something else has its name."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        pass
    except OSError:
        # A link, or no directory.
        os.unlink(name, dir_fd=above)
    os.mkdir(name, 0o700, dir_fd=above)
    made = os.open(name, _DIRECTORY, dir_fd=above)
    _give(made, identity)
    return made


def _give(descriptor: int, identity: Identity) -> None:
    if identity.user != os.geteuid():
        os.fchown(descriptor, identity.user, identity.group)


def _says(directory: int, name: str, content: bytes) -> bool:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=directory), "rb") as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return is_file and file.read(len(content) + 1) == content
    except OSError:
        return False


class HomeInUse:
    """Bounds the home of one command. `due` says when each home is to be measured next."""

    def __init__(
        self,
        home: Shared,
        limits: Limits,
        *,
        due: dict[str, float],
        limiter: trio.CapacityLimiter,
        end: Callable[[], object],
    ) -> None:
        """Threads of `limiter` look through the home; `end` ends the command."""
        self._home = home
        self._most = TIMES * limits.box_tmpfs_mb << 20
        self._due = due
        self._limiter = limiter
        self._end = end
        self._is_ended = False

    async def serve(self, _nursery: trio.Nursery) -> None:
        """End the command once the home is too large, or was removed."""
        while (root := _open_again(self._home)) is not None:
            try:
                soon = trio.current_time() + _PAUSE_S
                await trio.sleep_until(max(self._due.get(self._home.path, 0.0), soon))
                if not await self._fits(root):
                    break
            finally:
                os.close(root)
        self._is_ended = True
        self._end()

    async def settle(self) -> str | None:
        """Remove the home if it is too large, after the command; what its client is told then."""
        if not self._is_ended and trio.current_time() < self._due.get(self._home.path, 0.0):
            return None
        root = _open_again(self._home)
        if root is not None:
            try:
                if await self._fits(root):
                    return None
            finally:
                os.close(root)
        with trio.CancelScope(shield=True):
            remove = partial(_remove, self._home)
            await run_in_thread(remove, limiter=self._limiter, abandon_on_cancel=False)
        return (
            f"warning: the home of this command was removed: it keeps {self._most >> 20} MiB and "
            f"{MOST_FILES} files at most, in directories that can be read; write to the workspace "
            "instead"
        )

    async def _fits(self, root: int) -> bool:

        def measure(own: int) -> tuple[bool, float]:
            began = time.thread_time()
            return _fits(own, self._most), time.thread_time() - began

        # A tool can hold a directory's lock: its command is not to wait for that to be ended.
        fits, spent = await look_in_thread(measure, root, self._limiter)
        self._due[self._home.path] = trio.current_time() + _SHARE * spent
        return fits


def _open_again(home: Shared) -> int | None:
    """Open the home, for the caller to close; None where another command has had it removed."""
    try:
        root = os.open(home.path, _DIRECTORY)
    except OSError:
        return None
    if identify_descriptor(root) == home.file_id:
        return root
    os.close(root)
    return None


def _fits(root: int, most: int) -> bool:
    """Whether it has at most so many bytes, not too many files, and all of it can be looked at."""
    files = size = 0
    waiting = ["."]
    while waiting:
        name = waiting.pop()
        try:
            for entry, found in _list(root, name):
                files += 1
                # A file of several names takes its room once.
                size += found.st_blocks * 512 // max(found.st_nlink, 1)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(f"{name}/{entry}")
                if files > MOST_FILES or size > most:
                    return False
        except FileNotFoundError:
            # It is gone meanwhile.
            continue
        except OSError:
            # It cannot be read, lies too deep for a path, or became a link.
            return False
    return True


def _list(root: int, name: str) -> Iterator[tuple[str, os.stat_result]]:
    directory = openat2(name, _DIRECTORY, resolve=RESOLVE_NO_SYMLINKS, directory=root)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(directory)


def _remove(home: Shared) -> None:
    """Remove the home: the next command has another, and one that runs keeps none of it."""
    above = os.path.dirname(home.path)
    root = _open_again(home)
    if root is not None:
        os.close(root)
        os.rename(home.path, os.path.join(above, f"{_REMOVED}{secrets.token_hex(8)}"))
    # Also what an earlier daemon has not come to.
    for name in os.listdir(above):
        if name.startswith(_REMOVED):
            remove_tree(os.path.join(above, name))
