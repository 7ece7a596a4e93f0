"""Confines a command's path arguments to the workspace, and translates them to host paths.

This checks where paths lead when the request arrives. It cannot control what a tool opens later, or
where a symlink leads by then.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.workspace.beneath import (
    LeadsOutError,
    count,
    follow,
    open_unlinked,
    real_path,
)
from airlock_daemon.boundary.workspace.directory import open_root, refuse_hidden
from airlock_daemon.boundary.workspace.mapping import Mounts, Source, Unmapped
from airlock_daemon.boundary.workspace.snapshot import look_in_thread
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import is_within, join_below, relative_to
from airlock_daemon.setup.generation import Agent, Reserved
from airlock_modules import PathUse
from airlock_wire import quote

# PATH_MAX of limits.h: the limit of system calls.
MAX_LENGTH = 4096
# The same on both sides: /dev/null, and streams that the client passed anyway.
EVERYWHERE = frozenset(("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr"))


class Area:
    """The mapped directories of a request that runs in `directory`. Its owner must `close` it."""

    def __init__(self, directory: Workspace, reserved: Reserved) -> None:
        self._directory = directory
        self._reserved = reserved
        self._opened: dict[str, int] = {}

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self._opened.values():
            os.close(descriptor)

    def locate(self, path: str, *, at_once: bool = False) -> str:
        """Return `path` as the host has it.

        A path starting with `/` is the client's; any other is relative to the working directory,
        and is returned unchanged. It need not exist. Raises Denied (layer "workspace") if it leads
        out, either as the kernel follows it now or as text; with `at_once` BlockingIOError if
        checking would block.
        """
        if path in EVERYWHERE:
            return path
        if len(os.fsencode(path)) >= MAX_LENGTH:
            hint = f"a path has less than {MAX_LENGTH} bytes"
            raise _refuse(path, "is longer than a path can be", rule="path", hint=hint)
        if path.startswith("~"):
            # Some tools expand this to a user's home directory.
            raise _refuse_outside(path)
        try:
            locate = self._locate_absolute if path.startswith("/") else self._follow
            return locate(path, at_once=at_once)
        except BlockingIOError:
            raise
        except LeadsOutError as error:
            raise _refuse_outside(path) from error
        except OSError as error:
            problem = f"cannot be looked at: {error.strerror}"
            hint = "the daemon's user must be able to follow it on the host"
            raise _refuse(path, problem, rule="missing", hint=hint) from error

    def _follow(self, path: str, *, at_once: bool) -> str:
        directory = self._directory
        below = relative_to(directory.path, directory.root)
        if below is None:
            raise LeadsOutError
        depth = len(below.split("/")) if below else 0
        parts = path.split("/")
        count(parts, depth=depth)
        root = self._open_own_root(at_once=at_once)
        start, top = directory.descriptor, directory.root
        follow(start, parts, depth=depth, root=root, root_path=top, at_once=at_once)
        return path

    def _locate_absolute(self, path: str, *, at_once: bool) -> str:
        mounts = self._directory.mounts
        if mounts is None:
            target = root_path = self._directory.root
            root = self._open_own_root(at_once=at_once)
        else:
            source = self._find(path, mounts)
            root = self._open(source, path, at_once=at_once)
            target, root_path = source.target, real_path(root)
        rest = _cut(path, target)
        parts = rest.split("/")
        count(parts, depth=0)
        follow(root, parts, depth=0, root=root, root_path=root_path, at_once=at_once)
        return join_below(root_path, rest)

    def _find(self, path: str, mounts: Mounts) -> Source:
        # normpath keeps two leading slashes, which are one to the kernel.
        plain = "/" + os.path.normpath(path).lstrip("/")
        try:
            mapping = mounts.find(plain)
        except Unmapped as error:
            raise _refuse_outside(path) from error
        refuse_hidden(mapping, mounts)
        return mapping.source

    def _open(self, source: Source, path: str, *, at_once: bool) -> int:
        if source.directory not in self._opened:
            try:
                opened, _ = open_root(source, self._reserved, at_once=at_once)
                self._opened[source.directory] = opened
            except Denied as error:
                # The message names a host path that the client did not name.
                raise _refuse_outside(path) from error
        return self._opened[source.directory]

    def _open_own_root(self, *, at_once: bool) -> int:
        root = self._directory.root
        if root not in self._opened:
            self._opened[root], _ = open_unlinked(root, at_once=at_once)
        return self._opened[root]


def _cut(path: str, target: str) -> str:
    """Return the rest of `path` after `target`, spelled as it is.

    Raises LeadsOutError if the path reaches the target only by a detour.
    """
    rest = path.lstrip("/")
    for part in filter(None, target.split("/")):
        while rest.startswith("./"):
            rest = rest[2:].lstrip("/")
        first, _, rest = rest.partition("/")
        if first != part:
            raise LeadsOutError
        rest = rest.lstrip("/")
    return rest


def _refuse_outside(path: str) -> Denied:
    return _refuse(
        path,
        "leads out of the workspace",
        rule="outside",
        hint="a command may only use what lies in the directories that the host shares with the "
        f"client; a person on the host can share more by [workspace] in airlock.toml{AND_RELOAD}",
    )


def _refuse(path: str, problem: str, *, rule: str, hint: str) -> Denied:
    return Denied(f"the path {quote(path)} {problem}", layer="workspace", rule=rule, hint=hint)


# After this many paths, other requests get a turn.
_AT_ONCE = 4

Pause = Callable[[], Awaitable[None]]
"""Waits for the agent's next turn."""


