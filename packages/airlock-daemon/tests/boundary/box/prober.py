"""Runs in a box, and tells in JSON what can be had there. Needs nothing but the system's Python."""

import ctypes
import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path


def attempt(action: Callable[[], object]) -> str:
    """What came of it: the name of an error, or that there was none."""
    try:
        action()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "done"


def walk(top: str, *without: str) -> Iterator[str]:
    """Every path below, links not followed, but for some directories."""
    for folder, directories, files in os.walk(top):
        yield from (os.path.join(folder, name) for name in (*directories, *files))
        directories[:] = [name for name in directories if os.path.join(folder, name) not in without]


def status(name: str) -> str:
    """A line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def devices() -> list[str]:
    """The devices that are there."""
    found = [path for path in walk("/", "/proc", "/usr") if is_device(path)]
    return sorted(found)


def is_device(path: str) -> bool:
    """Whether it is one, as far as it can be looked at."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def climb() -> str:
    """Where as many steps up as anybody could want lead to from the directory."""
    os.chdir("/".join([".."] * 40))
    return os.getcwd()


def main() -> None:
    """Print it all."""
    here = os.getcwd()
    libc = ctypes.CDLL(None, use_errno=True)
    families = ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG")
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
    found = {
        "here": here,
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        "environment": dict(os.environ),
        "top": sorted(os.listdir("/")),
        "etc": sorted(path for path in walk("/etc", "/etc/ssl/certs", "/etc/alternatives")),
        "home": list(walk("/home")),
        "tmp": list(walk("/tmp", here)),
        "proc": sorted(name for name in os.listdir("/proc") if not name.isdigit()),
        "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()],
        "devices": devices(),
        "capabilities": {name: int(status(name), 16) for name in ("CapEff", "CapPrm", "CapBnd")},
        "seccomp": status("Seccomp"),
        "sockets": sorted(
            {
                attempt(partial(socket.socket, getattr(socket, family), kind))
                for family in families
                for kind in kinds
            }
        ),
        "of pid 1": {
            name: attempt(Path(f"/proc/1/{name}").read_bytes)
            for name in ("environ", "mem", "maps", "fd/0", "root/etc/passwd", "cwd/etc/passwd")
        },
        "written": {
            path: attempt(partial(Path(path, "x").write_text, "x"))
            for path in ("/", "/usr", "/etc", "/dev", "/proc", "/home", "/usr/bin")
        },
        "unshare": {
            flag: os.strerror(ctypes.get_errno()) if libc.unshare(flag) else "done"
            for flag in NAMESPACES
        },
        "mknod": attempt(lambda: os.mknod("/tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        "chroot": attempt(lambda: os.chroot("/usr")),
        "setuid": attempt(lambda: os.setuid(0)),
        "hostname": socket.gethostname(),
        "interfaces": libc.if_nametoindex(b"eth0"),
        "climbed": climb(),
        "user": [os.getuid(), os.getgid(), os.getgroups()],
    }
    json.dump(found, sys.stdout)


# sched.h: mount, cgroup, uts, ipc, user, pid and network namespaces.
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)

if __name__ == "__main__":
    main()
