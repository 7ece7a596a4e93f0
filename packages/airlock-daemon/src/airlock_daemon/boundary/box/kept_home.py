"""A home that the boxes of one module keep between an agent's commands.

It is a directory in the state directory, and the agent wrote its contents. It is mounted only into
that agent's closed boxes of that module: no other box shows it, and no host program runs in it. The
agent may change it at any moment, so the daemon accesses it by descriptors, follows no symlink, and
writes no file in place. An ordinary user cannot set a quota, so the home is measured during and
after a command, and removed as a whole if it is too large.
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
from airlock_daemon.boundary.command import Identity
from airlock_daemon.boundary.workspace.directory import HostPaths, look_in_thread
from airlock_daemon.boundary.workspace.temporary import remove_tree
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.files import make_directory
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import openat2
from airlock_daemon.setup.generation import Limits
from airlock_daemon.threads import run_in_thread

MAX_FILES = 65_536
"""As many as a tmpfs of a box allows."""

TIMES = 4
"""Limit as a multiple of /tmp's: caches are larger."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Measuring a large home costs processor time: at most 1 in `_SHARE`, and a pause between two.
_SHARE = 20
_PAUSE_S = 1.0
_REMOVED = ".removed-"


def keep_home(box: Box, path: str, identity: Identity) -> Box:
    """Use the directory `path` as the box's home, created if missing.

    Files made for the tool are written into it. A box with other contents in its home, such as a
    workspace, keeps its fresh home: the agent could have put a symlink at the mount point. So does
    a box whose user cannot enter the state directory. It may block for as long as the agent likes.
    Raises Denied if the home cannot be used.
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
    except (OSError, AirlockError) as error:
        why = error.message if isinstance(error, AirlockError) else error.strerror
        raise Denied(
            f"the home that this command keeps cannot be used: {why}",
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
    """Open the home, owned by `identity`; the caller closes it. Raises OSError and AirlockError.

    A home of an earlier boxes' user is made anew, since its files are private to that user.
    """
    above = os.path.dirname(path)
    is_own = identity.user == os.geteuid()
    make_directory(path, mode=0o700, undo=ExitStack())
    if os.lstat(path).st_uid not in (identity.user, os.geteuid()):
        remove_tree(path)
        make_directory(path, mode=0o700, undo=ExitStack())
    if not is_own:
        # bubblewrap runs as that user and must reach the home. Files in the state directory have
        # private modes.
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
    """Write `content` to a file in the home. Moves aside what the agent put in its place."""
    with ExitStack() as stack:
        directory = home
        *parts, last = name.split("/")
        for part in parts:
            directory = _enter(directory, part, identity)
            stack.callback(os.close, directory)
        if _has_content(directory, last, content):
            return
        new = f".airlock-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600, dir_fd=directory), "wb") as file:
            _give(file.fileno(), identity)
            file.write(content)
        try:
            os.rename(new, last, src_dir_fd=directory, dst_dir_fd=directory)
        except IsADirectoryError:
            with suppress(FileNotFoundError):
                os.rename(last, f"{new}-aside", src_dir_fd=directory, dst_dir_fd=directory)
            os.rename(new, last, src_dir_fd=directory, dst_dir_fd=directory)


def _enter(above: int, name: str, identity: Identity) -> int:
    """Open a directory; create it if it is missing or something else has its name."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=above)
    except FileNotFoundError:
        pass
    except OSError:
        # A symlink or not a directory. Another command of the module may be as far, or farther.
        with suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=above)
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    made = os.open(name, _DIRECTORY, dir_fd=above)
    _give(made, identity)
    return made


def _give(descriptor: int, identity: Identity) -> None:
    if identity.user != os.geteuid():
        os.fchown(descriptor, identity.user, identity.group)


def _has_content(directory: int, name: str, content: bytes) -> bool:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=directory), "rb") as file:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return is_file and file.read(len(content) + 1) == content
    except OSError:
        return False


