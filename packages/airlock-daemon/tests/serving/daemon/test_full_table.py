"""A daemon whose table of descriptors is full, at each step of a request."""

import os
import resource
import signal
import subprocess
import sys

from running import Daemon, connect_to, read_answer, request
from worlds import World

FRESH = ("-m", "airlock_daemon")
"""Executed, so that code is read as it is needed: other daemons here have it all."""

_MORE = 40

LOADED = """
import sys
from airlock_daemon.serving.daemon.served_agents import load_granted
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.paths import Locations
setup = Setup.load(Locations.find(config=sys.argv[1], agents=sys.argv[2]))
load_granted(setup.generations.values())
print(*sys.modules, sep="\\n")
"""


def list_limits(daemon: Daemon, more: int = _MORE) -> range:
    """Limits from one that leaves the daemon no descriptor to one that leaves it `more`."""
    taken = set(map(int, os.listdir(f"/proc/{daemon.process.pid}/fd")))
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    return range(first, max(taken) + more)


def allow(daemon: Daemon, limit: int) -> None:
    """Limit the daemon's descriptors."""
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, 20_000))


def test_wherever_a_request_finds_no_descriptor_it_is_told_so(daemon: Daemon) -> None:
    """It is no fault of the daemon's own, nor of the client; with enough of them it is served."""
    assert daemon.shell("true").exit_code == 0
    said = set()
    for limit in list_limits(daemon):
        allow(daemon, limit)
        answer = daemon.shell("echo done")
        said.add(answer.error["message"] if "error" in answer.last else answer.text())
    assert {each for each in said if "Too many open files" not in each} == {
        "done\n",
        "the daemon has no file descriptors left",
    }
    assert "fault" not in daemon.messages()


def test_a_fetch_over_ssh_without_a_descriptor_is_answered_and_recorded(world: World) -> None:
    """Also the first one, whose code is read with it."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"sh"', '"git-remote", "sh"'))
    with Daemon(world, program=FRESH) as daemon:
        # It has begun to serve before all of it is open, and what its start needs is closed.
        looks: list[set[str]] = [set()]

        def rests() -> bool:
            looks.append(set(os.listdir(f"/proc/{daemon.process.pid}/fd")))
            return "airlock: ready" in daemon.messages() and looks[-1] == looks[-2]

        daemon.wait_until(rests)
        limits = list_limits(daemon, 20)
        for limit in limits:
            allow(daemon, limit)
            assert daemon.ask("ssh", "localhost", "git-upload-pack 'a'").error
        # Without any, its client is told so before it is read.
        records = daemon.records()
        assert len(records) == len(limits) - 1
        assert {record["outcome"] for record in records} <= {"denied", "failed"}
        assert {record["command"] for record in records} == {"ssh", "git-remote"}
        assert "fault" not in daemon.messages()


def test_a_reload_without_a_descriptor_does_not_end_the_daemon(world: World) -> None:
    """Nor weaken boxes. It has not read the code yet that explains such faults."""
    with Daemon(world, program=FRESH) as daemon:

        def reload() -> str:
            before = daemon.messages()
            count = before.count("reloaded: ")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_until(lambda: daemon.messages().count("reloaded: ") > count)
            return daemon.messages()[len(before) :]

        for name in ("another", "third"):
            world.add_agent(name)
        limits = list_limits(daemon, 4)
        allow(daemon, limits[0])
        assert "not reloaded: " in reload()
        for limit in limits[1:]:
            allow(daemon, limit)
            reload()
        assert "the daemon has no file descriptors left" in daemon.messages()
        assert "makes no box" not in daemon.messages()
        allow(daemon, 20_000)
        assert "not reloaded: " not in reload()
        for name in ("another", "third", "my"):
            with connect_to(world.socket.replace("/my/", f"/{name}/")) as connection:
                connection.sendall(request("sh", "-c", "echo done"))
                assert read_answer(connection).text() == "done\n"


def test_code_that_would_be_read_outside_a_request_is_loaded_with_its_grant(world: World) -> None:
    """What identifies the clients of docker's socket, and what asks a person, but no more."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"sh"', '"docker", "git-remote", "git"'))
    containers, approvals, pushes = (
        "airlock_daemon.boundary.identity.engine_sockets",
        "airlock_daemon.serving.request.approvals",
        "airlock_daemon.boundary.brokers.git.patient_push",
    )
    mapped = f'[workspace]\nmounts = {{ "/w" = "{world.workspace}" }}\n'
    for commands, more, wanted in (
        ('["git-remote"]', "", set[str]()),
        ('["git-remote", "docker"]', "[docker]\n", {containers}),
        ('["git-remote"]', '[approve]\nrequire = ["git push * **"]\n', {approvals, pushes}),
        # Its pushes are relayed out of the box.
        ('["git"]', '[approve]\nrequire = ["git push * **"]\n', {approvals, pushes}),
    ):
        world.write_profile(mapped + more, commands=commands)
        words = [sys.executable, "-c", LOADED, str(world.config), str(world.agents_file)]
        loaded = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        assert {containers, approvals, pushes} & set(loaded.split()) == wanted
