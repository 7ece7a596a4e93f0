"""Tests of `airlock_daemon.platform.linux.privileges`."""

import ctypes
import os
import struct

import pytest

from airlock_daemon.platform.linux.privileges import SLICE_NS
from running import Daemon
from worlds import World

_NUMBERS = {"x86_64": 315, "aarch64": 275}
_KNOWS_SLICES = (6, 12)


def read_slice(pid: int) -> int:
    """The slice of a process in nanoseconds (sched_getattr(2))."""
    found = ctypes.create_string_buffer(48)
    number = _NUMBERS[os.uname().machine]
    call = ctypes.CDLL(None, use_errno=True).syscall
    assert call(ctypes.c_long(number), ctypes.c_int(pid), found, 48, 0) == 0
    return int(struct.unpack("=IIQiIQQQ", found.raw)[5])


@pytest.mark.skipif(
    os.uname().machine not in _NUMBERS
    or tuple(map(int, os.uname().release.split(".")[:2])) < _KNOWS_SLICES,
    reason="this kernel knows no slices of a process's own",
)
def test_the_daemon_has_short_slices_and_what_it_runs_has_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command beside it is one of many programs, and of the nice value that it would have."""
    monkeypatch.chdir(world.workspace)
    with Daemon(world) as daemon:
        assert read_slice(daemon.process.pid) == SLICE_NS
        usual = read_slice(os.getpid())
        asked = "import ctypes, struct; found = ctypes.create_string_buffer(48); "
        asked += f"ctypes.CDLL(None).syscall({_NUMBERS[os.uname().machine]}, 0, found, 48, 0); "
        asked += "print(struct.unpack('=IIQiIQQQ', found.raw)[5])"
        answer = daemon.ask("sh", "-c", f'python3 -c "{asked}"; nice', cwd=str(world.workspace))
    assert answer.text().split() == [str(usual), str(os.nice(0))]
    assert usual > SLICE_NS
