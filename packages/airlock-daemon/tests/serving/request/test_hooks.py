"""How hooks are run: in which surroundings, within which bounds, and how they end."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import elsewhere
from hooking import HOOK_S
from running import Daemon, has_ended, read_answer, read_until, request, watching
from worlds import World

# Starts a process in a session of its own whose parent is gone, and one that holds the pipes.
APART = "" if elsewhere.is_wanted() else "setsid"
FORK = f"""
{APART} sh -c 'echo $$ > far; trap "" HUP; sleep 600' </dev/null >/dev/null 2>&1 &
sh -c 'sh -c "echo \\$\\$ > near; exec sleep 600" &'
while ! [ -s far ] || ! [ -s near ]; do :; done
"""


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world with a pre-exec hook, which a test may replace."""
    world.write_hook("pre-exec", "exit 0")
    world.write_config("[hooks]\ntimeout_s = 20\n")
    with Daemon(world) as running:
        yield running


def pid_in(world: World, name: str) -> int:
    return int((world.agent / name).read_text())


def wait_for_text(path: Path) -> str:
    """What a hook writes into a file, as soon as there is some."""
    while not path.exists() or not path.read_text().endswith("\n"):
        os.sched_yield()
    return path.read_text()


def peak_memory(daemon: Daemon) -> int:
    """The most memory that the daemon has had, in bytes."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def fill(connection: socket.socket) -> None:
    """Send until nothing more fits."""
    connection.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            connection.send(b"x" * 65536)
    connection.setblocking(True)


def test_the_surroundings_are_exact(world: World) -> None:
    """Four variables, the agent's directory, three pipes, a session of its own."""
    world.write_hook(
        "pre-exec",
        f"#!{sys.executable}\n"
        "import json, os\n"
        "seen = {'environ': open('/proc/self/environ').read().split(chr(0))[:-1],\n"
        "        'cwd': os.getcwd(), 'session': [os.getpid(), os.getpgrp(), os.getsid(0)],\n"
        "        'open': [os.readlink(f'/proc/self/fd/{n}') for n in sorted(\n"
        "            int(n) for n in os.listdir('/proc/self/fd'))[:-1]]}\n"
        "json.dump(seen, open('seen', 'w'))\n",
    )
    variables = {"HOME": "/the/home", "USER": "me", "SECRET": "x", "LC_ALL": "C"}
    with Daemon(world, environment={**variables, "PATH": f"{os.environ['PATH']}:."}) as daemon:
        assert daemon.shell("true").exit_code == 0
    seen = json.loads((world.agent / "seen").read_text())
    path = f"PATH={os.environ['PATH']}"
    assert sorted(seen["environ"]) == sorted(
        [path, "HOME=/the/home", "USER=me", "AIRLOCK_AGENT=my"]
    )
    assert seen["cwd"] == str(world.agent)
    assert len(set(seen["session"])) == 1
    assert [name.partition(":")[0] for name in seen["open"]] == ["pipe", "pipe", "pipe"]


def test_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent's directory may be called anything."""
    world = World(tmp_path / "a b;$c&'")
    monkeypatch.chdir(world.workspace)
    world.write_hook("pre-exec", 'echo "$0" > called; exit 0')
    with Daemon(world) as daemon:
        assert daemon.shell("echo hi").text() == "hi\n"
    assert (world.agent / "called").read_text() == f"{world.agent}/hooks/pre-exec\n"


def test_what_it_says_on_stderr_is_for_the_host(daemon: Daemon, world: World) -> None:
    """The daemon's own messages have it, quoted and bounded; the client has not."""
    hook = "printf 'a note\\033[2J\\n' >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1"
    world.write_hook("pre-exec", hook)
    assert "note" not in json.dumps(daemon.shell("true").messages)
    messages = daemon.messages()
    assert r'agent my: pre-exec: "a note\u{1b}[2J"' in messages
    assert len(messages) < 10_000


