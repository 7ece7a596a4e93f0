"""Tests of `airlock_daemon.identity.containers`: which container a client is proved to be in."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock_daemon.errors import Denied, Failed
from airlock_daemon.identity.containers import Containers
from airlock_daemon.identity.peer import Peer

ID, OTHER = "a" * 64, "b" * 64
OWN = Path("/proc/self/mountinfo")
ELSEWHERE = "4000000000 1 0:99 / / rw - ext4 none rw\n"


def make_engine(
    folder: Path, *, answers_for: str = ID, host: Mapping[str, object] = {}
) -> Containers:
    """Containers of an engine that says that this process is the init process of one."""
    state = {"Pid": os.getpid()}
    answer = json.dumps([{"Id": answers_for, "State": state, "HostConfig": {**host}}])
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    return Containers(str(folder))


def make_peer(mountinfo: str) -> Peer:
    """A client whose cgroup names the container, and that sees these mounts."""
    return Peer(pid=1, uid=0, kind="container", container=ID, mountinfo=mountinfo)


async def test_who_sees_other_mounts_than_the_container_is_not_in_it(tmp_path: Path) -> None:
    """Whatever its cgroup names: its paths would be taken for those of the container."""
    containers = make_engine(tmp_path)
    own = OWN.read_text()
    assert (await containers.attest(make_peer(own), agent="one")).pid == os.getpid()
    for mountinfo in (ELSEWHERE, ""):
        with pytest.raises(Denied) as caught:
            await containers.attest(make_peer(mountinfo), agent="one")
        assert caught.value.rule == "mount-namespace"
    containers.close()


async def test_an_engine_that_answers_for_another_container_proves_nothing(tmp_path: Path) -> None:
    """As it could, if it were asked by a name."""
    containers = make_engine(tmp_path, answers_for=OTHER)
    with pytest.raises(Failed, match="another container"):
        await containers.attest(make_peer(OWN.read_text()), agent="one")


@pytest.mark.parametrize(
    ("host", "makes_devices"),
    [
        ({}, True),
        ({"CapDrop": ["CHOWN"]}, True),
        ({"CapDrop": ["MKNOD"]}, False),
        ({"CapDrop": ["cap_mknod"]}, False),
        ({"CapDrop": ["ALL"]}, False),
        ({"CapDrop": ["ALL"], "CapAdd": ["CAP_MKNOD"]}, True),
        ({"CapDrop": ["MKNOD"], "CapAdd": ["ALL"]}, True),
        ({"CapDrop": ["MKNOD"], "Privileged": True}, True),
    ],
)
async def test_the_engine_says_whether_root_of_the_container_may_make_devices(
    tmp_path: Path, host: dict[str, object], makes_devices: bool
) -> None:
    """Dropped capabilities come back where others are added, or all are there."""
    containers = make_engine(tmp_path, host=host)
    container = await containers.attest(make_peer(OWN.read_text()), agent="one")
    assert container.makes_devices is makes_devices
    containers.close()
