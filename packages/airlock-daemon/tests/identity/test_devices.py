"""Tests of `airlock_daemon.identity.devices`: whose devices the daemon's host would open."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_daemon.identity.devices import holds_devices

pytestmark = pytest.mark.skipif(
    os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC, reason="in a container nothing is looked at"
)


@contextmanager
def inside(*options: str) -> Iterator[int]:
    """The pid of a process in namespaces of its own (unshare(1))."""
    words = ["unshare", *options, "--pid", "--fork", "sh", "-c", "echo; read line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"\n":
            pytest.skip("needs namespaces")
        yield int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        process.communicate(b"\n")


def test_what_cannot_be_known_may_be() -> None:
    """A client that is not seen, one that is gone, and one of the host itself."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert holds_devices(None)
    assert holds_devices(gone.pid)
    assert holds_devices(os.getpid())


def test_users_of_its_own_make_none() -> None:
    """Nobody in there is root of the host."""
    with inside("--user", "--map-root-user") as pid:
        assert not holds_devices(pid)


def test_root_of_the_hosts_users_makes_them() -> None:
    """In whatever pid namespace."""
    if os.geteuid():
        pytest.skip("needs root")
    with inside() as pid:
        assert holds_devices(pid)
