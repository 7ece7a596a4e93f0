"""Tests of `airlock_daemon.peer`, with real peers where one process can play them."""

import os
import socket
import subprocess
import sys

import pytest

from airlock_daemon.errors import Denied
from airlock_daemon.peer import (
    Peer,
    check_claim,
    container_in,
    identify,
    peer_credentials,
    same_namespace,
)

ID = "ab" * 32
OTHER = "cd" * 32


def test_a_process_of_the_host_is_recognised() -> None:
    """A peer in our own namespaces is on the host, with its pid and uid."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = identify(ours, peer_credentials(ours))
    assert (peer.pid, peer.uid, peer.place) == (os.getpid(), os.geteuid(), "host")


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


def test_a_neighbour_may_name_the_container_that_both_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the daemon runs in a container its host is that; any other claim is contradicted."""
    monkeypatch.setattr("airlock_daemon.peer._own_container", lambda: ID)
    neighbour = Peer(pid=1, uid=0, place="host")
    check_claim(neighbour, ID)
    with pytest.raises(Denied, match="another container"):
        check_claim(neighbour, OTHER)
    with pytest.raises(Denied, match="another container"):
        check_claim(Peer(pid=1, uid=0, place="container", container=OTHER), ID)


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
    assert container_in(cgroup) == ID


def test_a_longer_run_of_digits_is_no_id() -> None:
    """65 hex digits are something else."""
    assert container_in(f"0::/docker/{ID}0\n") is None
    assert container_in("0::/user.slice\n") is None


@pytest.mark.parametrize(
    ("place", "container", "claimed", "refused"),
    [
        ("container", ID, ID, False),
        ("container", ID, None, False),
        ("container", ID, OTHER, True),
        ("host", None, ID, True),
        ("host", None, None, False),
        ("unknown", None, ID, False),
    ],
)
def test_a_claim_that_the_kernel_contradicts_is_refused(
    place: str, container: str | None, claimed: str | None, refused: bool
) -> None:
    """A made-up or borrowed id never passes where the kernel can see the client."""
    peer = Peer(pid=1, uid=0, place=place, container=container)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(Denied, match="another container"):
            check_claim(peer, claimed)
    else:
        check_claim(peer, claimed)


def test_one_common_mount_proves_a_common_namespace() -> None:
    """Mount ids are unique on a kernel: one in common is proof, equal paths are none."""
    mine = "20 1 8:1 / / rw - ext4 /dev/a rw\n21 20 0:5 / /proc rw - proc proc rw\n"
    chrooted = "21 20 0:5 / /proc rw - proc proc rw\n"
    copied = "40 1 8:1 / / rw - ext4 /dev/a rw\n41 40 0:5 / /proc rw - proc proc rw\n"
    assert same_namespace(mine, chrooted)
    assert not same_namespace(mine, copied)
    assert not same_namespace(mine, "")
