"""Kills at any moment of a command in a box: nobody waits in vain, and nothing is left of it."""

import os
import random
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from airlock_daemon.setup.boxes import BUBBLEWRAP
from boxing import boxed_world, needs_bubblewrap, write_boxes
from grouping import handed_over, needs_landlock
from running import Daemon, read_answer, request
from worlds import World

# Two of its processes leave it, and it ends.
SCRIPT = "setsid sleep 600 >&- 2>&- & (sleep 600 >&- 2>&- &); exit 3"
TIMES = 30


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; this process stands in its workspace."""
    with boxed_world() as world:
        monkeypatch.chdir(world.workspace)
        yield world


def list_descendants(pid: int) -> Sequence[int]:
    """All descendants of a process; one that ends meanwhile has none."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *list_descendants(child)]
    return found


@pytest.mark.parametrize(
    ("mode", "has_group"),
    [
        pytest.param("require-bubblewrap", False, marks=needs_bubblewrap),
        pytest.param("require-bubblewrap", True, marks=needs_bubblewrap),
        # Without namespaces and without a cgroup what has left its session may outlive a kill.
        pytest.param("landlock", True, marks=needs_landlock),
    ],
)
def test_whatever_is_killed_whenever_nothing_is_left(
    world: World, mode: str, has_group: bool
) -> None:
    """A process of a box, its bubblewrap, its supervisor, or what forks these, at a random step.

    While it is made, runs or ends, and while the next one is made and waits.
    """
    chance = random.Random(16)  # noqa: S311 - when and what, no secret
    write_boxes(world, mode)
    temporary = world.root / "tmp"
    temporary.mkdir(mode=0o755)
    with ExitStack() as stack:
        group = stack.enter_context(handed_over()) if has_group else None
        environment = {"TMPDIR": str(temporary)}
        daemon = stack.enter_context(Daemon(world, environment=environment, group=str(group or "")))
        watched: dict[int, int] = {}
        killed = set()
        for _ in range(TIMES):
            with daemon.connect() as connection:
                connection.sendall(request("sh", "-c", SCRIPT))
                select.select([connection], [], [], chance.uniform(0, 0.06))
                for pid in set(list_descendants(daemon.process.pid)) - set(watched):
                    with suppress(ProcessLookupError):
                        watched[pid] = os.pidfd_open(pid)
                there = list_descendants(daemon.process.pid)
                victim = chance.choice(there) if there else 0
                # It is the one that was there before: a number does not become another's.
                if victim in watched:
                    with suppress(ProcessLookupError, FileNotFoundError):
                        killed.add(Path(f"/proc/{victim}/comm").read_text().strip())
                        signal.pidfd_send_signal(watched[victim], signal.SIGKILL)
                assert {"result", "error"} & set(read_answer(connection).last)
        assert daemon.shell("echo serves").text() == "serves\n"
        assert daemon.stop() == 0
        for descriptor in watched.values():
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(30_000)
            os.close(descriptor)
        assert group is None or not (group / "agents").exists()
    assert os.listdir(temporary) == []
    assert "airlock-launch" in killed
    assert mode == "landlock" or BUBBLEWRAP in killed
