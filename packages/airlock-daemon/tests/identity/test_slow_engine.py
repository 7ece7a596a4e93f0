"""Tests of `airlock_daemon.identity.containers`: asking an engine that takes long to answer."""

import os
from pathlib import Path

import pytest
import trio

from airlock_daemon.errors import Failed
from airlock_daemon.identity.containers import Containers
from airlock_daemon.identity.peer import Peer

SLOW, OTHER = "a" * 64, "b" * 64

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
        nursery.start_soon(fail, OTHER, "slow")
        await fail(OTHER, "other")
        assert ended == ["other"]
        assert (engine / "asked").read_text().split() == [SLOW, OTHER]
        (engine / "pipe").write_text("go on\n")
    containers.close()
