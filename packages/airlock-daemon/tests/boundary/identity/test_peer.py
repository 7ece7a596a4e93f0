"""Tests of `boundary.identity.peer`, with real peers where one process can play them."""

import errno
import os
import resource
import socket
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from airlock_daemon.boundary.identity.peer import (
    Kind,
    Peer,
    _own_container,
    check_claim,
    containers_in,
    identify,
    outermost_beyond,
    read_pids,
    refuse_own,
    same_namespace,
)
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.processes import read_process_entry
from airlock_daemon.platform.system import Ancestry, peer_credentials

ID = "ab" * 32
OTHER = "cd" * 32


def test_a_process_of_the_host_is_recognised() -> None:
    """A peer in our own namespaces is on the host, with its pid and uid."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = identify(ours, peer_credentials(ours))
    assert (peer.pid, peer.uid, peer.kind) == (os.getpid(), os.geteuid(), "local")


def test_a_peer_that_is_gone_is_refused() -> None:
    """Nobody is identified by a pid that may belong to somebody else by now."""
    with socket.socket(socket.AF_UNIX) as listening:
        name = f"airlock-test-peer-{os.getpid()}"
        listening.bind(f"\0{name}")
        listening.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect(chr(0) + {name!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        connection, _ = listening.accept()
        with connection, pytest.raises(Denied, match="is gone"):
            identify(connection, peer_credentials(connection))


@pytest.mark.parametrize("kernel_names_parents", [True, False])
def test_a_peer_that_ends_while_it_is_looked_at_is_refused(
    monkeypatch: pytest.MonkeyPatch, kernel_names_parents: bool
) -> None:
    """What was read by its pid could be of another process, which took that over."""
    with socket.socket(socket.AF_UNIX) as listening:
        name = f"airlock-test-peer-{os.getpid()}"
        listening.bind(f"\0{name}")
        listening.listen()
        code = f"import socket; one = socket.socket(socket.AF_UNIX); one.connect(chr(0) + {name!r})"
        words = [sys.executable, "-c", f"{code}; input()"]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as client:
            connection, _ = listening.accept()

            def look(pid: int, uid: int) -> Peer:
                client.kill()
                client.wait()
                return Peer(pid=pid, uid=uid, kind="local")

            monkeypatch.setattr("airlock_daemon.boundary.identity.peer._inspect", look)
            if not kernel_names_parents:
                unknown = Mock(side_effect=OSError(errno.ENOTTY, ""))
                monkeypatch.setattr("airlock_daemon.platform.linux.processes.fcntl.ioctl", unknown)
            with connection, pytest.raises(Denied, match="is gone"):
                identify(connection, peer_credentials(connection))


def test_a_neighbour_may_name_the_container_that_both_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the daemon runs in a container its host is that; any other claim is contradicted."""
    monkeypatch.setattr("airlock_daemon.boundary.identity.peer._own_container", lambda: ID)
    neighbour = Peer(pid=1, uid=0, kind="local")
    check_claim(neighbour, ID)
    with pytest.raises(Denied, match="another container"):
        check_claim(neighbour, OTHER)
    with pytest.raises(Denied, match="another container"):
        check_claim(Peer(pid=1, uid=0, kind="container", container=OTHER), ID)


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope\n",
        f"0::/docker/{ID}\n",
        f"12:cpu:/docker/{ID}\n11:memory:/docker/{ID}\n",
        f"0::/machine.slice/libpod-{ID}.scope/container\n",
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n",
    ],
)
def test_the_id_is_found_in_every_form_of_cgroup(cgroup: str) -> None:
    """Docker, podman and Kubernetes write it differently."""
    assert containers_in(cgroup) == (ID,)


def test_containers_in_containers_are_found_from_the_outside_in() -> None:
    """Each once, in how many hierarchies of version 1 it stands."""
    path = f"/docker/{ID}/docker/{OTHER}"
    assert containers_in(f"9:pids:{path}\n8:cpu:{path}\n0::/docker/{ID}\n") == (ID, OTHER)


def test_a_client_may_name_each_container_that_it_is_in() -> None:
    """What it sees of itself need not be what the daemon sees of it first."""
    for seen in (ID, OTHER):
        peer = Peer(pid=1, uid=0, kind="container", container=seen, named=(ID, OTHER))
        check_claim(peer, ID)
        check_claim(peer, OTHER)
        with pytest.raises(Denied, match="another container"):
            check_claim(peer, "ef" * 32)


