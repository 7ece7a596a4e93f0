"""Tests of `boundary.identity.containers`: which container a client is proved to be in."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Denied, Failed

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
    assert Containers.holds_devices(None)
    assert Containers.holds_devices(gone.pid)
    assert Containers.holds_devices(os.getpid())


def test_users_of_its_own_make_none() -> None:
    """Nobody in there is root of the host."""
    with inside("--user", "--map-root-user") as pid:
        assert not Containers.holds_devices(pid)


def test_root_of_the_hosts_users_makes_them() -> None:
    """In whatever pid namespace."""
    if os.geteuid():
        pytest.skip("needs root")
    with inside() as pid:
        assert Containers.holds_devices(pid)


SLOW, OTHER_ID = "a" * 64, "b" * 64

# Of one container it says nothing until somebody opens the pipe beside it.
ENGINE = """\
#!/bin/sh
echo "$4" >> {folder}/asked
case "$4" in a*) read line < {folder}/pipe ;; esac
exit 1
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A directory with an engine that knows no container, and its log."""
    program = tmp_path / "docker"
    program.write_text(ENGINE.format(folder=tmp_path))
    program.chmod(0o755)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "asked").touch()
    return tmp_path


def peer_in(container: str) -> Peer:
    return Peer(pid=os.getpid(), uid=0, kind="container", container=container, named=(container,))


async def test_an_engine_that_is_slow_for_one_agent_is_not_for_another(engine: Path) -> None:
    """Each agent waits for its own containers alone, and has one asked about at a time."""
    containers = Containers(str(engine))
    ended: list[str] = []

    async def fail(container: str, agent: str) -> None:
        with pytest.raises(Failed):
            await containers.attest(peer_in(container), agent=agent)
        ended.append(agent)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail, SLOW, "slow")
        while not (engine / "asked").read_text():
            await trio.lowlevel.checkpoint()
        nursery.start_soon(fail, OTHER_ID, "slow")
        await fail(OTHER_ID, "other")
        assert ended == ["other"]
        assert (engine / "asked").read_text().split() == [SLOW, OTHER_ID]
        (engine / "pipe").write_text("go on\n")
    containers.close()
