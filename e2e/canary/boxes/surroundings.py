"""What is around a program in a box, a line each: it runs there, as a program of its own.

A line of the file `found` is a kind, a tab, and what there is. Paths to be tried besides those that
can be found by a search are in the file `paths`, a line each.
"""

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

# No file of the host's, but of the system, or of the kernel.
_APART = ("/usr", "/proc", "/sys")
_PLACES = ("/", "/etc", "/dev", "/home", "/root", "/run", "/var", "/opt", "/srv", "/mnt")
_TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink", "unix")
_CAPGET = {"x86_64": 125, "aarch64": 90}
_libc = ctypes.CDLL(None)


def search(places: list[str]) -> Iterator[tuple[str, str]]:
    """Everything that can be opened, written or listed, and that a search or `places` lead to."""
    seen: set[tuple[int, int]] = set()
    for place in places:
        yield from _tell(place)
        if _is_apart(place):
            continue
        for above, folders, names in os.walk(place):
            status = os.stat(above)
            if (status.st_dev, status.st_ino) in seen or above in _APART:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            for name in (*folders, *names):
                yield from _tell(os.path.join(above, name))


def _is_apart(path: str) -> bool:
    real = os.path.realpath(path)
    return any(real == place or real.startswith(f"{place}/") for place in _APART)


def _tell(path: str) -> Iterator[tuple[str, str]]:
    # A link to what is the system's is nothing of its own.
    if path not in _APART and _is_apart(path):
        return
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
            yield "device", path
        elif stat.S_ISSOCK(mode):
            yield "file of a socket", path
        elif stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            yield "file", path
            if _can_write(path, is_directory=stat.S_ISDIR(mode)):
                yield "written", path


def _can_write(path: str, *, is_directory: bool) -> bool:
    with suppress(OSError):
        if not is_directory:
            os.close(os.open(path, os.O_WRONLY))
            return True
        made = os.path.join(path, f"made-{os.getpid()}")
        os.mkdir(made)
        os.rmdir(made)
        return True
    return False


def find_processes() -> Iterator[tuple[str, str]]:
    """Of whom there is a directory in /proc, and what else is in there."""
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit():
                yield "of the kernel", f"/proc/{name}"
                continue
            with suppress(OSError), open(f"/proc/{name}/status") as file:
                yield "process", f"{'1' if name == '1' else 'N'} {file.readline().split()[1]}"


def find_sockets() -> Iterator[tuple[str, str]]:
    """Interfaces, and sockets of whatever is in the same network namespace."""
    with suppress(OSError), open("/proc/self/net/dev") as file:
        for line in file.readlines()[2:]:
            yield "interface", line.split(":")[0].strip()
    for table in _TABLES:
        with suppress(OSError), open(f"/proc/self/net/{table}") as file:
            for line in file.readlines()[1:]:
                yield "socket", f"{table} {line.split()[-1]}"


def find_rights() -> Iterator[tuple[str, str]]:
    """Capabilities, users and groups, and whether new rights may be had: not from /proc."""
    # linux/capability.h: version 3 has two words of each set.
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    yield "right", f"capget {_libc.syscall(_CAPGET[os.uname().machine], header, data)}"
    for name, first in (("effective", 0), ("permitted", 1), ("inheritable", 2)):
        if data[first] or data[first + 3]:
            yield "capability", f"{name} {data[first + 3]:08x}{data[first]:08x}"
    for number in range(64):
        # PR_CAPBSET_READ; PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET.
        if _libc.prctl(23, number) == 1:
            yield "capability", f"bounding {number}"
        if _libc.prctl(47, 1, number, 0, 0) == 1:
            yield "capability", f"ambient {number}"
    # PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE.
    yield "right", f"no new privileges {_libc.prctl(39, 0, 0, 0, 0)}"
    yield "right", f"dumpable {_libc.prctl(3, 0, 0, 0, 0)}"
    yield "right", f"users {os.getresuid()} groups {os.getresgid()} {sorted(os.getgroups())}"


def find_namespaces() -> Iterator[tuple[str, str]]:
    """Which there are, by their numbers."""
    with suppress(OSError):
        for name in os.listdir("/proc/self/ns"):
            yield "namespace", os.readlink(f"/proc/self/ns/{name}")


def find_descriptors() -> Iterator[tuple[str, str]]:
    """By their numbers, and of what type each is."""
    for number in range(65536):
        with suppress(OSError):
            yield "descriptor", f"{number} {stat.S_IFMT(os.fstat(number).st_mode):o}"


def find_variables() -> Iterator[tuple[str, str]]:
    """Of the environment, with their values."""
    for name, value in os.environ.items():
        yield "variable", f"{name}={value}"


def find_mounts() -> Iterator[tuple[str, str]]:
    """Where something is mounted, of which kind, and how."""
    with suppress(OSError), open("/proc/self/mountinfo") as file:
        for line in file:
            words = line.split()
            kind = words[words.index("-") + 1]
            flags = [each for each in words[5].split(",") if each in ("ro", "nosuid", "nodev")]
            yield "mount", f"{words[4]} {kind} {','.join(flags)}"


def look_around() -> None:
    """Write all of it."""
    with open("paths") as file:
        places = [*_PLACES, *file.read().splitlines()]
    found = [
        *search(places),
        *find_processes(),
        *find_sockets(),
        *find_rights(),
        *find_namespaces(),
        *find_descriptors(),
        *find_variables(),
        *find_mounts(),
    ]
    with open("found", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{kind}\t{what!r}\n" for kind, what in dict.fromkeys(found))


look_around()
