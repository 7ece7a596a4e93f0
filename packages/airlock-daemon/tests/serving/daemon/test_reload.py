"""Reloading: everything is swapped in or nothing is, and nothing is dropped."""

import json
import os
import select
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from commanding import reload
from running import Answer, Daemon, connect_to, read_answer, read_until, request
from worlds import World

REMOVED = "this agent is not registered any more"


def register(world: World, *names: str) -> None:
    """Write the registration anew; each agent but `my` gets a directory like that of `my`."""
    tables = []
    for name in names:
        directory = world.agent.with_name(name)
        if not directory.exists():
            (directory / "commands").mkdir(parents=True)
            for path in ("airlock.toml", "commands/sh.toml"):
                (directory / path).write_text((world.agent / path).read_text())
        tables.append(f'[{name}]\npath = "{directory}"\n')
    world.agents_file.write_text("".join(tables))


def connect(world: World, name: str) -> socket.socket:
    """A new connection to the socket of some agent."""
    return connect_to(Path(world.locations.sockets_dir) / name / "airlock.sock")


def ask(world: World, name: str) -> Answer:
    """Run something for some agent."""
    with connect(world, name) as connection:
        connection.sendall(request("sh", "-c", "echo ran"))
        return read_answer(connection)


@contextmanager
def running(world: World, name: str = "my") -> Iterator[Callable[[], int]]:
    """A command that runs until the value is called, which returns its exit code."""
    go = world.workspace / "go"
    os.mkfifo(go)
    with connect(world, name) as connection:
        connection.sendall(request("sh", "-c", "echo up; read line < go"))
        read_until(connection, "up")

        def finish() -> int:
            go.write_text("\n")
            return read_answer(connection).exit_code

        yield finish
    go.unlink()


def test_agents_come_and_go(world: World) -> None:
    """A new one is served at once, and one that was taken out has no socket any more."""
    with Daemon(world) as daemon:
        register(world, "my", "two")
        assert reload(world).stdout == "added: two\nreloaded\n"
        assert ask(world, "two").text() == "ran\n"
        register(world, "two")
        assert reload(world).stdout == "removed: my\nreloaded\n"
        with pytest.raises(FileNotFoundError):
            daemon.connect()
        assert sorted(os.listdir(world.locations.sockets_dir)) == [
            ".lock", ".serving", "my", "two", "two.sock",
        ]  # fmt: skip
        assert os.listdir(Path(world.locations.sockets_dir) / "my") == []
        assert ask(world, "two").text() == "ran\n"
        assert daemon.stop() == 0
        records = daemon.records("reload")
        assert [record["outcome"] for record in records] == ["allowed", "allowed"]
        assert [record["detail"] for record in records] == ["added two", "removed my"]


def test_a_change_counts_from_the_next_request_on(world: World) -> None:
    """What runs goes on by the rules that it began with."""
    with Daemon(world) as daemon, running(world) as finish:
        world.write_profile('[workspace]\nhost = true\n[deny]\nsh = ["-c"]\n')
        assert reload(world).stdout == "changed: my\nreloaded\n"
        assert daemon.shell("true").error["data"]["layer"] == "profile"
        assert finish() == 0


RUNNING = "[limits]\nrunning = 3\n"
SEARCHED = f'{RUNNING}[daemon]\npath = "/usr/bin:/bin"\n'
EDITS: tuple[Callable[[World], object], ...] = (
    lambda world: world.write_module("sh", "/bin/sh", '[deny]\nargs = ["-x"]\n'),
    lambda world: world.write_shared_module("git", "/bin/true"),
    lambda world: world.write_hook("pre-exec", "exit 0"),
    lambda world: world.write_config(RUNNING),
    lambda world: world.write_config(SEARCHED),
    lambda world: world.write_config(f"{SEARCHED}[hooks]\ntimeout_s = 3\n"),
)


def test_every_file_is_read_anew(world: World) -> None:
    """An edit of any of them is a change of the agent that it decides about, and told once."""
    with Daemon(world):
        for edit in EDITS:
            edit(world)
            assert reload(world).stdout == "changed: my\nreloaded\n"
            assert reload(world).stdout == "reloaded: no agent has changed\n"


def test_what_another_agent_maps_is_no_change_of_this_one(world: World) -> None:
    """Though the boxes of each keep away from the workspaces of all."""
    register(world, "my", "two")
    with Daemon(world):
        profile = world.agent.with_name("two") / "airlock.toml"
        profile.write_text(
            f'commands = ["sh"]\n[workspace]\nmounts = {{ "/there" = "{world.workspace}" }}\n'
        )
        assert reload(world).stdout == "changed: two\nreloaded\n"