@pytest.mark.parametrize("name", ["pre-exec", "post-exec"])
def test_a_hang_up_ends_the_hook(world: World, name: str) -> None:
    """With all that it has started, in whatever session; the request is recorded."""
    world.write_hook(name, FORK + "echo $$ > hook; exec sleep 600")
    with Daemon(world) as daemon:
        connection = daemon.connect()
        connection.sendall(request("sh", "-c", "exit 3"))
        wait_for_text(world.agent / "hook")
        pids = [pid_in(world, each) for each in ("hook", "far", "near")]
        with (
            watching(pids[0]) as hook_ended,
            watching(pids[1]) as far_ended,
            watching(pids[2]) as near_ended,
        ):
            connection.close()
            assert hook_ended()
            assert near_ended()
            assert far_ended()
        daemon.wait_for_records(1)
        (record,) = daemon.records()
        assert (record["outcome"], record["reason"]) == ("aborted", "the client hung up")
        # A command that has run to its end is recorded with it.
        assert record["exit_code"] == (3 if name == "post-exec" else None)


def test_a_client_that_talks_meanwhile_is_not_heard(daemon: Daemon, world: World) -> None:
    """It fills its own socket, and neither the daemon's memory nor anybody else's time."""
    world.write_hook("pre-exec", "case $(cat) in *slow*) echo > asked; read x < go; esac; exit 0")
    os.mkfifo(world.agent / "go")
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "echo slow"))
        wait_for_text(world.agent / "asked")
        before = peak_memory(daemon)
        fill(connection)
        assert daemon.shell("echo served").text() == "served\n"
        assert peak_memory(daemon) - before < 10_000_000
        (world.agent / "go").write_text("\n")
        assert read_answer(connection).text() == "slow\n"


def test_what_a_hook_leaves_behind_ends_with_it(daemon: Daemon, world: World) -> None:
    """A process that holds its pipes keeps nobody waiting, and one that forks itself away ends."""
    world.write_hook("pre-exec", FORK + "exit 0")
    assert daemon.shell("echo ran").text() == "ran\n"
    assert has_ended(pid_in(world, "far"))
    assert has_ended(pid_in(world, "near"))


def test_what_takes_too_long_is_ended_whole(world: World) -> None:
    """The refusal comes, and nothing of the hook is left by then."""
    world.write_config(f"[hooks]\ntimeout_s = {HOOK_S}\n")
    world.write_hook("pre-exec", FORK + "exec sleep 600")
    with Daemon(world) as daemon:
        error = daemon.shell("true").error
    assert error["data"]["rule"] == "timeout"
    assert f"after {HOOK_S} s" in error["message"]
    assert has_ended(pid_in(world, "far"))
    assert has_ended(pid_in(world, "near"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_hook_ends_with_the_daemon(world: World, number: int) -> None:
    """However that ends."""
    world.write_config("[daemon]\nshutdown_grace_s = 0\n")
    world.write_hook("pre-exec", FORK + "echo $$ > hook; exec sleep 600")
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "true"))
        wait_for_text(world.agent / "hook")
        with watching(pid_in(world, "hook")) as ended, watching(pid_in(world, "far")) as far_ended:
            daemon.process.send_signal(number)
            assert ended()
            assert far_ended()