class HomeInUse:
    """Limits the home of one command. `due` has the time of each home's next measurement."""

    def __init__(
        self,
        home: Shared,
        limits: Limits,
        *,
        due: dict[str, float],
        limiter: trio.CapacityLimiter,
        end: Callable[[], object],
    ) -> None:
        """Threads of `limiter` measure the home; `end` ends the command."""
        self._home = home
        self._most = TIMES * limits.box_tmpfs_mb << 20
        self._due = due
        self._limiter = limiter
        self._end = end
        self._is_ended = False
        self._is_settled = False
        self._is_too_large = False

    async def serve(self, _nursery: trio.Nursery) -> None:
        """End the command if the home becomes too large or is removed."""
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
        """After the command, set a home that is too large aside; returns a warning for clients."""
        if not self._is_ended and trio.current_time() < self._due.get(self._home.path, 0.0):
            self._is_settled = True
            return None
        root = _open_again(self._home)
        if root is not None:
            try:
                if await self._fits(root):
                    self._is_settled = True
                    return None
            finally:
                os.close(root)
        self._is_settled = self._is_too_large = True
        await self._put_away()
        return (
            f"warning: the home of this command was removed: it keeps {self._most >> 20} MiB and "
            f"{MAX_FILES} files at most, in directories that can be read; write to the workspace "
            "instead"
        )

    async def clean_up(self) -> None:
        """Remove what was set aside, also for a client that has hung up.

        No process of the command may be left: it could create files faster than they are removed.
        """
        # Where this fails, the next home that is too large has it removed too.
        with trio.CancelScope(shield=True), suppress(Failed, OSError):
            if not self._is_settled:
                await self.settle()
            if self._is_too_large:
                # `settle` may have been cancelled before a thread was free.
                await self._put_away()
                remove = partial(_remove_put_away, os.path.dirname(self._home.path))
                await run_in_thread(remove, limiter=self._limiter, abandon_on_cancel=False)

    async def _put_away(self) -> None:
        act = partial(_put_away, self._home)
        await run_in_thread(act, limiter=self._limiter, abandon_on_cancel=False)

    async def _fits(self, root: int) -> bool:

        def measure(own: int) -> tuple[bool, float]:
            began = time.thread_time()
            return _fits(own, self._most), time.thread_time() - began

        # A tool can hold a directory's lock, which must not delay the end of its command.
        fits, spent = await look_in_thread(measure, root, self._limiter)
        self._due[self._home.path] = trio.current_time() + _SHARE * spent
        return fits


def _open_again(home: Shared) -> int | None:
    """Open the home, for the caller to close; None if another command had it removed."""
    try:
        root = os.open(home.path, _DIRECTORY)
    except OSError:
        return None
    if identify_descriptor(root) == home.file_id:
        return root
    os.close(root)
    return None


def _fits(root: int, limit: int) -> bool:
    """Whether the home is within the limits for bytes and files, and entirely readable."""
    files = size = 0
    waiting = ["."]
    while waiting:
        name = waiting.pop()
        try:
            for entry, found in _list(root, name):
                files += 1
                # Count a file with several names once.
                size += found.st_blocks * 512 // max(found.st_nlink, 1)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(f"{name}/{entry}")
                if files > MAX_FILES or size > limit:
                    return False
        except FileNotFoundError:
            # Removed meanwhile.
            continue
        except OSError:
            # Unreadable, too deep for a path, or now a symlink.
            return False
    return True


def _list(root: int, name: str) -> Iterator[tuple[str, os.stat_result]]:
    directory = openat2(name, _DIRECTORY, directory=root, no_links=True)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(directory)


def _put_away(home: Shared) -> None:
    """Give the next command a new home; a running one keeps nothing of this. Raises OSError."""
    root = _open_again(home)
    if root is not None:
        os.close(root)
        above = os.path.dirname(home.path)
        os.rename(home.path, os.path.join(above, f"{_REMOVED}{secrets.token_hex(8)}"))


def _remove_put_away(above: str) -> None:
    """Remove the homes that were set aside, also by an earlier daemon. Raises OSError."""
    for name in os.listdir(above):
        if name.startswith(_REMOVED):
            remove_tree(os.path.join(above, name))
