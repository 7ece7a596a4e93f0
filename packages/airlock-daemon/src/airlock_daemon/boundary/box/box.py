"""A box as a value: its contents, as ordered operations, and the key that equal boxes share."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.box.listeners import BoxListeners
from airlock_daemon.boundary.command import Bounds, Identity
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.platform.system import read_known_status
from airlock_daemon.setup.generation import BoxConfig, Programs
from airlock_modules import Module

FileId = tuple[int, ...] | None
"""Identifies a file by its status (stat(2)); None if it does not exist."""


def identify_descriptor(descriptor: int) -> FileId:
    """The device and inode of an open descriptor."""
    found = read_known_status(descriptor)
    return found.st_dev, found.st_ino


def identify_contents(paths: Iterable[str]) -> tuple[FileId, ...]:
    """Identify files with their contents: an id changes with each write to a file, and when a
    directory's entry is added, removed or replaced (rename(2)). Symlinks are followed.
    """
    return tuple(map(_identify_content, paths))


def _identify_content(path: str) -> FileId:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


SOCKETS = {"none": 0, "inet": 1, "unix": 2, "inet and unix": 3, "inet and udp": 4}
"""The launcher's numbers (`native/seccomp/rules.zig`) for `[sandbox] sockets` of a module, and for
the sockets of the class "home"."""

HOME = "/home/airlock"
"""A box's fresh home, removed with the box."""

TMP = "/tmp"  # noqa: S108 - a box's own
SHARED_MEMORY = "/dev/shm"  # noqa: S108


class System(msgspec.Struct, frozen=True, tag=True):
    """A path that only the host's owner can write, shown read-only at `target`.

    Symlinks are followed. `is_part`: a path in /etc without a symlink, which the launcher mounts in
    a box with `Devices`. `is_copied`: a file behind a symlink, of which the box may have a copy on
    its root. Either takes a tenth of the time of its own mount. `is_own`: a file of Airlock's; the
    box's user need not be able to enter its directory.
    """

    path: str
    target: str
    is_copied: bool = False
    is_part: bool = False
    is_own: bool = False


class Shared(msgspec.Struct, frozen=True, tag=True):
    """A host directory or file that others than its owner may write, at `target`.

    No part of `path` may be a symlink, and it must still have this `file_id`. A kept home
    (`is_kept`) lies in the state directory; all else lies outside the reserved directories.
    """

    path: str
    target: str
    file_id: FileId
    read_only: bool
    is_file: bool = False
    is_kept: bool = False


class Link(msgspec.Struct, frozen=True, tag=True):
    """A symbolic link to `text`."""

    text: str
    target: str


class Made(msgspec.Struct, frozen=True, tag=True):
    """A file that the daemon writes, on the box's root.

    A tool that finds it by the environment `variable` can use another path; without a variable the
    host's own file at `target` also serves.
    """

    content: bytes
    target: str
    variable: str = ""


class Memory(msgspec.Struct, frozen=True, tag=True):
    """An empty tmpfs, of at most `size` bytes."""

    target: str
    mode: int
    size: int


class Folder(msgspec.Struct, frozen=True, tag=True):
    """A new directory of the box's user; its parent exists."""

    target: str
    mode: int


class Devices(msgspec.Struct, frozen=True, tag=True):
    """The box's own /dev, with only harmless devices such as null."""


