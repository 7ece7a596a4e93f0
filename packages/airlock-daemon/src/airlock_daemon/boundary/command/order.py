"""The launcher's order for one command, as values and as bytes.

`native/README.md` specifies the messages.
"""

import os
import struct
from collections.abc import Mapping

import msgspec

from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.memfd import make_sealed
from airlock_daemon.setup.profile import Profile
from airlock_modules import Module, select_forwarded

_ORDER = struct.Struct("<IIQ12I4Q")
# As user and group: the launcher's. As sockets: no fence.
_SAME = 0xFFFFFFFF
_UNLIMITED = (1 << 64) - 1
_NO_BOUNDS = (_UNLIMITED,) * 4
_NO_RULES = (_SAME, *(0,) * 5)

# The longest message; longer strings travel in a memfd.
MESSAGE = 65536
MOST_KEPT = 57
"""Limit of extra descriptors in a message."""


class CommandLine(msgspec.Struct, frozen=True):
    """How to start a tool. `program` is absolute; `directory` is an open descriptor.

    Bytes of `argv` and `environment` that are not UTF-8 are surrogates (PEP 383). No string
    contains a NUL.
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: int


class Identity(msgspec.Struct, frozen=True):
    """Numeric user and group of a tool, which is in no further group."""

    user: int
    group: int


class Bounds(msgspec.Struct, frozen=True):
    """Limits of a boxed or fenced tool, and of each of its processes (setrlimit(2)).

    `processes` counts those of its user in its user namespace, or on the host without one; `data`
    is bytes of private memory, `file_size` bytes of a written file; `open_files` cannot be raised.
    None means no limit.
    """

    processes: int | None = None
    data: int | None = None
    file_size: int | None = None
    open_files: int | None = None


class Fence(msgspec.Struct, frozen=True):
    """A tool's confinement without a box: Landlock, and a filter that allows `sockets`
    (native/seccomp/rules.zig). Open descriptors name what it may read, write, and use as a device.
    It may also read all in the directories `opened`, except these themselves and what is `hidden`.
    """

    sockets: int
    read: tuple[int, ...]
    written: tuple[int, ...]
    used: tuple[int, ...]
    opened: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()

    @property
    def rules(self) -> tuple[int, ...]:
        """All of the descriptors."""
        return (*self.read, *self.written, *self.used, *self.opened, *self.hidden)


def encode_order(
    what: CommandLine,
    *,
    nofile: int,
    terminal: int = 0,
    kept: int = 0,
    identity: Identity | None = None,
    fence: Fence | None = None,
    bounds: Bounds | None = None,
    has_group: bool = False,
    before: bytes = b"",
) -> tuple[bytes, tuple[int, ...]]:
    """Encode the order to start `what`, prefixed by `before`; returns it and files to send with it,
    which the caller closes.

    `nofile` is the soft limit of open files, `kept` the number of descriptors from 3 on; the others
    are as in `NativeLauncher.launch`. Raises OSError.
    """
    strings = _join(what)
    header = before + _ORDER.pack(
        len(what.argv),
        len(what.environment),
        nofile,
        terminal,
        len(strings),
        kept,
        _SAME if identity is None else identity.user,
        _SAME if identity is None else identity.group,
        *(_NO_RULES if fence is None else _count_rules(fence)),
        has_group,
        *(_NO_BOUNDS if bounds is None else _list_bounds(bounds)),
    )
    if len(header) + len(strings) <= MESSAGE:
        return header + strings, ()
    return header, (_make_file(strings),)


def refuse_box() -> Denied:
    """The refusal of all that needs a box, where the system has none."""
    return Denied(
        "this command runs in a box, and macOS hosts have none",
        layer="sandbox",
        rule="no-box",
        hint="let the image have the tool, and reach its service by the broker "
        '(airlock show NAME --security); a person may set box = "none" in a module of their own',
    )


def _join(what: CommandLine) -> bytes:
    words = [what.program, *what.argv]
    words += [f"{name}={value}" for name, value in what.environment.items()]
    words.append("")
    return "\0".join(words).encode("utf-8", "surrogateescape")


def _list_bounds(bounds: Bounds) -> list[int]:
    wanted = (bounds.processes, bounds.data, bounds.file_size, bounds.open_files)
    return [_UNLIMITED if each is None else each for each in wanted]


def _count_rules(fence: Fence) -> tuple[int, ...]:
    kinds = (fence.read, fence.written, fence.used, fence.opened, fence.hidden)
    return (fence.sockets, *map(len, kinds))


def _make_file(strings: bytes) -> int:
    """Put the strings into a memfd."""
    # The launcher maps it: sealed, it cannot shrink below the size in the header.
    return make_sealed("airlock-command", strings)


_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

BASE = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SHELL"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        *_PROXIES,
        *(name.upper() for name in _PROXIES),
    )
)


def build_environment(
    module: Module,
    profile: Profile,
    *,
    daemon: Mapping[str, str],
    search_path: str,
    client: Mapping[str, str] = {},
    term: str | None = None,
    root: str | None = None,
    is_boxed: bool = False,
) -> dict[str, str]:
    """Build the environment variables of a command of `module`.

    In this order, later ones winning: base variables and those that the module inherits, from
    `daemon`; those that it forwards, from `client`; the profile's `[env] set`; the module's
    `strip`, which removes; the module's `set`; and for git outside a box the protocols that the
    profile grants, and `root` as the topmost directory for finding a repository, None for any.
    `search_path` is PATH, and `term` is TERM, None without a terminal. Values are unchanged, but a
    client's locale or time zone that could be a file is omitted.
    """
    environment = {
        name: value
        for name, value in daemon.items()
        if name in BASE or name.startswith("LC_") or name in module.inherit
    }
    environment["PATH"] = search_path
    if term:
        environment["TERM"] = term
    environment.update(select_forwarded(client, module.forward))
    environment.update(profile.env)
    for name in module.strip:
        environment.pop(name, None)
    environment.update(module.set)
    if module.name != "git" or is_boxed:
        return environment
    if profile.git_protocols is not None:
        environment["GIT_ALLOW_PROTOCOL"] = ":".join(profile.git_protocols)
    if root is not None:
        # A repository of the human could lie above it.
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(root)
    return environment
