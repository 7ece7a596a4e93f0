"""The running daemon: a command's output, status, environment and directory."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Daemon, read_answer, read_until, request
from worlds import World


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world as it is."""
    with Daemon(world, environment={"SECRET_OF_THE_DAEMON": "x", "LC_TEST": "y"}) as running:
        yield running


def test_output_and_status_come_back(daemon: Daemon) -> None:
    """Both streams and the exit code are those of the command."""
    answer = daemon.shell("echo out; echo err >&2; exit 3")
    assert (answer.text("stdout"), answer.text("stderr")) == ("out\n", "err\n")
    assert answer.exit_code == 3


def test_a_signal_becomes_128_and_its_number(daemon: Daemon) -> None:
    """A command that a signal ended is told from one that failed."""
    assert daemon.shell("kill -TERM $$").exit_code == 128 + 15
    assert daemon.records()[-1]["signal"] == "SIGTERM"


def test_output_comes_before_the_end(daemon: Daemon) -> None:
    """A prompt without a newline is seen while the command waits."""
    fifo = daemon.world.workspace / "go"
    os.mkfifo(fifo)
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", f"printf 'password: '; cat {fifo}"))
        assert read_until(connection, "password: ") == "password: "
        fifo.write_text("done")
        assert read_answer(connection).exit_code == 0


def test_all_that_a_command_wrote_arrives(daemon: Daemon) -> None:
    """Output that is still in the pipe when the command ends is not lost."""
    answer = daemon.shell("head -c 300000 /dev/zero | tr '\\0' x")
    assert answer.text() == "x" * 300_000


def test_the_environment_is_built_from_nothing(daemon: Daemon) -> None:
    """The daemon's own variables stay with the daemon."""
    lines = dict(line.partition("=")[::2] for line in daemon.shell("env").text().splitlines())
    assert "SECRET_OF_THE_DAEMON" not in lines
    assert lines["LC_TEST"] == "y"
    assert lines["HOME"] == os.environ["HOME"]


def test_nothing_but_the_standard_descriptors_is_inherited(daemon: Daemon) -> None:
    """A tool cannot reach the daemon's sockets, log or pipes."""
    script = "cd /proc/$$/fd; for fd in *; do readlink $fd; done"
    links = daemon.shell(script).text().split()
    assert links[0] == "/dev/null"
    assert [link.partition(":")[0] for link in links[1:]] == ["pipe", "pipe"]


def test_arguments_are_passed_as_they_are(daemon: Daemon) -> None:
    """No shell looks at them, and bytes that are not UTF-8 arrive unchanged."""
    odd = ["", " ", "$HOME", "*", "a\nb", "ü", "--"]
    assert daemon.ask("sh", "-c", 'printf "[%s]" "$@"', "x", *odd).text() == "".join(
        f"[{word}]" for word in odd
    )
    raw = {"base64": "/w=="}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "exec",
        "params": {"command": "sh", "args": ["-c", 'printf "%s" "$1" | od -An -tx1', "x", raw]},
    }
    with daemon.connect() as connection:
        connection.sendall(json.dumps(message).encode() + b"\n")
        assert read_answer(connection).text().strip() == "ff"
    assert daemon.records()[-1]["args"][-1] == raw


def test_a_command_without_a_module_is_unknown(daemon: Daemon) -> None:
    """The message begins as clients expect, and the code says the same."""
    error = daemon.ask("make").error
    assert error["code"] == -32601
    assert error["message"].startswith("unknown command: make")


def test_a_rule_refuses_and_says_so(world: World) -> None:
    """A denial names layer and rule, and leaves a record."""
    world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--bad"]\n')
    with Daemon(world) as daemon:
        error = daemon.ask("sh", "--bad").error
        record = daemon.records()[-1]
    assert (error["code"], error["data"]["layer"], error["data"]["rule"]) == (
        -32600,
        "module",
        "--bad",
    )
    assert (record["outcome"], record["layer"], record["rule"]) == ("denied", "module", "--bad")


def test_a_denial_says_why(daemon: Daemon) -> None:
    """The client reads the reason, and not the text of a rule."""
    message = daemon.ask("git", "push", "-f").error["message"]
    assert message.startswith('git with "push", "-f" is refused: it overwrites what others have')


def test_check_decides_and_does_not_run(daemon: Daemon) -> None:
    """The answer to `check` is a decision, and nothing was executed."""
    mark = daemon.world.root / "mark"
    answer = daemon.ask("sh", "-c", f"touch {mark}", method="check")
    assert answer.last["result"]["decision"] == "allowed"
    assert "workspace" in answer.last["result"]["not_consulted"]
    assert not mark.exists()
    assert daemon.records("exec") == []
    assert daemon.records("check")[0]["outcome"] == "allowed"


def test_a_claimed_container_is_refused_on_the_host(daemon: Daemon) -> None:
    """A process of the host that names a container lies."""
    error = daemon.shell("true", container_id="ab" * 32).error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("workspace", "container-id")


def test_a_missing_program_is_a_failure_with_a_remedy(world: World) -> None:
    """What cannot be executed is told from what is not allowed."""
    world.write_module("sh", "/no/such/program")
    with Daemon(world) as daemon:
        error = daemon.ask("sh").error
    assert (error["code"], error["data"]["kind"]) == (-32603, "failed")
    assert error["data"]["hint"]


def test_arguments_beyond_the_kernels_limit_are_a_failure(daemon: Daemon) -> None:
    """What execve refuses is told as such."""
    error = daemon.ask("sh", "-c", "true", "x" * 200_000).error
    assert error["code"] == -32603
    assert "longer than the kernel allows" in error["message"]


def test_a_time_limit_ends_the_command(world: World) -> None:
    """[exec] timeout_s ends it and names itself."""
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[exec]\ntimeout_s = 0.2\n")
    with Daemon(world) as daemon:
        error = daemon.shell("sleep 60").error
        assert "ended after 0.2 s" in error["message"]
        assert daemon.records()[-1]["outcome"] == "failed"


def test_one_at_a_time_means_one_at_a_time(world: World) -> None:
    """A second command of a module with concurrent = false waits for the first."""
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[exec]\nconcurrent = false\n")
    fifo = world.workspace / "go"
    os.mkfifo(fifo)
    with Daemon(world) as daemon, daemon.connect() as first, daemon.connect() as second:
        first.sendall(request("sh", "-c", f"echo first; cat {fifo} >/dev/null; date +%s%N"))
        read_until(first, "first")
        second.sendall(request("sh", "-c", "date +%s%N"))
        fifo.write_text("")
        ended = int(read_answer(first).text())
        assert ended < int(read_answer(second).text())


def test_stopping_in_order_tells_the_clients(world: World) -> None:
    """SIGTERM ends what runs after the grace, answers, records, and removes the sockets."""
    world.write_config("[daemon]\nshutdown_grace_s = 0\n")
    with Daemon(world) as daemon, daemon.connect() as connection, daemon.connect() as idle:
        connection.sendall(request("sh", "-c", "echo up; sleep 60"))
        read_until(connection, "up")
        assert daemon.stop() == 0
        assert "stopping" in read_answer(connection).error["message"]
        assert "stopping" in read_answer(idle).error["message"]
        assert daemon.records()[-1]["outcome"] == "aborted"
        assert len(daemon.records("daemon-stop")) == 1
    assert not Path(world.socket).exists()


def test_a_half_closed_client_is_still_there(daemon: Daemon) -> None:
    """Who closed only the sending half gets the answer."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "sleep 0.1; echo late"))
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection).text() == "late\n"
