"""Builds the command line of bubblewrap (bwrap(1), 0.10 or newer) for a box."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from airlock_daemon.boundary.box.box import (
    HOME,
    SOCKETS,
    Box,
    Closed,
    Cover,
    Devices,
    Folder,
    Link,
    Made,
    Memory,
    Null,
    Operation,
    Placed,
    Processes,
    Shared,
    System,
)
from airlock_daemon.boundary.command import MAX_KEPT, CommandLine, Identity
from airlock_daemon.errors import Denied
from airlock_daemon.path_text import is_within
from airlock_daemon.setup.generation import BoxConfig

# bubblewrap reads the whole mount table for each mount, so each is slower the more mounts the host
# has; the launcher reads none (`native/parts.zig`). So bubblewrap mounts a few whole directories,
# from which the launcher takes parts; the tool never sees the whole.

# Keep in step with `native/parts.zig`.
_WHOLE = "/dev/.host"
_ETC = "/etc"
# Directories and symlinks do not count towards it.
_BYTES = "4096"


def find_parts(box: Box) -> tuple[System, ...]:
    """The parts of /etc that the launcher mounts.

    A part inside or around another target is left to bubblewrap, which keeps the box's order.
    """
    if Devices() not in box.operations:
        return ()
    parts, others = list[System](), list[str]()
    for each in box.operations:
        if isinstance(each, System) and each.is_part:
            parts.append(each)
        elif not isinstance(each, Devices | Processes) and is_within(each.target, _ETC):
            others.append(each.target)
    return tuple(
        part
        for part in parts
        if not any(is_within(each, part.target) or is_within(part.target, each) for each in others)
    )


def spell_wholes(parts: Sequence[System]) -> Iterator[str]:
    """The arguments that make the box's /dev, and the whole directories in it."""
    for mode, target in (("0755", "/dev"), ("0700", _WHOLE)):
        yield from ("--perms", mode, "--size", _BYTES, "--tmpfs", target)
    yield from ("--dev-bind", "/dev", f"{_WHOLE}/dev")
    if parts:
        yield from ("--ro-bind", _ETC, _WHOLE + _ETC)


def spell_place(part: System) -> list[str]:
    """The arguments that make a part's parent directory."""
    place = part.target.rpartition("/")[0]
    return [] if place == _ETC else ["--perms", "0755", "--dir", place]


def list_parts(box: Box, parts: Sequence[System]) -> Iterator[str]:
    """Pairs for the launcher: the source and target of each part, and what to make read-only."""
    if Devices() in box.operations:
        yield from ("d", "/dev")
    for part in parts:
        yield from (_WHOLE + part.path, part.target)
    for each in (*box.operations, Closed("/")):
        if isinstance(each, Closed):
            yield from ("r", each.target)


# Descriptor numbers after the launcher's hand-over: bubblewrap's arguments, the launcher, its
# control socket.
_FIRST = 3
_LIST, _LAUNCHER, _CONTROL = _FIRST, _FIRST + 1, _FIRST + 2

# Mounts for inside the workspace are made here; the launcher moves them.
_STAGE = "/run/airlock"
# Upper layer of the human's home, in memory. Keep in step with `native/box.zig`.
_WRITTEN = f"{_STAGE}/home"
_COVER_BYTES = 4096

# To finish the box, the launcher must be root in it and have these, the last one to change user at
# the end (user_namespaces(7)); it drops them all.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETFCAP")

_BASE = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup"),
    *("--die-with-parent", "--hostname", "airlock", "--as-pid-1"),
    *("--uid", "0", "--gid", "0", "--cap-drop", "ALL"),
    *(word for name in _CAPABILITIES for word in ("--cap-add", name)),
)


class BoxCommand(msgspec.Struct, frozen=True):
    """A command that makes a box, and the descriptors that it keeps, from 3 on."""

    command_line: CommandLine
    kept: tuple[int, ...]


