"""What a hostile client can send and hold open, against the running daemon."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from airlock_daemon.fairness.starts import YOUNG_S
from running import Answer, Daemon, read_answer, read_until, request
from worlds import World


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world as it is."""
    with Daemon(world) as running:
        yield running


def resident_kib(pid: int, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1])


def add_agent(world: World) -> str:
    """Register a second agent that is as the first; returns its socket."""
    second = world.root / "agents" / "other"
    shutil.copytree(world.agent, second)
    # The first one is served last, and that is the one which is waited for.
    world.agents_file.write_text(f'[other]\npath = "{second}"\n[my]\npath = "{world.agent}"\n')
    return world.socket.replace("/my/", "/other/")


def ask_of(path: str, script: str) -> Answer:
    """Run a script for the agent of another socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(request("sh", "-c", script))
        return read_answer(connection)


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json\n", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"\xff"}}\n', -32700),
        (b"[" * 100_000 + b"\n", -32700),
        (b"[]\n", -32600),
        (b'{"jsonrpc":"2.0","method":"exec","params":{}}\n', -32600),
        (request("sh", method="execute"), -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"args":[]}}\n', -32602),
        (request("sh", "a\0b"), -32602),
        (request("sh", *["x"] * 10_001), -32600),
    ],
)
def test_what_is_no_request_is_answered_and_recorded(
    daemon: Daemon, line: bytes, code: int
) -> None:
    """Each fault gets its code, nothing runs, and the log has it."""
    with daemon.connect() as connection:
        connection.sendall(line)
        assert read_answer(connection).error["code"] == code
    assert daemon.records("exec") == []
    (record,) = daemon.records("invalid")
    assert record["outcome"] in ("invalid", "denied")
    assert record["peer"]["uid"] >= 0
    assert daemon.shell("echo fine").text() == "fine\n"


def test_a_line_of_100_megabytes_is_refused_early(daemon: Daemon) -> None:
    """The limit is noticed on the way, and the rest costs no memory."""
    before = resident_kib(daemon.process.pid)
    with daemon.connect() as connection:
        sent = 0
        try:
            while sent < 100_000_000:
                sent += connection.send(b"x" * 1_000_000)
        except OSError:
            pass
        assert read_answer(connection).error["code"] == -32700
    assert sent < 20_000_000
    assert resident_kib(daemon.process.pid, "VmHWM") - before < 16 * 1024
    assert len(daemon.records("invalid")) == 1


def test_a_request_that_is_cut_off_is_recorded(daemon: Daemon) -> None:
    """A client that leaves in the middle of its request leaves a trace."""
    with daemon.connect() as connection:
        connection.sendall(b'{"jsonrpc":"2.0",')
    while not daemon.records("invalid"):
        daemon.connect().close()
    assert daemon.records("invalid")[0]["outcome"] == "invalid"


def test_a_client_that_sends_and_leaves_is_recorded(daemon: Daemon) -> None:
    """Sending a request and closing at once neither runs unrecorded nor is lost."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "sleep 600"))
    while not daemon.records("exec"):
        daemon.connect().close()
    assert daemon.records("exec")[0]["outcome"] in ("aborted", "denied")


def test_who_leaves_before_a_refusal_ends_nobody_else(daemon: Daemon) -> None:
    """A refusal that nobody is there to read is recorded, and the daemon goes on."""
    for _ in range(50):
        with daemon.connect() as connection:
            connection.sendall(request("unknown"))
    assert daemon.shell("echo fine").text() == "fine\n"
    while len(daemon.records("exec")) < 51:
        daemon.connect().close()


def test_messages_after_the_request_are_ignored(daemon: Daemon) -> None:
    """A second request on the same connection is not executed, nor does it do harm."""
    mark = daemon.world.workspace / "mark"
    with daemon.connect() as connection:
        connection.sendall(
            request("sh", "-c", "sleep 0.1; echo one")
            + request("sh", "-c", f"touch {mark}")
            + b"garbage" * 10_000
        )
        answer = read_answer(connection)
    assert answer.text() == "one\n"
    assert answer.exit_code == 0
    assert not mark.exists()


def test_a_thousand_idle_connections_do_not_keep_others_out(world: World) -> None:
    """Idle clients are kept or told; somebody with a command is served, and nothing spins."""
    with Daemon(world) as daemon, ExitStack() as idle:
        for _ in range(1000):
            idle.enter_context(daemon.connect())
        assert daemon.shell("echo fine").text() == "fine\n"
        before = processor_ticks(daemon.process.pid)
        # Waiting for the daemon's own time limit would take its ten seconds; a command that takes
        # one is enough to see whether the idle connections keep it busy.
        assert daemon.shell("sleep 1").exit_code == 0
        assert processor_ticks(daemon.process.pid) - before < 50


def test_connections_beyond_the_limit_are_told(world: World) -> None:
    """One more than the limit gets an error, and its place is given back when one closes."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nconnections = 2\n")
    with Daemon(world) as daemon, ExitStack() as open_ones:
        assert daemon.shell("true").exit_code == 0
        first = open_ones.enter_context(daemon.connect())
        open_ones.enter_context(daemon.connect())
        with daemon.connect() as third:
            error = read_answer(third).error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "connections")
        first.close()
        while "result" not in daemon.shell("true").last:
            pass
        assert daemon.records("invalid")[0]["rule"] == "connections"


def test_each_connection_beyond_the_limit_is_in_the_log(world: World) -> None:
    """A flood of them makes few records, which say for how many they stand, also at the end."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nconnections = 1\n")
    refused = 0
    with Daemon(world) as daemon, ExitStack() as open_ones:
        open_ones.enter_context(daemon.connect())
        while refused < 50:
            refused += 1
            if "result" in daemon.shell("true").last:
                # The daemon was still at an earlier connection when the open one came.
                open_ones.enter_context(daemon.connect())
        daemon.stop()
        records = [each for each in daemon.records("invalid") if each["rule"] == "connections"]
        assert sum(each["count"] for each in records) == refused
        assert len(records) < refused


