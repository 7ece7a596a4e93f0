"""What is recorded of faulty requests, and what limits hold, against the running daemon."""

import os
import shutil
import socket
from contextlib import ExitStack
from datetime import datetime

import pytest

from airlock_daemon.boundary.fairness.gate import STARTING_S
from running import Daemon, read_answer, read_until, request
from worlds import World


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json\n", -32700),
        (b"[]\n", -32600),
        (request("sh", method="execute"), -32601),
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


@pytest.mark.linux_only("measures starts by their records, which a launcher of Python delays")
def test_one_agent_cannot_start_all_its_commands_at_once_beside_another(world: World) -> None:
    """Where another one asks too, new commands are never more than half of the processors."""
    world.add_agent("other")
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    with Daemon(world) as daemon, ExitStack() as open_ones, socket.socket(socket.AF_UNIX) as other:
        other.connect(world.socket.replace("/my/", "/other/"))
        other.sendall(request("sh", "-c", "true"))
        assert read_answer(other).exit_code == 0
        connections = [open_ones.enter_context(daemon.connect()) for _ in range(4 * share)]
        for connection in connections:
            connection.sendall(request("sh", "-c", "sleep 0.3"))
        for connection in connections:
            assert read_answer(connection).exit_code == 0
        starts = [each for each in daemon.records("exec-start") if each["profile"] == "my"]
    began = [datetime.fromisoformat(each["ts"]) for each in starts]
    assert len(began) == 4 * share
    for earlier, later in zip(began, began[share:], strict=False):
        assert (later - earlier).total_seconds() >= 0.9 * STARTING_S


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


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
def test_no_memory_of_a_tool_is_left_in_the_workspace(world: World) -> None:
    """Upon SIGQUIT, which a client may send, a process dumps its core into its directory."""
    allowed = ("prlimit", "--core=unlimited:unlimited", "--")
    with Daemon(world, before=allowed) as daemon, daemon.connect() as connection:
        script = "grep core /proc/self/limits; exec sleep 60"
        features = ["signals", "exit-signal"]
        asked = request("sh", "-c", script, cwd=str(world.workspace), features=features)
        connection.sendall(asked)
        said = read_until(connection, "bytes")
        connection.sendall(b'{"jsonrpc":"2.0","method":"signal","params":{"name":"SIGQUIT"}}\n')
        ended = read_answer(connection)
    assert said.split()[4:6] == ["1", "1"]
    assert ended.last["result"]["signal"] == "SIGQUIT"
    assert not list(world.workspace.iterdir())
