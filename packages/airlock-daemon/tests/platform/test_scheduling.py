"""Tests of `airlock_daemon.platform.linux.scheduling`."""

import ctypes
import os
import struct

import pytest

from airlock_daemon.platform.linux.scheduling import SLICE_NS
from boxing import boxed_world, needs_bubblewrap
from descent import descend, name_of
from running import Daemon, read_answer, request
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


knows_slices = pytest.mark.skipif(
    os.uname().machine not in _NUMBERS
    or tuple(map(int, os.uname().release.split(".")[:2])) < _KNOWS_SLICES,
    reason="this kernel knows no slices of a process's own",
)

# The slices of the process that asks, and of another one.
_ASKS = f"""
import ctypes, os, struct, sys
for pid in (0, int(sys.argv[1])):
    found = ctypes.create_string_buffer(48)
    ctypes.CDLL(None).syscall({_NUMBERS.get(os.uname().machine, 0)}, pid, found, 48, 0)
    print(struct.unpack("=IIQiIQQQ", found.raw)[5])
print(os.nice(0))
"""


@knows_slices
def test_what_a_client_waits_for_has_short_slices_and_the_command_has_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daemon, launcher and supervisor have them; a command is one of many programs.

    It has the nice value that it would have beside the daemon, too.
    """
    monkeypatch.chdir(world.workspace)
    asks = f"exec python3 -c '{_ASKS}' $PPID"
    with Daemon(world) as daemon:
        assert read_slice(daemon.process.pid) == SLICE_NS
        below = {name_of(pid): pid for pid in descend(daemon.process.pid)}
        assert read_slice(below["airlock-launch"]) == SLICE_NS
        usual = read_slice(os.getpid())
        # The second is started by a supervisor that waited for it.
        for _ in range(2):
            answer = daemon.ask("sh", "-c", asks, cwd=str(world.workspace))
            assert answer.text().split() == [str(usual), str(SLICE_NS), str(os.nice(0))]
    assert usual > SLICE_NS


@knows_slices
@needs_bubblewrap
def test_the_first_process_of_a_box_has_short_slices_and_the_command_in_it_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That one supervises the command, in one made ahead too."""
    with boxed_world() as boxed:
        monkeypatch.chdir(boxed.workspace)
        with Daemon(boxed) as daemon, daemon.connect() as connection:
            connection.sendall(request("git", "-c", _ASKS, "1"))
            said = read_answer(connection).text().split()
    assert said == [str(read_slice(os.getpid())), str(SLICE_NS), str(os.nice(0))]
