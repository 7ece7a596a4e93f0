"""The host's system in a box: programs with their files, /etc, and access to APIs."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import HOME, Box, Made, Operation, System
from airlock_daemon.boundary.command import Identity
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import expand_home, is_within
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.generation import BUNDLE, PUBLISHED, SOCKET_DIRECTORY, Programs
from airlock_wire import quote

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""The system's own directories, which every box has if they exist."""

# The kernel's limit of symlinks in one path (path_resolution(7)).
_MAX_LINKS = 40
# Limit of a script's first line (execve(2)).
_MAX_LINE = 256


class HostFiles(msgspec.Struct, frozen=True):
    """The host files that a program needs, and the files that were read to find them."""

    shown: tuple[str, ...]
    read: tuple[str, ...]


def find_host_files(
    program: str, *, home: str, path: str, seen: tuple[str, ...], everywhere: bool = False
) -> HostFiles:
    """Find the host files that a box needs for `program`, an absolute path.

    These are the program's installation prefix, that of the interpreter in its first line (searched
    on `path` for env(1)), and that of a virtual environment's Python. Paths in `seen` are in the
    box already. `home` is the human's, which is never shown for a program in it. Raises Denied for
    a program outside any bin directory; with `everywhere` its directory is shown.
    """
    found: dict[str, None] = {}
    read: dict[str, None] = {}
    waiting = [program]
    while waiting:
        name = waiting.pop()
        if name in read:
            continue
        read[name] = None
        for hop in _follow(name):
            is_there = any(is_within(hop, place) for place in (*SYSTEM, *seen, *found))
            if is_there or not os.path.lexists(hop):
                # execve(2) reports a missing file.
                continue
            place = _find_place(hop, home, everywhere=everywhere)
            found[place] = None
            settings = os.path.join(place, "pyvenv.cfg")
            read[settings] = None
            waiting += _find_python(settings)
        waiting += _find_interpreter(os.path.realpath(name), path)
    return HostFiles(tuple(found), tuple(read))


def list_deciding(paths: Iterable[str]) -> Iterator[str]:
    """The directories whose entries determine what `paths` lead to, including those of symlinks."""
    for path in paths:
        yield os.path.dirname(path)
        yield from map(os.path.dirname, _follow(path))


def _follow(name: str) -> Iterator[str]:
    """Follow a program's symlinks: a program may be called by a symlink's name."""
    for _ in range(_MAX_LINKS):
        # Symlinks among its directories do not change the program's name.
        name = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
        yield name
        if not os.path.islink(name):
            return
        name = os.path.join(os.path.dirname(name), os.readlink(name))


def _find_place(file: str, home: str, *, everywhere: bool) -> str:
    directory = os.path.dirname(file)
    prefix = os.path.dirname(directory)
    if os.path.basename(directory) not in ("bin", "sbin"):
        if everywhere:
            return directory if prefix != directory else file
        raise Denied(
            f"the program {quote(file)} cannot be shown in a box: it lies in no bin directory",
            layer="sandbox",
            rule="program",
            hint="a person on the host can name what it needs in [sandbox] read of its module"
            f"{AND_RELOAD}",
        )
    if is_within(os.path.realpath(home), prefix) or prefix == os.path.join(home, ".local"):
        return file
    return prefix


def _find_python(settings: str) -> Iterator[str]:
    """The base Python of a virtual environment with these settings."""
    try:
        with open(settings, encoding="utf-8") as file:
            lines = [line.partition("=") for line in file]
    except (OSError, ValueError):
        return
    for key, _, value in lines:
        if key.strip() == "home" and os.path.isabs(value.strip()):
            yield os.path.join(value.strip(), "python3")


def _find_interpreter(file: str, path: str) -> Iterator[str]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        line = os.read(descriptor, _MAX_LINE) if is_file else b""
    finally:
        os.close(descriptor)
    if not line.startswith(b"#!"):
        return
    words = os.fsdecode(line[2:].partition(b"\n")[0]).split()
    if words and os.path.isabs(words[0]):
        yield words[0]
        if os.path.basename(words[0]) == "env":
            name = next((word for word in words[1:] if not word.startswith("-")), "")
            found = Programs(path).find(name) if name else None
            if found is not None:
                yield found


# Public files, if they exist: libraries, programs, certificates, and name tables. None contains a
# secret or identifies the host.
_PUBLIC = (
    *("ld.so.cache", "alternatives", "localtime", "services", "protocols", "mime.types"),
    *("ssl/certs", "ssl/openssl.cnf", "ca-certificates", "crypto-policies"),
    *("pki/tls/certs", "pki/ca-trust/extracted"),
    *("terminfo", "locale.alias", "host.conf", "gai.conf"),
)
PUBLIC = tuple(f"/etc/{name}" for name in _PUBLIC)
"""The same as absolute paths, whether they exist or not."""

_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_HOSTS = Made(b"127.0.0.1 localhost airlock\n::1 localhost\n", "/etc/hosts")


def name_hosts(box: Box, hosts: Iterable[tuple[str, str]]) -> Box:
    """Add pairs of an address and a name to the box's /etc/hosts."""
    lines = "".join(f"{address} {name}\n" for address, name in hosts)
    more = replace(_HOSTS, content=_HOSTS.content + lines.encode())
    operations = (more if each == _HOSTS else each for each in box.operations)
    return replace(box, operations=tuple(operations))


def make_etc(identity: Identity) -> Iterator[Operation]:
    """The contents of /etc for tools that run as `identity`, named airlock in the box."""
    user, group = identity.user, identity.group
    passwd = f"airlock:x:{user}:{group}:airlock:{HOME}:/bin/sh\n"
    passwd += "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" if user != 65534 else ""
    groups = f"airlock:x:{group}:\n" + ("nogroup:x:65534:\n" if group != 65534 else "")
    yield Made(passwd.encode(), "/etc/passwd")
    yield Made(groups.encode(), "/etc/group")
    yield Made(_NSSWITCH, "/etc/nsswitch.conf")
    yield _HOSTS
    for path in PUBLIC:
        if os.path.exists(path):
            is_part = os.path.realpath(path) == path
            is_copied = not is_part and os.path.isfile(path)
            yield System(path, path, is_copied=is_copied, is_part=is_part)


class ApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Access to APIs: variables, file contents by path, and the host directory with the
    certificates of the agent's CA.
    """

    environment: Mapping[str, str]
    files: Mapping[str, str]
    published: str


def list_given(access: ApiAccess) -> Iterator[System | Made]:
    """The files of a box with this access. The CA bundle also replaces the host's own bundles.

    Nothing else in `published` is shown: it has the agent's sockets.
    """
    published = access.published
    for path, text in access.files.items():
        yield Made(text.encode(), expand_home(path, HOME))
    for name in PUBLISHED:
        yield System(os.path.join(published, name), f"{SOCKET_DIRECTORY}/{name}", is_own=True)
    # One is often a symlink to another.
    stores = filter(os.path.isfile, ContainerClient.STORES)
    for store in dict.fromkeys(map(os.path.realpath, stores)):
        if any(is_within(store, place) for place in (*SYSTEM, *PUBLIC)):
            yield System(os.path.join(published, BUNDLE), store, is_own=True)
