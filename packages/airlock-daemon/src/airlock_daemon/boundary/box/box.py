"""A box as a value: its contents, as operations in order, and the key of equal boxes."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.box.listeners import BoxListeners
from airlock_daemon.boundary.command.order import Bounds, Identity
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.platform.linux.openat2 import read_known_status
from airlock_daemon.setup.boxes import BUBBLEWRAP, is_home, runs_git
from airlock_daemon.setup.programs import Programs
from airlock_modules import Module

FileId = tuple[int, ...] | None
"""Identifies a file by its status (stat(2)); None where there is none."""


def identify_descriptor(descriptor: int) -> FileId:
    """The device and inode of an open descriptor."""
    found = read_known_status(descriptor)
    return found.st_dev, found.st_ino


def identify_contents(paths: Iterable[str]) -> tuple[FileId, ...]:
    """Identify files and their contents: this changes with each write to a file, and when an entry
    of a directory comes, goes or is replaced (rename(2)). Links are followed.
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
"""The home of a box: fresh, and gone with it."""

TMP = "/tmp"  # noqa: S108 - a box's own
SHARED_MEMORY = "/dev/shm"  # noqa: S108


class System(msgspec.Struct, frozen=True, tag=True):
    """A path of the host that only the host's owner can write, at the same path or at `target`.

    A link there is followed; it is read-only in the box. What `is_part` of /etc, without a link on
    the way, comes with others like it in a box that has `Devices`; of a file behind a link, the box
    may have a copy on its root. Either takes a tenth of the time of a mount of its own. What
    `is_own` is a file of Airlock's own: the user of the box need not be able to get to where it is.
    """

    path: str
    target: str
    is_copied: bool = False
    is_part: bool = False
    is_own: bool = False


class Shared(msgspec.Struct, frozen=True, tag=True):
    """A directory of the host, or a file, in which others than its owner may write, at `target`.

    No part of `path` may be a link, and what is there must still have this `file_id`. A home that
    `is_kept` lies in the state directory; all else lies outside of the reserved directories.
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
    """A file of the box's own, on its root.

    Where the tool finds it by the `variable` of its environment, it may be at another path; without
    one the host's own file at `target` serves as well.
    """

    content: bytes
    target: str
    variable: str = ""


class Secret(msgspec.Struct, frozen=True, tag=True):
    """A file that only the user of the box can read, as it was fetched for one command."""

    content: bytes
    target: str


class Memory(msgspec.Struct, frozen=True, tag=True):
    """An empty directory in memory, of so many bytes at most."""

    target: str
    mode: int
    size: int


class Folder(msgspec.Struct, frozen=True, tag=True):
    """A directory of the box's user, where nothing is yet; what is above it is there."""

    target: str
    mode: int


class Devices(msgspec.Struct, frozen=True, tag=True):
    """A /dev of the box's own, with the devices that are none."""


class Processes(msgspec.Struct, frozen=True, tag=True):
    """A /proc of the box's own processes."""


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Nothing more may be made at `target`, which is in memory; what is mounted below stays so."""

    target: str


class Cover(msgspec.Struct, frozen=True, tag=True):
    """An empty directory that cannot be written."""


class Null(msgspec.Struct, frozen=True, tag=True):
    """The device /dev/null, over a file."""


class Placed(msgspec.Struct, frozen=True):
    """Something that is mounted at `target` inside of the workspace.

    It is made elsewhere, and the launcher moves it there: no part of the path may be a link, and
    what is not there, or is of another kind, keeps the tool from being started. What it `covers`
    of the workspace had this file_id.
    """

    what: Shared | Memory | Cover | Null
    target: str
    covers: FileId = None


class Home(msgspec.Struct, frozen=True):
    """The human's home at its own `path`, whose writes go to memory of so many bytes.

    It is shown, read-only, and stays so where the kernel can lay nothing over it. What is `hidden`
    is covered, there and elsewhere in the box.
    """

    path: str
    size: int
    hidden: tuple[Placed, ...] = ()


class Bound(msgspec.Struct, frozen=True):
    """What may be executed in a box: the files `programs`, by their paths.

    These are all that can be mapped as code, and the libraries that are `loaded` with them: so a
    loader among them has nothing else to run. Nothing that can be written there is executed or
    mapped so.
    """

    programs: tuple[str, ...]
    loaded: tuple[str, ...]


_Content = System | Shared | Link | Made | Secret
Operation = _Content | Memory | Folder | Devices | Processes | Closed


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """What one command gets: all of the operations, then what is `inner`, and nothing besides.

    `watched` are the files and directories of the host that decided what the operations are.
    `directory` is where it starts, as the box calls it; `is_shared` says that this is one of the
    host, which must be the one that was checked. `bounds` are those of its processes, and `sockets`
    says which it may make, on the host's network with `has_network`. `asks` are commands that may
    be asked for from within, over a relay, and `listeners` lead to others where it has no network.
    Without `follows` no link in the client's directories leads anywhere. That of docker has a
    `bound` of what may be executed.
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
    asks: tuple[str, ...] = ()
    listeners: BoxListeners | None = None
    follows: bool = True
    bound: Bound | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Two boxes of equal keys are interchangeable as long as no command was started in either.

    `box` has everything but where the command starts in it, and identifies what others than its
    owner could replace; `watched` identifies what the owner may have replaced, and the files of
    which a box has a copy.
    """

    bubblewrap: str
    identity: Identity
    box: Box
    watched: tuple[FileId, ...]


def find_key(box: Box, *, bubblewrap: str, identity: Identity) -> Key:
    """The key of a box that is to be made now."""
    return Key(
        bubblewrap=bubblewrap,
        identity=identity,
        box=replace(box, directory="", is_shared=False),
        watched=identify_contents(box.watched),
    )


def list_shared(box: Box) -> list[Shared]:
    """The files of a box that others may write."""
    hidden = () if box.home is None else box.home.hidden
    everything = (*box.operations, *(each.what for each in (*hidden, *box.inner)))
    return [each for each in everything if isinstance(each, Shared)]


def find_kept(box: Box) -> Shared | None:
    """The home that a box keeps, None for a fresh one."""
    shared = (each for each in box.operations if isinstance(each, Shared))
    return next((each for each in shared if each.is_kept), None)


def list_sources(box: Box) -> Iterator[str]:
    """The paths of the host at which what the box shows is found, whoever may write there."""
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
    """The remedy by which bubblewrap makes the boxes, where it does not now."""
    return INSTALL_BUBBLEWRAP if programs.find(BUBBLEWRAP) is None else _LET_BUBBLEWRAP


def refuse(problem: str, remedy: str, *, wanted: str = "this command") -> Denied:
    """The refusal of a command that must have a box and has none; `wanted` names it."""
    return Denied(
        f"there is no box for {wanted} on the host: {problem}",
        layer="sandbox",
        rule="no-box",
        hint=f"a person on the host can put that right: {remedy}; airlock doctor tells more",
    )


@contextmanager
def advising(module: Module) -> Iterator[None]:
    """Have refusals tell what else there is for a command of `module` that has no box."""
    try:
        yield
    except Denied as error:
        if runs_git(module):
            more = _OWN_GIT
        elif is_home(module):
            more = f'; or write [sandbox] box = "none" in {module.source}, to run it without'
        else:
            raise
        hint = f"{error.hint}{more}"
        raise Denied(error.message, layer=error.layer, rule=error.rule, hint=hint) from error
