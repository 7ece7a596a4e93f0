"""The running daemon: a command's environment, descriptors, time and turn."""

import os
from collections.abc import Iterator

import pytest

import elsewhere
from running import Daemon, read_answer, read_until, request
from worlds import World


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world as it is."""
    with Daemon(world, environment={"SECRET_OF_THE_DAEMON": "x", "LC_TEST": "y"}) as running:
        yield running


def test_the_environment_is_built_from_nothing(daemon: Daemon) -> None:
    """The daemon's own variables stay with the daemon."""
    lines = dict(line.partition("=")[::2] for line in daemon.shell("env").text().splitlines())
    assert "SECRET_OF_THE_DAEMON" not in lines
    assert lines["LC_TEST"] == "y"
    assert lines["HOME"] == os.environ["HOME"]


def test_nothing_but_the_standard_descriptors_is_inherited(daemon: Daemon) -> None:
    """A tool cannot reach the daemon's sockets, log or pipes."""
    script = "cd /proc/$$/fd; for fd in *; do readlink $fd; done"
    links = daemon.shell(script).text().split()
    assert links[0] == "/dev/null"
    assert [link.partition(":")[0] for link in links[1:]] == ["pipe", "pipe"]


def test_check_decides_and_does_not_run(daemon: Daemon) -> None:
    """The answer to `check` is a decision, and nothing was executed."""
    mark = daemon.world.root / "mark"
    answer = daemon.ask("sh", "-c", f"touch {mark}", method="check")
    assert answer.last["result"]["decision"] == "allowed"
    # Whether a mapped directory exists is part of the decision.
    is_open = "workspace" in answer.last["result"]["not_consulted"]
    assert is_open != elsewhere.is_wanted()
    assert not mark.exists()
    assert daemon.records("exec") == []
    assert daemon.records("check")[0]["outcome"] == "allowed"


def test_a_time_limit_ends_the_command(world: World) -> None:
    """[exec] timeout_s ends it and names itself."""
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[exec]\ntimeout_s = 0.2\n")
    with Daemon(world) as daemon:
        error = daemon.shell("sleep 60").error
        assert "ended after 0.2 s" in error["message"]
        assert daemon.records()[-1]["outcome"] == "failed"


def test_one_at_a_time_means_one_at_a_time(world: World) -> None:
    """A second command of a module with concurrent = false waits for the first."""
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[exec]\nconcurrent = false\n")
    fifo = world.workspace / "go"
    os.mkfifo(fifo)
    with Daemon(world) as daemon, daemon.connect() as first, daemon.connect() as second:
        first.sendall(request("sh", "-c", f"echo first; cat {fifo} >/dev/null; date +%s%N"))
        read_until(first, "first")
        second.sendall(request("sh", "-c", "date +%s%N"))
        fifo.write_text("")
        ended = int(read_answer(first).text())
        assert ended < int(read_answer(second).text())