def test_what_waits_begins_when_there_is_more_room(world: World) -> None:
    """A limit that was raised counts for those who wait already; what runs is counted still."""
    world.write_config("[limits]\nrunning = 1\nqueued = 1\n")
    with Daemon(world) as daemon, running(world) as finish, ExitStack() as stack:
        both = {stack.enter_context(daemon.connect()) for _ in range(2)}
        for connection in both:
            connection.sendall(request("sh", "-c", "echo ran"))
        # Whichever comes second is refused, and the first one waits.
        (refused,), _, _ = select.select(both, [], [], 30)
        assert read_answer(refused).error["data"]["rule"] == "queued"
        (waiting,) = both - {refused}
        world.write_config("[limits]\nrunning = 2\nqueued = 0\n")
        reload(world)
        assert read_answer(waiting).text() == "ran\n"
        assert daemon.shell("true").exit_code == 0
        assert finish() == 0


def test_an_agent_that_comes_back_has_its_counts(world: World) -> None:
    """What it left running takes its place still."""
    world.write_config("[limits]\nrunning = 1\nqueued = 0\n")
    with Daemon(world) as daemon, running(world) as finish:
        register(world)
        reload(world)
        register(world, "my")
        reload(world)
        assert daemon.shell("true").error["data"]["rule"] == "queued"
        assert finish() == 0
        assert daemon.shell("true").exit_code == 0


def test_clients_of_an_agent_that_was_removed_are_told(world: World) -> None:
    """Also those who have said nothing yet, or half of it; what runs goes on to its end."""
    with Daemon(world) as daemon, running(world) as finish:
        with daemon.connect() as silent, daemon.connect() as half:
            half.sendall(request("sh")[:20])
            register(world)
            assert reload(world).stdout == "removed: my\nreloaded\n"
            for client in (silent, half):
                error = read_answer(client).error
                assert error["message"] == REMOVED
                assert error["data"]["layer"] == "profile"
                assert "airlock agent add" in error["data"]["hint"]
        assert finish() == 0
        assert daemon.stop() == 0
        told = [(record["outcome"], record["reason"]) for record in daemon.records("invalid")]
        assert told == [("denied", REMOVED)] * 2
        assert {record["rule"] for record in daemon.records("invalid")} == {"registration"}
        assert [record["outcome"] for record in daemon.records("exec")] == ["allowed"]


def test_a_broken_file_changes_nothing_and_is_told(world: World) -> None:
    """All faults of all files; on stderr, in the audit log, and by the command."""
    with Daemon(world) as daemon:
        register(world, "my", "two")
        world.write_profile('[deny]\nsh = ["-c"]\n[workspce]\n')
        world.write_config("[limit]\n")
        done = reload(world, status=1)
        lines = done.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith("airlock: ") for line in lines)
        assert "/config.toml: limit: unknown table" in lines[0]
        assert "workspce" in lines[1]
        assert lines[2] == "airlock: 2 faults found: the daemon goes on with what it had"
        assert daemon.shell("true").exit_code == 0
        with pytest.raises(FileNotFoundError):
            connect(world, "two")
        for line in (*lines[:2], "airlock: not reloaded: the daemon goes on with what it had"):
            assert f"{line}\n" in daemon.messages()
        report = json.loads(reload(world, "--json", status=1).stdout)
        assert (report["reloaded"], len(report["faults"])) == (False, 2)
        (record, _) = daemon.records("reload")
        assert record["outcome"] == "failed"
        assert "limit" in record["reason"]
        world.write_config()
        world.write_profile()
        assert reload(world).stdout == "added: two\nreloaded\n"


def test_a_socket_that_cannot_be_made_changes_nothing(world: World) -> None:
    """Nor does another agent that was to come with it."""
    in_the_way = Path(world.locations.sockets_dir) / "two"
    with Daemon(world) as daemon:
        register(world, "one", "two")
        in_the_way.mkdir()
        (in_the_way / "airlock.sock").write_text("mine")
        said = reload(world, status=1).stderr
        assert "something that is no socket stands at" in said
        assert daemon.shell("true").exit_code == 0
        assert not list(Path(world.locations.sockets_dir).glob("one*.sock"))
        (in_the_way / "airlock.sock").unlink()
        assert reload(world).stdout == "added: one\nadded: two\nremoved: my\nreloaded\n"


# A daemon whose installation has changed under it.
WITHOUT_HOOKS = """
import sys
sys.modules["airlock_daemon.serving.request.hooks"] = None
from airlock_daemon.admin.cli import main
main()
"""