@contextmanager
def prepare(
    box: Box,
    program: str,
    *,
    launcher: str,
    identity: Identity,
    control: int,
    listeners: int | None,
    root: int,
    shared: Mapping[Shared, int],
) -> Iterator[BoxCommand]:
    """Open what `program`, bubblewrap, needs to make `box`; closes it on exit.

    The launcher in the box takes its order from the socket `control`, and becomes `identity`. Over
    `listeners` it sends the box's listening sockets. `root` is the host's `/`; `shared` has the
    open descriptors. Raises Denied for too many mounts, and OSError.
    """
    with ExitStack() as stack:
        words = [*_BASE, *_spell_network(box)]
        if box.home is not None:
            # The kernel's overlay creates a directory that its owner cannot read otherwise.
            words += ["--cap-add", "CAP_DAC_OVERRIDE"]
        parts = find_parts(box)
        held: list[int] = []

        def hold(descriptor: int) -> str:
            stack.callback(os.close, descriptor)
            held.append(descriptor)
            return str(_CONTROL + len(held))

        def keep_shared(what: Shared) -> str:
            return hold(os.dup(shared[what]))

        for operation in box.operations:
            match operation:
                case Shared(target=target):
                    words += _spell_shared(operation, target, keep_shared)
                case Made():
                    words += _spell_content(operation, hold)
                case System():
                    words += _spell_system(operation, hold, identity, parts)
                case Devices():
                    words += spell_wholes(parts)
                case _:
                    words += _spell(operation)
        if box.home is not None:
            words += _spell(Memory(_WRITTEN, 0o700, box.home.size))
        inner = box.inner if box.home is None else (*box.home.hidden, *box.inner)
        for index, placed in enumerate(inner):
            words += _spell_placed(placed.what, f"{_STAGE}/{index}", keep_shared)
        way_out = "-" if listeners is None else hold(os.dup(listeners))
        if len(held) + 3 > MAX_KEPT:
            raise Denied(
                f"a box of {len(held)} mounts and files is more than can be made",
                layer="sandbox",
                rule="mounts",
                hint="mount less inside of the workspace",
            )
        listed = _make_file("\0".join(words).encode("utf-8", "surrogateescape"))
        stack.callback(os.close, listed)
        binary = os.open(launcher, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, binary)
        # Arguments are visible to other users, so host paths are passed in a file.
        argv = (
            *(BoxConfig.BUBBLEWRAP, "--args", str(_LIST), "--"),
            *(f"/proc/self/fd/{_LAUNCHER}", str(_CONTROL)),
            *(str(identity.user), str(identity.group), str(SOCKETS[box.sockets])),
            _spell_home(box),
            *(way_out, "-" if box.listeners is None else box.listeners.addresses),
            *list_parts(box, parts),
            *_list_moves(inner),
            *(word for target in _list_unfollowed(box) for word in ("-", target)),
        )
        yield BoxCommand(CommandLine(program, argv, {}, root), (listed, binary, control, *held))


def _spell_home(box: Box) -> str:
    if box.home is not None:
        return box.home.path
    return "-" if box.kept_home is None else "kept"


def _list_moves(inner: Sequence[Placed]) -> Iterator[str]:
    """Pairs for the launcher: what it must find at a target, and what it moves there."""
    for index, placed in enumerate(inner):
        if placed.covers is not None:
            device, inode = placed.covers
            mark = "@" if placed.is_mount else "="
            yield from (f"{mark}{os.major(device)}:{os.minor(device)}:{inode}", placed.target)
        yield from (f"{_STAGE}/{index}", placed.target)


def _list_unfollowed(box: Box) -> Iterator[str]:
    """The mounts in which, and in whose inner mounts, symlinks are not followed."""
    if not box.follows:
        yield from (each.target for each in box.operations if isinstance(each, Shared))


def _spell_network(box: Box) -> Iterator[str]:
    if not box.has_network:
        yield "--unshare-net"
    if box.listeners is not None:
        # A destination on this host may have a port below 1024.
        yield from ("--cap-add", "CAP_NET_BIND_SERVICE")


def _spell(operation: Operation) -> list[str]:
    match operation:
        case Link(text=text, target=target):
            return ["--symlink", text, target]
        case Memory(target=target, mode=mode, size=size):
            return ["--perms", f"{mode:04o}", "--size", str(size), "--tmpfs", target]
        case Folder(target=target, mode=mode):
            return ["--perms", f"{mode:04o}", "--dir", target]
        case Processes():
            return ["--proc", "/proc"]
        case Closed():
            # The launcher does this, as it still has to create files there.
            return []
        case _:
            raise TypeError(operation)


def _spell_system(
    what: System, hold: Callable[[int], str], identity: Identity, parts: Sequence[System]
) -> list[str]:
    if what in parts:
        return spell_place(what)
    if what.is_copied:
        number = hold(os.open(what.path, os.O_RDONLY | os.O_CLOEXEC))
        return ["--perms", "0444", "--file", number, what.target]
    if what.is_own and identity.user != os.geteuid():
        # bubblewrap resolves a descriptor's path too, so pass a copy of the content.
        number = hold(os.open(what.path, os.O_RDONLY | os.O_CLOEXEC))
        return ["--perms", "0555", "--ro-bind-data", number, what.target]
    return ["--ro-bind", what.path, what.target]


def _spell_content(what: Made, hold: Callable[[int], str]) -> Iterator[str]:
    yield from _spell_directories(what.target)
    # The root becomes read-only in the end.
    yield from ("--perms", "0444", "--file", hold(_make_file(what.content)), what.target)


def _spell_directories(target: str) -> Iterator[str]:
    """Make the parents of a file in the home, which some tools require their user to own."""
    inside = target.removeprefix(f"{HOME}/")
    if inside != target:
        parts = inside.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            yield from ("--perms", "0700", "--dir", "/".join((HOME, *parts[:count])))


def _spell_shared(what: Shared, target: str, hold: Callable[[Shared], str]) -> list[str]:
    return ["--ro-bind-fd" if what.read_only else "--bind-fd", hold(what), target]


def _spell_placed(
    what: Shared | Memory | Cover | Null, target: str, hold: Callable[[Shared], str]
) -> list[str]:
    match what:
        case Shared():
            return _spell_shared(what, target, hold)
        case Memory(mode=mode, size=size):
            return _spell(Memory(target, mode, size))
        case Null():
            return ["--dev-bind", os.devnull, target]
        case Cover():
            return [*_spell(Memory(target, 0o555, _COVER_BYTES)), "--remount-ro", target]


def _make_file(content: bytes) -> int:
    descriptor = os.memfd_create("airlock-box", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
