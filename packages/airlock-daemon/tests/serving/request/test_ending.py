"""How commands end: with their client, with the tool, with the daemon, and nothing stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import elsewhere
from running import Daemon, read_answer, read_until, request, watching
from worlds import World

# A shell that starts a process in a session of its own, whose parent is gone, and one in its own
# process group; it prints their pids and waits.
LEAVE_BEHIND = """
{apart} sh -c 'echo $$ > "$0"/far; exec sleep 600' {dir} </dev/null >/dev/null 2>&1 &
sh -c 'sh -c "echo \\$\\$ > $0/near; exec sleep 600" &' {dir} </dev/null >/dev/null 2>&1
while ! [ -s {dir}/far ] || ! [ -s {dir}/near ]; do :; done
echo up
"""


def pids(world: World) -> tuple[int, int]:
    """The two processes that LEAVE_BEHIND left."""
    return (
        int((world.workspace / "far").read_text()),
        int((world.workspace / "near").read_text()),
    )


def script(world: World, then: str) -> str:
    # Without a subreaper, a process that leaves its session is not found (SECURITY.md).
    apart = "" if elsewhere.is_wanted() else "setsid"
    return LEAVE_BEHIND.format(dir=world.workspace, apart=apart) + then


def start_client(world: World, code: str) -> subprocess.Popen[bytes]:
    """A client in a process of its own, that asks for a script and prints what it receives."""
    program = (
        "import signal, socket, sys, json\n"
        # Whoever starts the tests in the background has it ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "p = {'command': 'sh', 'args': ['-c', sys.argv[2]]}\n"
        "m = {'jsonrpc': '2.0', 'id': 1, 'method': 'exec', 'params': p}\n"
        "s.sendall(json.dumps(m).encode() + b'\\n')\n"
        "while True:\n"
        "    d = s.recv(65536)\n"
        "    if not d: break\n"
        "    sys.stdout.buffer.write(d); sys.stdout.flush()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, world.socket, code],
        cwd=world.workspace,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_everything_ends_with_the_client(daemon: Daemon, number: int) -> None:
    """A client that is killed or interrupted takes its command and all descendants along."""
    client = start_client(daemon.world, script(daemon.world, "sleep 600"))
    assert client.stdout is not None
    while b"up" not in client.stdout.readline():
        pass
    far, near = pids(daemon.world)
    with watching(far) as far_ended, watching(near) as near_ended:
        client.send_signal(number)
        client.wait()
        assert far_ended()
        assert near_ended()
    client.stdout.close()
    (record,) = daemon.wait_for_records(1)
    assert (record["outcome"], record["reason"]) == ("aborted", "the client hung up")


def test_a_client_that_closed_its_output_ends_the_command(daemon: Daemon) -> None:
    """`command | head -1`: the client goes with its reader, and the command does too."""
    client = start_client(daemon.world, script(daemon.world, "while :; do echo line; done"))
    assert client.stdout is not None
    while b"up" not in client.stdout.readline():
        pass
    far, near = pids(daemon.world)
    with watching(far) as far_ended, watching(near) as near_ended:
        client.stdout.close()
        assert far_ended()
        assert near_ended()
    client.wait()
    assert daemon.wait_for_records(1)[0]["outcome"] == "aborted"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_everything_ends_with_the_daemon(world: World, number: int) -> None:
    """The daemon's own end, also by SIGKILL, ends every process of every command."""
    world.write_config("[daemon]\nshutdown_grace_s = 0\n")
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("sh", "-c", script(world, "sleep 600")))
        read_until(connection, "up")
        far, near = pids(world)
        with watching(far) as far_ended, watching(near) as near_ended:
            daemon.process.send_signal(number)
            daemon.process.wait()
            assert far_ended()
            assert near_ended()
        assert daemon.records("exec-start"), "a killed daemon leaves its trace"


def test_a_command_that_ignores_the_hangup_is_killed(daemon: Daemon) -> None:
    """SIGHUP comes first, SIGKILL after the grace."""
    connection = daemon.connect()
    mark = daemon.world.workspace / "hup"
    loop = f"trap 'echo x > {mark}' HUP; echo $$; while :; do sleep 0.05; done"
    connection.sendall(request("sh", "-c", loop))
    pid = int(read_until(connection, "\n"))
    with watching(pid) as ended:
        connection.close()
        assert ended()
    assert mark.exists()


def test_a_waiting_command_gives_its_place_up_with_its_client(world: World) -> None:
    """Whoever leaves the queue neither runs nor keeps others waiting."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\n")
    with Daemon(world) as daemon, daemon.connect() as first:
        first.sendall(request("sh", "-c", "echo up; read line < go"))
        os.mkfifo(world.workspace / "go")
        read_until(first, "up")
        second, mark = daemon.connect(), world.workspace / "mark"
        second.sendall(request("sh", "-c", f"touch {mark}"))
        second.close()
        (record,) = daemon.wait_for_records(1)
        assert (record["outcome"], record["command"]) == ("aborted", "sh")
        Path(world.workspace / "go").write_text("\n")
        assert read_answer(first).exit_code == 0
        assert daemon.shell("true").exit_code == 0
        assert not mark.exists()