class Processes(msgspec.Struct, frozen=True, tag=True):
    """A /proc of the box's own processes."""


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Makes the tmpfs at `target` read-only; mounts below it are unaffected."""

    target: str


class Cover(msgspec.Struct, frozen=True, tag=True):
    """An empty read-only directory."""


class Null(msgspec.Struct, frozen=True, tag=True):
    """/dev/null, mounted over a file."""


class Placed(msgspec.Struct, frozen=True):
    """A mount at `target` inside the workspace.

    It is made elsewhere and moved there by the launcher: no part of the path may be a symlink, and
    the tool does not start if the target is missing or of another kind. `covers` is the file_id of
    the workspace's file that it covers, with `is_mount` the root of a mount of the host's: the
    launcher makes no box in which it finds another file there.
    """

    what: Shared | Memory | Cover | Null
    target: str
    covers: FileId = None
    is_mount: bool = False


class Home(msgspec.Struct, frozen=True):
    """The human's home at its own `path`; writes go to an overlay in memory of `size` bytes.

    It stays read-only if the kernel cannot make an overlay. `hidden` paths are covered, there and
    elsewhere in the box.
    """

    path: str
    size: int
    hidden: tuple[Placed, ...] = ()


_Content = System | Shared | Link | Made
Operation = _Content | Memory | Folder | Devices | Processes | Closed


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """What one command gets: the `operations`, then the `inner` mounts, and nothing else.

    `watched` are host files and directories that determined the operations. `directory` is the
    working directory in the box; `is_shared`: it is on the host, and must be the one that was
    checked. `bounds` limit the box's processes; `sockets` says which kinds they may create, on the
    host's network with `has_network`. `requests` are commands that may be requested from within,
    over a relay; `listeners` lead out of a box without network. Without `follows`, symlinks in the
    client's directories are not followed.
    """

    operations: tuple[Operation, ...]
    watched: tuple[str, ...] = ()
    home: Home | None = None
    inner: tuple[Placed, ...] = ()
    directory: str = ""
    is_shared: bool = False
    bounds: Bounds
    sockets: str
    has_network: bool = False
    requests: tuple[str, ...] = ()
    listeners: BoxListeners | None = None
    follows: bool = True

    @property
    def kept_home(self) -> Shared | None:
        """Its kept home; None if its home is fresh."""
        shared = (each for each in self.operations if isinstance(each, Shared))
        return next((each for each in shared if each.is_kept), None)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes with equal keys are interchangeable until a command starts in one.

    `box` is all but the working directory, and identifies what others than the owner could replace;
    `watched` identifies what the owner may have replaced, and files that a box copies.
    """

    bubblewrap: str
    identity: Identity
    box: Box
    watched: tuple[FileId, ...]


def find_key(box: Box, *, bubblewrap: str, identity: Identity) -> Key:
    """The key of a box that is made now."""
    return Key(
        bubblewrap=bubblewrap,
        identity=identity,
        box=replace(box, directory="", is_shared=False),
        watched=identify_contents(box.watched),
    )


def list_shared(box: Box) -> list[Shared]:
    """A box's files that others may write."""
    hidden = () if box.home is None else box.home.hidden
    everything = (*box.operations, *(each.what for each in (*hidden, *box.inner)))
    return [each for each in everything if isinstance(each, Shared)]


def list_sources(box: Box) -> Iterator[str]:
    """The host paths of all that the box shows, whoever may write there."""
    for each in box.operations:
        match each:
            case System(path=path):
                yield path
                yield os.path.realpath(path)
            case Devices():
                yield "/dev"
    yield from (each.path for each in list_shared(box))


INSTALL_BUBBLEWRAP = "sudo apt-get install bubblewrap"

_LET_BUBBLEWRAP = (
    f'let bubblewrap make boxes, with mode = "auto" in [sandbox] of config.toml{AND_RELOAD}'
)

_OWN_GIT = (
    '; or grant commands = ["git-remote"], and put the container\'s own git to use: airlock-shim '
    "--install-git, where its image is built"
)


def find_bubblewrap_remedy(programs: Programs) -> str:
    """The remedy that makes bubblewrap available."""
    return INSTALL_BUBBLEWRAP if programs.find(BoxConfig.BUBBLEWRAP) is None else _LET_BUBBLEWRAP


def refuse(problem: str, remedy: str, *, wanted: str = "this command") -> Denied:
    """The refusal of a command whose required box cannot be made; `wanted` names it."""
    return Denied(
        f"there is no box for {wanted} on the host: {problem}",
        layer="sandbox",
        rule="no-box",
        hint=f"a person on the host can put that right: {remedy}; airlock doctor tells more",
    )


@contextmanager
def advising(module: Module) -> Iterator[None]:
    """Add alternatives to the refusal of a command of `module` that has no box."""
    try:
        yield
    except Denied as error:
        if module.runs_git:
            more = _OWN_GIT
        elif module.shows_home:
            more = f'; or write [sandbox] box = "none" in {module.source}, to run it without'
        else:
            raise
        hint = f"{error.hint}{more}"
        raise Denied(error.message, layer=error.layer, rule=error.rule, hint=hint) from error
