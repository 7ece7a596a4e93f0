"""What hostile clients make the daemon hold in memory, and what it gives back."""

import json
from contextlib import ExitStack, suppress

import pytest

from running import Daemon, read_answer, read_until, request, resident_kib
from worlds import World


@pytest.mark.parametrize("newlines", [True, False])
def test_memory_does_not_grow_with_the_output(daemon: Daemon, newlines: bool) -> None:
    """16 MiB and 96 MiB of output need the same memory."""
    stages = []
    filter_ = "tr '\\0' 'x'" if not newlines else "tr '\\0' '\\n'"
    for mebibytes in (16, 96):
        with daemon.connect() as connection:
            script = f"head -c {mebibytes}M /dev/zero | {filter_}"
            connection.sendall(request("sh", "-c", script))
            received = 0
            while chunk := connection.recv(1 << 20):
                received += len(chunk)
            assert received > mebibytes << 20
        stages.append(resident_kib(daemon.process.pid, "VmHWM"))
    assert stages[1] - stages[0] < 8 * 1024


def test_large_requests_that_wait_for_a_place_are_counted(world: World) -> None:
    """They are refused before they take much, small ones wait as ever, and memory comes back."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\n")
    large = request("sh", "-c", "true", "x" * 3_900_000)
    with Daemon(world) as daemon, ExitStack() as open_ones:
        assert daemon.shell("true").exit_code == 0
        before = resident_kib(daemon.process.pid)
        occupying = open_ones.enter_context(daemon.connect())
        occupying.sendall(request("sh", "-c", "echo up; sleep 600"))
        read_until(occupying, "up")
        rules = []
        for _ in range(40):
            connection = open_ones.enter_context(daemon.connect())
            with suppress(BrokenPipeError):
                connection.sendall(large)
            # A look at the next one shows that this one was received.
            daemon.ask("sh", method="check")
            connection.setblocking(False)
            with suppress(BlockingIOError):
                rules.append(json.loads(connection.recv(65536))["error"]["data"]["rule"])
        assert rules == ["request_bytes"] * 32
        assert resident_kib(daemon.process.pid, "VmHWM") - before < 80 * 1024
        small = open_ones.enter_context(daemon.connect())
        small.sendall(request("sh", "-c", "echo small"))
        occupying.close()
        assert read_answer(small).text() == "small\n"
        assert resident_kib(daemon.process.pid) - before < 50 * 1024


def test_a_command_that_cannot_start_gives_its_memory_back(daemon: Daemon) -> None:
    """What the kernel does not take leaves nothing behind, however often it is tried."""
    assert daemon.shell("true").exit_code == 0
    before = resident_kib(daemon.process.pid)
    for _ in range(20):
        assert "longer than the kernel allows" in daemon.ask("sh", "x" * 3_900_000).error["message"]
    assert resident_kib(daemon.process.pid) - before < 50 * 1024
