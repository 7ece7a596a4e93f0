"""The host's system in a box: programs with their files, /etc, and access to APIs."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import (
    HOME,
    Box,
    Made,
    Operation,
    System,
)
from airlock_daemon.boundary.command.order import Identity
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.client import SOCKET_DIRECTORY, STORES
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.programs import find_program
from airlock_daemon.setup.reserved import is_within
from airlock_daemon.setup.sockets import BUNDLE, PUBLISHED
from airlock_wire import quote

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Directories of the system itself, which every box has as far as they are there."""

# As many links as the kernel follows in one path (path_resolution(7)).
_MOST_LINKS = 40
# Of the first line of a script (execve(2)).
_MOST_LINE = 256


class Places(msgspec.Struct, frozen=True):
    """The host's files that a program needs, and the files that were read to find out."""

    shown: tuple[str, ...]
    read: tuple[str, ...]


def find_places(
    program: str, *, home: str, path: str, seen: tuple[str, ...], everywhere: bool = False
) -> Places:
    """Find the host's files that must be in a box for `program`.

    `program` is an absolute path. Beside the program's own place these are that of the interpreter
    in its first line, searched on `path` where env(1) is to do that, and that of a virtual
    environment's Python. What lies in one of `seen` is in the box already. `home` is the human's
    own, which is never shown for a program in it. Raises Denied for one that cannot be shown, since
    it lies in no bin directory; `everywhere`, its directory is shown.
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
                # What is not on the host is for execve(2) to say.
                continue
            place = _find_place(hop, home, everywhere=everywhere)
            found[place] = None
            settings = os.path.join(place, "pyvenv.cfg")
            read[settings] = None
            waiting += _find_python(settings)
        waiting += _find_interpreter(os.path.realpath(name), path)
    return Places(tuple(found), tuple(read))


def list_deciding(paths: Iterable[str]) -> Iterator[str]:
    """The directories whose entries decide what `paths` lead to: those of each link on the way."""
    for path in paths:
        yield os.path.dirname(path)
        yield from map(os.path.dirname, _follow(path))


def _follow(name: str) -> Iterator[str]:
    """The paths that lead to a file: a program may go by the name of a link to it."""
    for _ in range(_MOST_LINKS):
        # Links of its directories do not tell a program who it is.
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
    """The Python of a virtual environment with these settings."""
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
        line = os.read(descriptor, _MOST_LINE) if is_file else b""
    finally:
        os.close(descriptor)
    if not line.startswith(b"#!"):
        return
    words = os.fsdecode(line[2:].partition(b"\n")[0]).split()
    if words and os.path.isabs(words[0]):
        yield words[0]
        if os.path.basename(words[0]) == "env":
            name = next((word for word in words[1:] if not word.startswith("-")), "")
            found = find_program(name, path) if name else None
            if found is not None:
                yield found


# Of what exists: libraries and programs, certificates, and names of things. None has a secret, and
# none says who or where the host is.
_PUBLIC = (
    *("ld.so.cache", "alternatives", "localtime", "services", "protocols", "mime.types"),
    *("ssl/certs", "ssl/openssl.cnf", "ca-certificates", "crypto-policies"),
    *("pki/tls/certs", "pki/ca-trust/extracted"),
    *("terminfo", "locale.alias", "host.conf", "gai.conf"),
)
PUBLIC = tuple(f"/etc/{name}" for name in _PUBLIC)
"""Those, whether they exist or not."""

_NSSWITCH = b"passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_HOSTS = Made(b"127.0.0.1 localhost airlock\n::1 localhost\n", "/etc/hosts")


def name_hosts(box: Box, hosts: Iterable[tuple[str, str]]) -> Box:
    """The box in which further names have addresses: pairs of an address and a name."""
    lines = "".join(f"{address} {name}\n" for address, name in hosts)
    more = replace(_HOSTS, content=_HOSTS.content + lines.encode())
    operations = (more if each == _HOSTS else each for each in box.operations)
    return replace(box, operations=tuple(operations))


def make_etc(identity: Identity) -> Iterator[Operation]:
    """What stands in /etc for tools that run as `identity`, who is called airlock in the box."""
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
    """Variables, texts of files by their path, and the directory of the host that has the
    certificates of the agent's own authority.
    """

    environment: Mapping[str, str]
    files: Mapping[str, str]
    published: str


def list_given(access: ApiAccess) -> Iterator[System | Made]:
    """The files of a box with this access. The bundle of certificates is also wherever programs
    look for the host's.

    Nothing else of `published` is shown, which has the sockets of the agent.
    """
    published = access.published
    for path, text in access.files.items():
        yield Made(text.encode(), expand_home(path, HOME))
    for name in PUBLISHED:
        yield System(os.path.join(published, name), f"{SOCKET_DIRECTORY}/{name}", is_own=True)
    # One is often a link to another.
    stores = dict.fromkeys(os.path.realpath(path) for path in STORES if os.path.isfile(path))
    for store in stores:
        if any(is_within(store, place) for place in (*SYSTEM, *PUBLIC)):
            yield System(os.path.join(published, BUNDLE), store, is_own=True)
