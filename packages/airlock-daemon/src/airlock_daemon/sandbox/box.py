"""A box as a value: what is in it, as the operations that make it, in their order."""

import msgspec

from airlock_daemon.command.order import Bounds
from airlock_daemon.sandbox.doors import Doors
from airlock_daemon.sandbox.marks import Mark

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

    No part of `path` may be a link, and there must stand what had this `mark` when it was found.
    """

    path: str
    target: str
    mark: Mark
    read_only: bool
    is_file: bool = False


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
    of the workspace had this mark.
    """

    what: Shared | Memory | Cover | Null
    target: str
    covers: Mark = None


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

    `directory` is where it starts, as the box calls it; `is_shared` says that this is one of the
    host, which must be the one that was checked. `bounds` are those of its processes, and `sockets`
    says which it may make, on the host's network with `has_network`. `asks` are commands that may
    be asked for from within, over a relay, and `doors` lead to others where it has no network.
    Without `follows` no link in the client's directories leads anywhere. That of docker has a
    `bound` of what may be executed.
    """

    operations: tuple[Operation, ...]
    home: Home | None = None
    inner: tuple[Placed, ...] = ()
    directory: str
    is_shared: bool
    bounds: Bounds
    sockets: str
    has_network: bool = False
    asks: tuple[str, ...] = ()
    doors: Doors | None = None
    follows: bool = True
    bound: Bound | None = None