def test_a_full_table_of_descriptors_is_told(world: World) -> None:
    """With no descriptor left clients are answered, the daemon does not spin, and it recovers."""
    with Daemon(world, nofile=64) as daemon:
        with ExitStack() as idle:
            refused: dict[str, object] = {}
            for _ in range(200):
                connection = idle.enter_context(daemon.connect())
                connection.setblocking(False)
                try:
                    data = connection.recv(65536)
                except BlockingIOError:
                    continue
                refused = json.loads(data)
            connection.setblocking(True)
            connection.settimeout(30)
            refused = refused or read_answer(connection).last
            assert refused["error"]["data"]["layer"] == "limit"  # type: ignore[index]
        while "result" not in daemon.shell("true").last:
            pass


def test_one_agent_cannot_fill_the_table_for_another(world: World) -> None:
    """The descriptors are shared out, so that there are some left whatever the first one does."""
    other = add_agent(world)
    with Daemon(world, nofile=256) as daemon, ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(daemon.connect())
        for _ in range(20):
            assert ask_of(other, "echo fine").text() == "fine\n"


def test_one_agent_cannot_start_all_its_commands_at_once_beside_another(world: World) -> None:
    """Where another one asks too, new commands are never more than half of the processors."""
    other = add_agent(world)
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    with Daemon(world) as daemon, ExitStack() as open_ones:
        assert ask_of(other, "true").exit_code == 0
        connections = [open_ones.enter_context(daemon.connect()) for _ in range(4 * share)]
        for connection in connections:
            connection.sendall(request("sh", "-c", "sleep 0.3"))
        for connection in connections:
            assert read_answer(connection).exit_code == 0
        starts = [each for each in daemon.records("exec-start") if each["profile"] == "my"]
    began = [datetime.fromisoformat(each["ts"]) for each in starts]
    assert len(began) == 4 * share
    for earlier, later in zip(began, began[share:], strict=False):
        assert (later - earlier).total_seconds() >= 0.9 * YOUNG_S


def test_a_request_that_never_ends_is_ended(world: World) -> None:
    """Who does not send a whole request in time is told and closed."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrequest_s = 1\n")
    with Daemon(world) as daemon, daemon.connect() as slow:
        slow.sendall(b'{"jsonrpc"')
        error = read_answer(slow).error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "request_s")
        assert daemon.records("invalid")[0]["rule"] == "request_s"


def test_a_full_queue_is_told(world: World) -> None:
    """Beyond the running and the waiting ones a command is refused."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\nqueued = 0\n")
    with Daemon(world) as daemon, daemon.connect() as first:
        first.sendall(request("sh", "-c", "echo up; sleep 600"))
        read_until(first, "up")
        error = daemon.shell("true").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "queued")


def test_waiting_has_an_end(world: World) -> None:
    """A command that waited too long for its turn is refused."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\nqueue_s = 0.2\n")
    with Daemon(world) as daemon, daemon.connect() as first:
        first.sendall(request("sh", "-c", "echo up; sleep 600"))
        read_until(first, "up")
        error = daemon.shell("true").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "queue_s")


def test_a_client_that_does_not_read_stops_the_tool_and_not_the_daemon(daemon: Daemon) -> None:
    """Output that nobody takes is not gathered in the daemon's memory."""
    with daemon.connect() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(request("sh", "-c", "yes"))
        lazy.recv(1)
        for _ in range(50):
            assert daemon.shell("echo fine").text() == "fine\n"
        assert resident_kib(daemon.process.pid, "VmHWM") < 100 * 1024


@pytest.mark.parametrize("newlines", [True, False])
def test_memory_does_not_grow_with_the_output(daemon: Daemon, newlines: bool) -> None:
    """16 MiB and 256 MiB of output need the same memory."""
    stages = []
    filter_ = "tr '\\0' 'x'" if not newlines else "tr '\\0' '\\n'"
    for mebibytes in (16, 256):
        with daemon.connect() as connection:
            script = f"head -c {mebibytes}M /dev/zero | {filter_}"
            connection.sendall(request("sh", "-c", script))
            received = 0
            while chunk := connection.recv(1 << 20):
                received += len(chunk)
            assert received > mebibytes << 20
        stages.append(resident_kib(daemon.process.pid, "VmHWM"))
    assert stages[1] - stages[0] < 8 * 1024


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_a_log_that_cannot_be_written_refuses(world: World) -> None:
    """Nothing runs unrecorded: a full disk turns into a refusal, for `deny`."""
    world.write_config("")
    (world.config / "config.toml").write_text(
        '[commands]\nenable = ["sh"]\n[log]\npath = "/dev/full"\n'
    )
    mark = world.workspace / "mark"
    with Daemon(world) as daemon:
        error = daemon.shell(f"touch {mark}").error
        assert "audit log" in error["message"]
        assert not mark.exists()
        assert daemon.process.poll() is None
