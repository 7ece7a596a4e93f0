"""The cgroups of boxes, where the daemon was given one to divide."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import trio

import shared_fixtures
from airlock_daemon.boundary.box.probe import probe_groups
from airlock_daemon.boundary.command import Groups
from airlock_daemon.errors import NO_DESCRIPTORS, Failed
from boxing import needs_bubblewrap, write_boxes
from examining import around, find
from grouping import MAKERS, handed_over
from running import Daemon, read_answer, read_until, request
from worlds import World

world = shared_fixtures.boxed


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup that the daemon may divide."""
    with handed_over() as group:
        yield group


def group_of(pid: int) -> str:
    """Where a process is, in the hierarchy of version 2."""
    entries = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line.removeprefix("0::") for line in entries if line.startswith("0::"))


def list_boxes(group: Path) -> list[Path]:
    """The groups of boxes that there are."""
    return [path for path in group.glob("agents/agent-my/*") if path.is_dir()]


def list_processes(group: Path) -> list[int]:
    """The processes in a group."""
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def list_used(group: Path) -> list[Path]:
    """Those in which a script sleeps; what else there is waits for a command."""
    return [box for box in list_boxes(group) if any(map(sleeps, list_processes(box)))]


def sleeps(pid: int) -> bool:
    """Whether a process is a script that sleeps, or what it sleeps by."""
    try:
        return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def within(group: Path) -> tuple[str, ...]:
    """What runs a daemon in this cgroup."""
    return ("sh", "-c", f'echo 0 > {group}/cgroup.procs; exec "$@"', "sh")


@pytest.mark.parametrize("mode", MAKERS)
def test_each_box_is_in_a_group_of_its_own_and_the_daemon_in_another(
    world: World, group: Path, mode: str
) -> None:
    """A box's group goes with it, and those of the agents with the daemon."""
    write_boxes(world, mode)
    with Daemon(world, before=within(group)) as daemon:
        assert group_of(daemon.process.pid).endswith(f"/{group.name}/daemon")
        first, second = daemon.connect(), daemon.connect()
        with first, second:
            for connection in (first, second):
                connection.sendall(request("sh", "-c", "sleep 600 & echo up; exec sleep 600"))
                read_until(connection, "up")
            boxes = list_used(group)
            assert len(boxes) == 2
            # Two processes at least are those of the script.
            assert all(len(list_processes(box)) > 1 for box in boxes)
        assert daemon.shell("echo goes").text() == "goes\n"
        assert daemon.stop() == 0
        assert "cgroups bound" in daemon.messages()
    assert not (group / "agents").exists()


@pytest.mark.parametrize("mode", MAKERS)
def test_what_leaves_its_session_ends_though_nobody_watches_over_it(
    world: World, group: Path, mode: str
) -> None:
    """The group is killed where the process was killed that would have ended the command."""
    write_boxes(world, mode)
    script = "setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & echo up; exec sleep 600"
    with Daemon(world, before=within(group)) as daemon:
        with daemon.connect() as connection:
            connection.sendall(request("sh", "-c", script))
            read_until(connection, "up")
            (box,) = list_used(group)
            tool = next(pid for pid in list_processes(box))
            supervisor = int(Path(f"/proc/{tool}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(supervisor, signal.SIGKILL)
            assert "killed" in read_answer(connection).last["error"]["message"]
        assert daemon.stop() == 0
    assert not (group / "agents").exists()


def test_what_a_killed_daemon_has_left_is_removed_by_the_next(world: World, group: Path) -> None:
    """Whatever is in there, and that it cannot have been one of this daemon."""
    with Daemon(world, before=within(group)):
        pass
    left = group / "agents" / "agent-my" / "1"
    left.mkdir(parents=True)
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    (left / "cgroup.procs").write_text(str(pid))
    with Daemon(world, before=within(group)) as daemon:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert not left.exists()
        assert daemon.shell("echo goes").text() == "goes\n"


def test_doctor_tells_what_is_not_bounded(world: World, group: Path) -> None:
    """A group that is not divided, and one without all controllers; nothing of a whole one."""
    os.removexattr(group, "user.delegate")
    with Daemon(world, before=within(group)):
        (found,) = find("cgroups", around(world))
        assert found.source == str(group)
        assert "Delegate=cpu memory pids" in found.remedy
    bounded = (group / "cgroup.controllers").read_text().split()
    # As in a unit of a manager that leaves no mark.
    with Daemon(world, before=within(group), environment={"AIRLOCK_DELEGATED": "1"}):
        missing = [name for name in Groups.CONTROLLERS if name not in bounded]
        for found in find("cgroups", around(world)):
            assert f"cannot bound {' and '.join(missing)}" in found.problem
            missing = []
        assert not missing


@needs_bubblewrap
def test_a_group_that_nobody_handed_over_is_left_alone(world: World, group: Path) -> None:
    """Boxes are made all the same, and the daemon says what they have."""
    os.removexattr(group, "user.delegate")
    with Daemon(world, before=within(group)) as daemon:
        assert daemon.shell("echo goes").text() == "goes\n"
        assert group_of(daemon.process.pid).endswith(f"/{group.name}")
        assert "is not the daemon's to divide" in daemon.messages()
    assert [path for path in group.iterdir() if path.is_dir()] == []


def test_a_trial_without_a_descriptor_says_nothing_about_cgroups() -> None:
    """Which would be given up until the daemon's next start."""
    groups = Mock(spec=Groups)
    groups.open_trial.side_effect = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with pytest.raises(Failed, match=NO_DESCRIPTORS):
        trio.run(probe_groups, groups, Mock())
    groups.open_trial.side_effect = OSError(errno.EACCES, os.strerror(errno.EACCES))
    assert "Permission denied" in str(trio.run(probe_groups, groups, Mock()))
