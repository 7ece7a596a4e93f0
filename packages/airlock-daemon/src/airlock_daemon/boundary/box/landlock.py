"""Starts a command in a fence (Landlock and a seccomp filter), where namespaces are unavailable.

It sees host paths, so nothing can be shown at another path. Instead of /tmp and a home it has one
empty directory of its own.
"""

import os
import resource
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import SOCKETS, Box, Made, Placed, Shared, System, refuse
from airlock_daemon.boundary.box.inner_mounts import opened
from airlock_daemon.boundary.box.launch import Leftover, list_leftovers
from airlock_daemon.boundary.box.transports import TRANSPORTS, link_transports
from airlock_daemon.boundary.command import (
    CommandLine,
    Fence,
    Group,
    Identity,
    Launch,
    Launcher,
    cannot_start,
)
from airlock_daemon.boundary.workspace.directory import Mounts
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import LOOK, MountTable
from airlock_daemon.setup.generation import Reserved
from airlock_wire import quote

_READ_DEVICES = ("/dev/random", "/dev/urandom")
_USED_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")

_OF_THE_SYSTEM = "-of-the-system"

_PATH = LOOK | os.O_CLOEXEC


def refuse_unshowable(box: Box, mounts: Mounts | None, *, remedy: str) -> None:
    """Raise Denied (rule "no-box") if a fence cannot show what `box` does, or would show more.

    `mounts` are the client container's; `remedy` is how to get bubblewrap.
    """
    if box.listeners is not None:
        what = "[[api]]" if box.listeners.apis else "[sandbox] network"
        if not box.listeners.tcp_addresses:
            what = 'the broker "docker"'
        raise refuse(
            f"this host has Landlock alone, and {what} needs a network of the box's own",
            remedy,
        )
    if not box.follows:
        raise refuse(
            "this host has Landlock alone, and [sandbox] links = false needs mounts of a box's own",
            remedy,
        )
    if box.sockets != "none" and not box.has_network:
        raise refuse(
            "this host has Landlock alone, under which sockets would be those of the host",
            remedy,
        )
    inner = [each for each in box.inner if not _is_in_place(each)]
    if inner:
        raise refuse(
            "this host has Landlock alone, which shows nothing of what the container has mounted "
            f"inside of its workspace, such as {quote(inner[0].target)}",
            "mount it outside of the workspace",
        )
    written = next(filter(None, (_find_written(each, box) for each in box.inner)), None)
    if written is not None:
        raise refuse(
            "this host has Landlock alone, under which a command could write what the container "
            f"has read-only inside of its workspace, such as {quote(written)}",
            f"{remedy}; or mount it outside of the workspace",
        )
    for operation in box.operations:
        match operation:
            case System(path=path, target=target) | Shared(path=path, target=target):
                if path != target and isinstance(operation, Shared):
                    raise refuse(
                        "this host has Landlock alone, which shows a workspace at the host's own "
                        f"path, {quote(path)}",
                        "mount it there in the container too",
                    )
                if path != target and os.path.realpath(target) != path:
                    raise refuse(
                        f"this host has Landlock alone, which cannot show {quote(path)} elsewhere",
                        remedy,
                    )
            case _:
                pass
    if mounts is not None and mounts.makes_devices:
        _refuse_devices(box, mounts.host_rows, remedy)


def _refuse_devices(box: Box, host: MountTable, remedy: str) -> None:
    for each in (*box.operations, *(placed.what for placed in box.inner)):
        if isinstance(each, Shared):
            row = host.find(each.path)
            if row is None or not row.no_devices:
                raise refuse(
                    "this host has Landlock alone, which does not tell devices from files, and "
                    f"root of the container may make some in {quote(each.path)}, as far as can be "
                    "told",
                    f"{remedy}; or start the container with --cap-drop MKNOD, or mount that "
                    "directory with nodev on the host",
                )


def _is_in_place(placed: Placed) -> bool:
    """Whether it is a host directory at its own path."""
    return isinstance(placed.what, Shared) and placed.what.path == placed.target


def _find_written(placed: Placed, box: Box) -> str | None:
    """The path of a read-only directory below a writable one, whose rule Landlock would add."""
    if not (isinstance(placed.what, Shared) and placed.what.read_only):
        return None
    path = placed.what.path
    shown = (*box.operations, *(each.what for each in box.inner))
    above = (each for each in shown if isinstance(each, Shared) and not each.read_only)
    return path if any(is_within(path, each.path) for each in above) else None


@asynccontextmanager
async def private_directory(
    identity: Identity, removals: trio.CapacityLimiter
) -> AsyncIterator[Workspace]:
    """An empty directory owned by `identity`, removed on exit."""
    made = Workspace.make_empty(None)
    try:
        if identity.user != os.geteuid():
            os.fchown(made.descriptor, identity.user, identity.group)
        yield made
    finally:
        await made.release(removals)


