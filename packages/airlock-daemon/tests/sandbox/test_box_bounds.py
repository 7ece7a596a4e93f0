"""What code in a box may use up: there is a bound, it is the box's own, and others go on."""

from collections.abc import Iterator

import pytest

from airlock_daemon.sandbox.plan import PROCESSES
from boxing import boxed_world, needs_bubblewrap
from running import Daemon, read_answer, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

FORKS = """
import os, sys, time
made = 0
for _ in range(20_000):
    try:
        if not os.fork():
            time.sleep(600)
    except BlockingIOError:
        break
    made += 1
print(made, flush=True)
time.sleep(600)
"""

FILL = """
import os
for place in ("/tmp", "/dev/shm", os.environ["HOME"]):
    written = 0
    try:
        with open(place + "/big", "wb", buffering=0) as file:
            for _ in range(1024):
                written += file.write(bytes(1 << 20))
    except OSError as error:
        print(place, written >> 20, error.strerror)
    os.truncate(place + "/big", 0)
    made = 0
    try:
        for made in range(100_000):
            os.mknod(f"{place}/{made}")
    except OSError as error:
        print(place, made < 70_000, error.strerror)
for place in ("/", "/dev", "/etc"):
    try:
        os.mkdir(place + "/x")
    except OSError as error:
        print(place, error.strerror)
"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; this process stands in its workspace."""
    with boxed_world() as world:
        monkeypatch.chdir(world.workspace)
        yield world


def test_forks_without_end_fill_one_box_alone(world: World) -> None:
    """As many as it may have, less those that are there; another box has as many again."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "-c", FORKS))
        made = int(read_until(connection, "\n"))
        assert PROCESSES - 10 < made < PROCESSES
        assert daemon.shell("echo goes; echo on | cat").text() == "goes\non\n"


def test_memory_as_files_is_bounded_in_bytes_and_number(world: World) -> None:
    """And there is no other place that can be written but the workspace."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "-c", FILL))
        said = read_answer(connection).text().splitlines()
    full = "No space left on device"
    assert said == [
        *(f"/tmp 256 {full}", f"/tmp True {full}"),
        *(f"/dev/shm 64 {full}", f"/dev/shm True {full}"),
        *(f"/home/airlock 64 {full}", f"/home/airlock True {full}"),
        *(f"{place} Read-only file system" for place in ("/", "/dev", "/etc")),
    ]
