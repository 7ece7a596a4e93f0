"""Runs behind a fence, and tells in JSON what came of each attempt. Argument: the secret's path."""

import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path


def attempt(action: Callable[[], object]) -> str:
    """What came of it: the words of an error, or that there was none."""
    try:
        action()
    except OSError as error:
        return str(error.errno and os.strerror(error.errno))
    return "done"


def connect(address: tuple[str, int]) -> None:
    """Open a connection."""
    with socket.socket() as made:
        made.connect(address)


def main(secret: str, daemon: int) -> None:
    """Print it all."""
    Path("link").symlink_to(secret)
    beside = Path(secret).with_name("made")
    reads = {
        path: attempt(Path(path).read_bytes)
        for path in (secret, "link", "/etc/shadow", "/proc/self/environ", f"/proc/{daemon}/environ")
    }
    lists = {
        path: attempt(partial(os.listdir, path)) for path in ("/", "/tmp", "/home", "/root", "..")
    }
    writes = {
        str(path): attempt(partial(Path(path).write_text, "x"))
        for path in (secret, beside, "/etc/x", "/usr/x", "/tmp/x", "/dev/shm/x", "../x")
    }
    links = {
        "hard link": attempt(partial(os.link, secret, "hard")),
        "rename in": attempt(partial(os.rename, secret, "taken")),
        "rename out": attempt(partial(os.rename, "link", str(beside))),
        "truncate": attempt(partial(os.truncate, secret, 0)),
        "execute": attempt(partial(os.execv, secret, ["x"])),
    }
    others = {
        "signal": attempt(partial(os.kill, daemon, 0)),
        "signal parent": attempt(partial(os.kill, os.getppid(), 0)),
        "priority": attempt(partial(os.setpriority, os.PRIO_PROCESS, daemon, 19)),
        "device": attempt(partial(os.mknod, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        "tcp": attempt(partial(connect, ("127.0.0.1", 1))),
        "unix": attempt(partial(socket.socket, socket.AF_UNIX)),
        "directory": attempt(partial(os.fchdir, 3)),
    }
    own = {
        "home": attempt(partial(Path("~/x").expanduser().write_text, "x")),
        "temporary": attempt(partial(Path(os.environ["TMPDIR"], "y").write_text, "y")),
        "workspace": attempt(partial(Path("kept").write_text, "kept")),
        "/dev/null": attempt(partial(Path("/dev/null").write_text, "x")),
        "passwd": attempt(Path("/etc/passwd").read_bytes),
    }
    private = os.environ["HOME"]
    json.dump(
        {"kept from": reads | lists | writes | links | others, "own": own, "home": private},
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