def test_code_that_cannot_be_loaded_changes_nothing(world: World) -> None:
    """Neither the agents, nor who may connect."""
    with Daemon(world, program=("-c", WITHOUT_HOOKS)) as daemon:
        before = os.stat(world.socket).st_mode
        world.write_hook("pre-exec", "exit 0")
        world.write_config('[daemon]\nsocket_mode = "0660"\n')
        daemon.process.send_signal(signal.SIGHUP)
        while not (records := daemon.records("reload")):
            assert daemon.shell("true").exit_code == 0
        assert [record["outcome"] for record in records] == ["failed"]
        assert "a fault of the daemon ended a reload" in daemon.messages()
        assert os.stat(world.socket).st_mode == before
        assert daemon.shell("true").exit_code == 0


# The third agent's socket, and the report of a reload, meet faults of the daemon's own.
WITH_FAULTS = """
import sys
from airlock_daemon.admin.cli import main
from airlock_daemon.serving.daemon.sockets import SocketsDirectory

listen, faults = SocketsDirectory.listen, [LookupError(), LookupError()]

def listen_once_not(self, agent, name="airlock.sock"):
    if agent == "third" and faults:
        raise faults.pop()
    return listen(self, agent, name)

def post(self, status):
    if status.reload is not None:
        raise LookupError
SocketsDirectory.listen, SocketsDirectory.post = listen_once_not, post
sys.exit(main())
"""


def test_faults_of_the_daemon_end_a_reload_alone(world: World) -> None:
    """Neither the daemon ends, nor does a socket stay behind that no agent has."""
    with Daemon(world, program=("-c", WITH_FAULTS)) as daemon:
        register(world, "my", "second", "third")
        for count in (1, 2):
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_records(count, "reload")
            assert not (Path(world.locations.sockets_dir) / "second.sock").exists()
        daemon.process.send_signal(signal.SIGHUP)
        records = daemon.wait_for_records(3, "reload")
        assert [record["outcome"] for record in records] == ["failed", "failed", "allowed"]
        assert ask(world, "third").text() == "ran\n"
        daemon.wait_until(lambda: daemon.messages().count("from reporting a reload") == 3)


def test_the_mode_of_sockets_changes_for_those_that_are_there(world: World) -> None:
    """But not for what somebody has put in the place of one."""
    with Daemon(world):
        register(world, "my", "two")
        reload(world)
        other = Path(world.locations.sockets_dir) / "two" / "airlock.sock"
        other.unlink()
        mine = world.root / "mine"
        mine.write_text("")
        mine.chmod(0o600)
        other.symlink_to(mine)
        world.write_config('[daemon]\nsocket_mode = "0660"\n')
        reload(world)
        assert stat.S_IMODE(os.stat(world.socket).st_mode) == 0o660
        assert stat.S_IMODE(mine.stat().st_mode) == 0o600


def test_it_serves_while_it_reads_and_reads_once_more_afterwards(world: World) -> None:
    """A SIGHUP that comes during a reload leads to another one: the files may be read already."""
    profile = world.agent / "airlock.toml"
    text = profile.read_text()
    with Daemon(world) as daemon:
        profile.unlink()
        os.mkfifo(profile)
        daemon.process.send_signal(signal.SIGHUP)
        # This returns once the daemon reads, which it does until there is something to read.
        with profile.open("w") as first:
            assert daemon.shell("true").exit_code == 0
            daemon.process.send_signal(signal.SIGHUP)
            profile.unlink()
            profile.write_text(text + '[deny]\nsh = ["-c"]\n')
            first.write(text)
        while "error" not in (answer := daemon.shell("true")).last:
            assert answer.exit_code == 0
        assert answer.error["data"]["layer"] == "profile"
        assert len(daemon.records("reload")) == 2


def test_a_stop_does_not_wait_for_a_reload(world: World) -> None:
    """The disk that it reads from may never answer."""
    profile = world.agent / "airlock.toml"
    with Daemon(world) as daemon:
        profile.unlink()
        os.mkfifo(profile)
        daemon.process.send_signal(signal.SIGHUP)
        with profile.open("w"):
            assert daemon.stop() == 0
        assert daemon.records("reload") == []
        assert daemon.records("daemon-stop")


def test_programs_are_told_what_has_changed(world: World) -> None:
    """On stdout, as JSON."""
    with Daemon(world):
        register(world, "my", "two")
        changes = {"added": ["two"], "changed": [], "removed": [], "unserved": {}, "faults": []}
        assert json.loads(reload(world, "--json").stdout) == {"reloaded": True, **changes}


def test_another_registration_takes_a_new_start(world: World) -> None:
    """The command says so, instead of reading another file than the one that was named."""
    with Daemon(world):
        reload(world, "--agents", str(world.agents_file))
        said = reload(world, "--agents", str(world.root / "other"), status=1).stderr
        assert "was not started with --agents" in said
