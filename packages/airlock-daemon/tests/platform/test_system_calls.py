"""Tests of `airlock_daemon.platform.system`, on Linux and with what stands for its calls."""

import os
import select
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import ModuleType

import pytest

from airlock_daemon.platform import system
from airlock_daemon.platform.posix import calls
from airlock_daemon.platform.system import find_missing, private_file, splice
from commanding import airlock_daemon

LOADED = """
import sys
from airlock_daemon.serving.daemon import daemon
from airlock_daemon.platform.system import Ancestry, Readiness, forbid_tracing
Ancestry(1), Readiness(), forbid_tracing()
print([name for name in sys.modules if ".platform.posix" in name or ".platform.darwin" in name])
"""


def test_linux_loads_nothing_of_another_system() -> None:
    """Nobody has to read it to believe a daemon there."""
    assert airlock_daemon(before=("-c", LOADED)).stdout == "[]\n"


def test_each_request_on_linux_calls_its_functions_without_a_layer() -> None:
    """What the face gives is the very function of `linux`, or the class of the kernel's own."""
    assert system.Readiness is select.epoll
    for given in (
        system.Ancestry,
        system.find_holder,
        system.lock_byte,
        system.name_descriptor,
        system.openat2,
        system.peer_credentials,
        system.read_known_status,
        system.read_mount_id,
        system.read_own_mounts,
    ):
        assert given.__module__.startswith("airlock_daemon.platform.linux.")


def test_nothing_is_missing_on_linux() -> None:
    """The tests of the daemon run there alone."""
    assert find_missing() == ()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python names it, so that a person can look it up."""
    monkeypatch.delattr(select, "epoll")
    assert find_missing() == ("select.epoll",)


@pytest.mark.parametrize("make", [private_file, calls.private_file], ids=["linux", "posix"])
def test_a_file_can_be_read_repeatedly_and_is_gone_afterwards(
    make: Callable[[str, bytes], AbstractContextManager[str]],
) -> None:
    """As a library reads a certificate and its key from one file."""
    descriptors = os.listdir("/proc/self/fd")
    with make("name", b"secret") as path:
        assert [Path(path).read_bytes() for _ in range(2)] == [b"secret"] * 2
        assert path.startswith("/proc/") or stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)
    assert os.listdir("/proc/self/fd") == descriptors


OFFSET = 1 << 61

HOLD = f"""
import os, sys
from airlock_daemon.platform.system import lock_byte
lock_byte(os.open(sys.argv[1], os.O_RDWR), {OFFSET})
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("module", [system, calls], ids=["linux", "posix"])
def test_the_kernel_names_the_process_that_holds_a_byte(tmp_path: Path, module: ModuleType) -> None:
    """For that byte alone, and until the process ends."""
    find_holder, lock_byte = module.find_holder, module.lock_byte
    path = tmp_path / "file"
    path.touch()
    file = os.open(path, os.O_RDWR)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert find_holder(file, OFFSET) == holder.pid
        assert find_holder(file, OFFSET + 1) is None
        with pytest.raises(BlockingIOError):
            lock_byte(file, OFFSET)
    assert find_holder(file, OFFSET) is None
    os.close(file)


Move = Callable[[int, int, int], int]


@pytest.fixture(params=[splice, calls.splice], ids=["splice", "posix"])
def move(request: pytest.FixtureRequest) -> Move:
    chosen: Move = request.param
    return chosen


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    ends = [*os.pipe(), *os.pipe()]
    yield ends
    for end in ends:
        os.close(end)


def test_all_bytes_arrive_in_order(move: Move, pipes: list[int]) -> None:
    """However small the target's room is."""
    reading, writing, taking, giving = pipes
    data = os.urandom(60_000)
    os.write(writing, data)
    got = b""
    while len(got) < len(data):
        moved = move(reading, giving, 1 << 20)
        got += os.read(taking, moved)
    assert got == data


def test_no_more_than_asked_for_is_moved(move: Move, pipes: list[int]) -> None:
    """The rest stays in the source."""
    reading, writing, taking, giving = pipes
    os.write(writing, b"abcdef")
    assert move(reading, giving, 4) == 4
    assert os.read(taking, 9) == b"abcd"
    assert os.read(reading, 9) == b"ef"


def test_an_empty_source_and_a_full_target_do_not_block(move: Move, pipes: list[int]) -> None:
    """Although the descriptors themselves would."""
    reading, writing, _, giving = pipes
    with pytest.raises(BlockingIOError):
        move(reading, giving, 1)
    os.set_blocking(giving, False)
    with suppress(BlockingIOError):
        while True:
            os.write(giving, b"x" * 4096)
    os.set_blocking(giving, True)
    os.write(writing, b"x")
    with pytest.raises(BlockingIOError):
        move(reading, giving, 1)
    assert os.read(reading, 9) == b"x"


def test_the_end_is_zero_and_a_reader_that_is_gone_an_error(move: Move) -> None:
    """As splice(2) has it."""
    reading, writing = os.pipe()
    taking, giving = os.pipe()
    os.write(writing, b"x")
    os.close(taking)
    with pytest.raises(BrokenPipeError):
        move(reading, giving, 1)
    os.close(writing)
    taking, other = os.pipe()
    while move(reading, other, 9):
        pass
    for end in (reading, giving, taking, other):
        os.close(end)
