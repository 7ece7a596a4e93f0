"""Boxes that wait: a command gets one that is as good as fresh, or a fresh one."""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxing import boxed_world, needs_bubblewrap, write_boxes
from descent import descend, name_of
from running import Daemon, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

TRIES = 150
# Whoever mounts anything on this host, or changes its /etc, has fresh ones made: so often at most.
MOUNTED = 5
PATIENCE_S = 10.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose workspace is at /workspace in the container."""
    with boxed_world() as world:
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        monkeypatch.chdir(world.root)
        yield world


def wait_for_box(daemon: Daemon) -> frozenset[int]:
    """The bubblewrap processes of boxes that wait, once there is one.

    One that went for what somebody mounts on this host leaves none: the next command asks for it.
    """
    for _ in range(MOUNTED):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if found := find_boxes(daemon):
                return found
            os.sched_yield()
        daemon.shell("true", cwd="/workspace")
    raise AssertionError("no box was made ahead")


def find_boxes(daemon: Daemon) -> frozenset[int]:
    """The processes that made a box which is there."""
    return frozenset(pid for pid in descend(daemon.process.pid) if is_maker(pid))


def is_maker(pid: int) -> bool:
    """Whether a process is a bubblewrap that has made a box: the launcher is in it."""
    try:
        return name_of(pid) == "bwrap" and any(name_of(each) != "bwrap" for each in descend(pid))
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_in_some(daemon: Daemon) -> int:
    """Run a command, and return which box was its own."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "echo up; sleep 600; exit", cwd="/workspace"))
        read_until(connection, "up")
        makers = find_boxes(daemon)
        return next(pid for pid in makers if "sh" in map(name_of, descend(pid)))


def assert_gone(pid: int) -> None:
    """Wait for the end of a process that may have ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(30_000)
    os.close(descriptor)


def test_a_command_gets_the_box_that_waits_and_nobody_gets_it_again(world: World) -> None:
    """It was made when the one before had its answer."""
    with Daemon(world) as daemon:
        for _ in range(MOUNTED):
            assert daemon.shell("true", cwd="/workspace").exit_code == 0
            boxes = wait_for_box(daemon)
            box = run_in_some(daemon)
            assert_gone(box)
            if box in boxes:
                break
        assert box in boxes
        assert daemon.shell("echo next", cwd="/workspace").text() == "next\n"


def test_the_next_box_is_made_while_a_command_runs(world: World) -> None:
    """For another one that the agent may ask for meanwhile."""
    with Daemon(world) as daemon:
        for _ in range(MOUNTED):
            with daemon.connect() as connection:
                script = "echo up; sleep 600; exit"
                connection.sendall(request("sh", "-c", script, cwd="/workspace"))
                read_until(connection, "up")
                # Its own one, and the one that then waits, if nobody mounts anything.
                until = time.monotonic() + PATIENCE_S
                while len(boxes := find_boxes(daemon)) < 2 and time.monotonic() < until:
                    os.sched_yield()
                box = run_in_some(daemon)
            if box in boxes:
                break
        assert box in boxes


def test_agents_that_ask_for_nothing_have_none(world: World) -> None:
    """Nor has one whose command was refused."""
    with Daemon(world) as daemon:
        assert daemon.shell("true", cwd="/elsewhere/..").error
        assert not find_boxes(daemon)


@pytest.mark.parametrize("part", ["bwrap", "airlock-launch"])
def test_a_box_that_was_killed_while_it_waited_is_not_used(world: World, part: str) -> None:
    """The command has a fresh one, and does not notice."""
    with Daemon(world) as daemon:
        own = run_in_some(daemon)
        assert_gone(own)
        for box in wait_for_box(daemon):
            inside = next(pid for pid in descend(box) if name_of(pid) != "bwrap")
            os.kill(box if part == "bwrap" else inside, signal.SIGKILL)
            assert_gone(box)
        assert daemon.shell("echo fresh", cwd="/workspace").text() == "fresh\n"


@pytest.mark.parametrize("change", ["reload", "removal", "stop", "kill"])
def test_boxes_go_with_what_they_were_made_by(world: World, change: str) -> None:
    """A reading of the files, the agent, the daemon."""
    write_boxes(world, more="[daemon]\nshutdown_grace_s = 0\n")
    world.add_agent("other")
    with Daemon(world) as daemon:
        daemon.shell("true", cwd="/workspace")
        boxes = wait_for_box(daemon)
        if change == "removal":
            world.agents_file.write_text(f'[other]\npath = "{world.agent.with_name("other")}"\n')
        if change in ("reload", "removal"):
            daemon.process.send_signal(signal.SIGHUP)
        elif change == "stop":
            assert daemon.stop() == 0
        else:
            daemon.process.kill()
        for pid in boxes:
            assert_gone(pid)


def test_nothing_of_a_command_is_in_the_box_of_the_next(world: World) -> None:
    """And a file that was replaced, in whatever way, is seen as it is now."""
    script = "cat file; ls -A /tmp /dev/shm ~; env | grep -c MARK; for each in /tmp /dev/shm ~; do"
    script += " echo > $each/left; done; ulimit -c; umask 0777; ulimit -n 20; sleep 600 & true"
    said = set()
    with Daemon(world) as daemon:
        for number in range(TRIES):
            replace_file(world, number)
            answer = daemon.ask(
                "sh", "-c", script, cwd="/workspace", env={"MARK": "x"}, features=["env"]
            )
            text = answer.text() if "result" in answer.last else str(answer.error)
            said.add(text.removeprefix(f"{number}\n"))
    (one,) = said
    assert "left" not in one
    assert one.startswith("/dev/shm:\n\n/home/airlock:\n\n/tmp:\n")


def replace_file(world: World, number: int) -> None:
    """Put another file in its place, or other contents in it, and say the number in it."""
    file, other = world.workspace / "file", world.workspace / "other"
    if number % 3 == 0:
        file.unlink(missing_ok=True)
    elif number % 3 == 1:
        other.write_text("")
        other.rename(file)
    file.write_text(f"{number}\n")


def test_a_workspace_that_is_gone_is_missing_though_a_box_has_it(world: World) -> None:
    """Put back, it is the same one."""
    away = Path(f"{world.workspace}-away")
    with Daemon(world) as daemon:
        daemon.shell("true", cwd="/workspace")
        wait_for_box(daemon)
        world.workspace.rename(away)
        assert daemon.shell("ls", cwd="/workspace").error["data"]["layer"] == "workspace"
        world.workspace.symlink_to(away)
        assert daemon.shell("ls", cwd="/workspace").error["data"]["layer"] == "workspace"
        world.workspace.unlink()
        away.rename(world.workspace)
        assert daemon.shell("pwd", cwd="/workspace").text() == "/workspace\n"