async def confine_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    directory: Workspace,
    reserved: Reserved,
    lookups: trio.CapacityLimiter,
    pause: Pause = trio.lowlevel.checkpoint,
) -> tuple[str, ...]:
    """Check that the paths in `args` stay in the workspace; return the arguments for the tool.

    `uses` are the paths that the evaluator found in `args`. A path starting with `/` is the
    client's: it must lie in a mapped directory, and is replaced by the host's path. Everything else
    is unchanged. Raises Denied (layer "workspace") for a path that leads out, and for one that
    differs on the host and cannot be replaced in its argument. Checks that would block run in
    threads of `lookups`.
    """
    if not uses:
        return tuple(args)
    found: dict[str, str] = {}
    with closing(Area(directory, reserved)) as area:
        for number, path in enumerate(dict.fromkeys(use.path for use in uses), start=1):
            try:
                found[path] = area.locate(path, at_once=True)
            except BlockingIOError:
                found[path] = await _locate_in_thread(path, directory, reserved, lookups)
            if number % _AT_ONCE == 0:
                await pause()
    written = [*args]
    for use in sorted(uses, key=lambda use: use.argument):
        # Paths relative to a directory that the tool enters first stay unchanged.
        if use.path != use.text or found[use.text] == use.text:
            continue
        if use.offset is None:
            # On the host this would be another path than the one that was checked.
            raise Denied(
                f"the path {quote(use.text)} cannot be translated to one of the host",
                layer="workspace",
                rule="path",
                hint="a person on the host can map the directory at the same path in both",
            )
        written[use.argument] = args[use.argument][: use.offset] + found[use.text]
    return tuple(written)


async def judge_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    mounts: Mounts,
    reserved: Reserved,
    lookups: trio.CapacityLimiter,
    pause: Pause = trio.lowlevel.checkpoint,
) -> None:
    """Check the paths in `args` for a request without a working directory.

    An absolute path must be mapped by `mounts`. A relative one may not climb above the unknown
    directory, which could be the top of a workspace. Raises Denied as `confine_paths`.
    """
    if not uses:
        return
    directory = Workspace.make_empty(mounts)
    try:
        await confine_paths(
            args, uses, directory=directory, reserved=reserved, lookups=lookups, pause=pause
        )
    finally:
        directory.close()


async def _locate_in_thread(
    path: str, directory: Workspace, reserved: Reserved, lookups: trio.CapacityLimiter
) -> str:
    def locate(descriptor: int) -> str:
        alone = replace(directory, descriptor=descriptor)
        with closing(Area(alone, reserved)) as area:
            return area.locate(path)

    return await look_in_thread(locate, directory.descriptor, lookups)


def find_undecided(paths: Iterable[str], agent: Agent) -> tuple[str, ...]:
    """Those of `paths` that depend on the client's directory or its container's mounts.

    These are absolute ones that the profile does not map, and relative ones that climb above their
    start.
    """
    targets = [mount.target for mount in (*agent.profile.mounts, *agent.profile.same_path)]

    def is_decided(path: str) -> bool:
        if path.startswith("/"):
            plain = "/" + os.path.normpath(path).lstrip("/")
            return path in EVERYWHERE or any(is_within(plain, each) for each in targets)
        try:
            count(path.split("/"), depth=0)
        except LeadsOutError:
            return path in EVERYWHERE
        return True

    return tuple(path for path in paths if not is_decided(path))