def test_a_waiting_hook_holds_no_place_of_a_command(world: World) -> None:
    """Of two places for commands both are free while a third request is being decided."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 2\n")
    world.write_hook("pre-exec", "case $(cat) in *decide*) echo > asked; read x < go; esac; exit 0")
    os.mkfifo(world.agent / "go")
    with Daemon(world) as daemon, daemon.connect() as slow, daemon.connect() as first:
        slow.sendall(request("sh", "-c", "echo decide"))
        wait_for_text(world.agent / "asked")
        first.sendall(request("sh", "-c", "echo up; read x < go"))
        os.mkfifo(world.workspace / "go")
        read_until(first, "up")
        assert daemon.shell("echo second").text() == "second\n"
        (world.workspace / "go").write_text("\n")
        assert read_answer(first).exit_code == 0
        (world.agent / "go").write_text("\n")
        assert read_answer(slow).text() == "decide\n"


def test_hooks_at_once_are_bounded(world: World) -> None:
    """As many as [limits] running, and [limits] queued that wait; the next is refused."""
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\nqueued = 0\n")
    world.write_hook("pre-exec", "echo > asked; read x < go; exit 0")
    os.mkfifo(world.agent / "go")
    with Daemon(world) as daemon, daemon.connect() as first:
        first.sendall(request("sh", "-c", "echo first"))
        wait_for_text(world.agent / "asked")
        error = daemon.shell("true").error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("limit", "queued")
        assert "hooks" in error["message"]
        (world.agent / "go").write_text("\n")
        assert read_answer(first).text() == "first\n"


def test_a_hundred_requests_at_once(world: World) -> None:
    """Each is asked about once, and each gets its own answer."""
    world.write_hook("pre-exec", "echo x >> count; exec cat")
    world.write_hook("post-exec", "exit 0")
    with Daemon(world) as daemon:
        connections: list[socket.socket] = [daemon.connect() for _ in range(100)]
        for number, connection in enumerate(connections):
            connection.sendall(request("sh", "-c", f"echo {number}"))
        for number, connection in enumerate(connections):
            with connection:
                assert read_answer(connection).text() == f"{number}\n"
        assert len(daemon.records()) == 100
    assert (world.agent / "count").read_text() == "x\n" * 100


def test_a_flood_of_output_refuses(world: World) -> None:
    """100 MB are no answer, and are not held in memory."""
    world.write_config("[limits]\nrequest_bytes = 65536\n")
    world.write_hook("pre-exec", "exec head -c 100000000 /dev/zero")
    with Daemon(world) as daemon:
        before = peak_memory(daemon)
        error = daemon.shell("true").error
        assert error["data"]["rule"] == "answer"
        assert "more than 196608 bytes" in error["message"]
        assert peak_memory(daemon) - before < 20_000_000


def test_a_flood_on_stderr_changes_nothing(daemon: Daemon, world: World) -> None:
    """It is read, so that the hook can go on, and dropped."""
    world.write_hook("pre-exec", "head -c 100000000 /dev/zero >&2; exit 0")
    before = peak_memory(daemon)
    assert daemon.shell("echo ran").text() == "ran\n"
    assert peak_memory(daemon) - before < 20_000_000


@pytest.mark.parametrize("script", ["exit 0", "exec cat", "exec sleep 0.1", "exec <&-; exit 0"])
def test_a_large_request_fits(daemon: Daemon, world: World, script: str) -> None:
    """More than a pipe takes: whether the hook reads it or not."""
    world.write_hook("pre-exec", script)
    more = ["x" * 1000] * 1000
    assert daemon.ask("sh", "-c", "echo $#", *more).text() == "999\n"


def test_a_hung_hook_keeps_no_other_agent_waiting(world: World) -> None:
    """Hooks are an agent's own, and so are their places."""
    other = world.root / "agents" / "other"
    (other / "commands").mkdir(parents=True)
    for name in ("airlock.toml", "commands/sh.toml"):
        (other / name).write_text((world.agent / name).read_text())
    with world.agents_file.open("a") as file:
        file.write(f'[other]\npath = "{other}"\n')
    world.write_profile("[workspace]\nhost = true\n[limits]\nrunning = 1\n")
    world.write_hook("pre-exec", "echo > asked; exec sleep 600")
    with Daemon(world) as daemon, daemon.connect() as hung:
        hung.sendall(request("sh", "-c", "true"))
        wait_for_text(world.agent / "asked")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.path.join(world.locations.sockets_dir, "other.sock"))
            connection.sendall(request("sh", "-c", "echo served"))
            assert read_answer(connection).text() == "served\n"