class LandlockRunner(msgspec.Struct, frozen=True, kw_only=True):
    """Starts commands in a fence with `launcher`, as `identity`.

    `private` is the home, `group` the cgroup, if any. `reserved` paths are not shown. Opening that
    would block is done in threads of `lookups`.
    """

    launcher: Launcher
    identity: Identity
    reserved: Reserved
    lookups: trio.CapacityLimiter
    private: Workspace
    group: Group | None

    async def start(
        self,
        what: CommandLine,
        standard: Sequence[int],
        box: Box,
        *,
        terminal: int = 0,
        kept: Sequence[int] = (),
    ) -> Launch:
        """Start `what` in the fence for `box`, otherwise as `NativeLauncher.launch`.

        Raises Denied and Failed.
        """
        private, identity, group = self.private, self.identity, self.group
        try:
            environment = _make_environment(what, box, private)
            if not box.is_shared and identity.user != os.geteuid():
                os.fchown(what.directory, identity.user, identity.group)
            async with AsyncExitStack() as stack:
                shared = await stack.enter_async_context(opened(box, self.reserved, self.lookups))
                return await self.launcher.launch(
                    replace(what, environment=environment),
                    standard,
                    terminal=terminal,
                    kept=kept,
                    identity=None if identity.user == os.geteuid() else identity,
                    fence=_open_fence(box, what, private, shared, stack),
                    bounds=replace(box.bounds, processes=_find_processes()),
                    group=None if group is None else group.descriptor,
                )
        except OSError as error:
            raise cannot_start(what.program, error) from error

    def find_leftovers(self) -> tuple[Leftover, ...]:
        """List the files that the tool left in its home."""
        try:
            return list_leftovers(self.private.path, _is_made)
        except OSError:
            # The tool removed its permissions; nothing in there is kept anyway.
            return ()


def _make_environment(what: CommandLine, box: Box, private: Workspace) -> dict[str, str]:
    """The tool's variables, with those for its own files. Raises OSError."""
    environment = {**what.environment, "TMPDIR": private.path}
    if box.home is None:
        environment["HOME"] = private.path
    else:
        # The home itself is read-only.
        environment["XDG_CACHE_HOME"] = private.path
    environment |= _make_files(box, private)
    if box.requests:
        environment |= link_transports(private, environment.get("PATH", os.defpath))
    return environment


def _is_made(name: str) -> bool:
    """Whether this entry of the tool's home was made for it."""
    return name in TRANSPORTS or name.endswith(_OF_THE_SYSTEM)


def _find_processes() -> int | None:
    """The limit of the user's processes, beyond which the tool cannot fork.

    They are counted on the whole host, so the daemon and others keep the last quarter.
    """
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return None if limit == resource.RLIM_INFINITY else limit - limit // 4


def _make_files(box: Box, private: Workspace) -> dict[str, str]:
    """Write the files that the tool finds by a variable; returns those variables."""
    found = {}
    for operation in box.operations:
        if isinstance(operation, Made) and operation.variable:
            name = f".{os.path.basename(operation.target)}{_OF_THE_SYSTEM}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o444, dir_fd=private.descriptor)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o444)
                file.write(operation.content)
            found[operation.variable] = os.path.join(private.path, name)
    return found


def _open_fence(
    box: Box,
    what: CommandLine,
    private: Workspace,
    shared: Mapping[Shared, int],
    stack: AsyncExitStack,
) -> Fence:
    read: list[int] = [] if box.is_shared else [what.directory]
    written = [private.descriptor]

    def hold(descriptor: int) -> int:
        stack.callback(os.close, descriptor)
        return descriptor

    def find(paths: Sequence[str]) -> list[int]:
        return [hold(os.open(path, _PATH)) for path in paths if os.path.exists(path)]

    hidden = [] if box.home is None else [each.target for each in box.home.hidden]
    opened = list(dict.fromkeys(_find_above(hidden, box)))
    for operation in (*box.operations, *(placed.what for placed in box.inner)):
        match operation:
            case System(path=path) if path in opened:
                pass
            case System(path=path):
                read.append(hold(os.open(path, _PATH)))
            case Made(target=target, variable=""):
                # The host's own file instead: neither holds a secret.
                read += find((target,))
            case Shared(read_only=read_only):
                (read if read_only else written).append(shared[operation])
            case _:
                pass
    return Fence(
        sockets=SOCKETS[box.sockets],
        read=(*read, *find(_READ_DEVICES)),
        written=tuple(written),
        used=tuple(find(_USED_DEVICES)),
        opened=tuple(find(opened)),
        hidden=tuple(find(hidden)),
    )


def _find_above(hidden: Sequence[str], box: Box) -> Iterator[str]:
    """The directories shown by `box` that must be opened up because they contain `hidden` paths."""
    shown = [each.path for each in box.operations if isinstance(each, System)]
    for path in hidden:
        above = os.path.dirname(path)
        while any(is_within(above, place) for place in shown):
            yield above
            above = os.path.dirname(above)