@pytest.mark.parametrize(
    ("own", "named", "found"),
    [
        ((), (), None),
        ((), (ID,), ID),
        ((), (ID, OTHER), ID),
        ((ID,), (ID, OTHER), OTHER),
        ((ID,), (OTHER,), OTHER),
        ((ID,), (ID,), None),
        ((ID, OTHER), (ID,), None),
    ],
)
def test_a_container_around_the_daemon_is_its_host(
    own: tuple[str, ...], named: tuple[str, ...], found: str | None
) -> None:
    """With an engine in a container, the containers of that engine are the ones to look for."""
    assert outermost_beyond(own, named) == found


def test_a_longer_run_of_digits_is_no_id() -> None:
    """65 hex digits are something else."""
    assert containers_in(f"0::/docker/{ID}0\n") == ()
    assert containers_in("0::/user.slice\n") == ()


@pytest.mark.parametrize(
    ("kind", "container", "claimed", "refused"),
    [
        ("container", ID, ID, False),
        ("container", ID, None, False),
        ("container", ID, OTHER, True),
        ("local", None, ID, True),
        ("local", None, None, False),
        ("unseen", None, ID, False),
    ],
)
def test_a_claim_that_the_kernel_contradicts_is_refused(
    kind: str, container: str | None, claimed: str | None, refused: bool
) -> None:
    """A made-up or borrowed id never passes where the kernel can see the client."""
    peer = Peer(pid=1, uid=0, kind=kind, container=container)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(Denied, match="another container"):
            check_claim(peer, claimed)
    else:
        check_claim(peer, claimed)


def test_a_claim_is_refused_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of macOS that carries a container's connection, as Docker Desktop's does."""

    def fail(*_: object) -> str:
        raise FileNotFoundError

    peer = "airlock_daemon.boundary.identity.peer"
    for name in ("read_process_entry", "read_process_file"):
        monkeypatch.setattr(f"{peer}.{name}", fail)
    monkeypatch.setattr(f"{peer}._own_container", _own_container.__wrapped__)
    monkeypatch.setattr(f"{peer}.sys", SimpleNamespace(platform="darwin"))
    with pytest.raises(Denied, match="another container"):
        check_claim(Peer(pid=1, uid=0, kind="local"), ID)


def test_one_common_mount_proves_a_common_namespace() -> None:
    """Mount ids are unique on a kernel: one in common is proof, equal paths are none."""
    mine = "20 1 8:1 / / rw - ext4 /dev/a rw\n21 20 0:5 / /proc rw - proc proc rw\n"
    chrooted = "21 20 0:5 / /proc rw - proc proc rw\n"
    copied = "40 1 8:1 / / rw - ext4 /dev/a rw\n41 40 0:5 / /proc rw - proc proc rw\n"
    assert same_namespace(mine, chrooted)
    assert not same_namespace(mine, copied)
    assert not same_namespace(mine, "")


def test_what_airlock_itself_started_is_no_client() -> None:
    """A tool that connects to another agent's socket is refused, wherever it looks like it is."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        kinds: tuple[Kind, ...] = ("local", "container")
        for kind in kinds:
            peer = Peer(pid=child.pid, uid=os.geteuid(), kind=kind)
            with pytest.raises(Denied, match="that Airlock started"):
                refuse_own(peer, Ancestry(os.getpid()))
    finally:
        child.kill()
        child.wait()


def test_without_a_descriptor_nobody_is_taken_for_what_airlock_started() -> None:
    """The reason is the table that is full, and no lie about the client."""
    peer = Peer(pid=os.getpid(), uid=os.geteuid(), kind="local")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(Denied, match="no file descriptors left") as refused:
            refuse_own(peer, Ancestry(os.getppid() + 1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused.value.rule == "descriptors"


RENAMED = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]), 0, 0, 0) == 0
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("line_break", ["\v", "\f", "\r", "\x1c", "\n"])
def test_the_name_of_a_process_does_not_forge_its_pids(line_break: str) -> None:
    """Its name comes first in its status (PR_SET_NAME), and the kernel escapes \\n alone."""
    words = [sys.executable, "-c", RENAMED, f"{line_break}NSpid: 7 1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        found = read_pids(read_process_entry(child.pid, "status"))
        child.stdin.close()
    assert found[-1:] != ["1"]
    assert len(found) == len(read_pids(read_process_entry(os.getpid(), "status")))
