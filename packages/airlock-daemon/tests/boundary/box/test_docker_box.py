"""A box whose only way out is the broker of the docker engine."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airlock_daemon.setup.checking import Checked
from boxing import PYTHON, mapped_world, needs_bubblewrap, write_boxes
from engines import run_empty_engine
from running import Daemon, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

BOX = '[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n'

SPEAK = """\
import json, os, socket, sys
from http.client import HTTPConnection
def connect():
    door = socket.socket(socket.AF_UNIX)
    door.connect("\\0" + os.environ["DOCKER_HOST"].removeprefix("unix://@"))
    return door
def call(method, path):
    client = HTTPConnection("docker")
    client.sock = connect()
    client.request(method, path)
    answer = client.getresponse()
    return [answer.status, answer.read().decode()]
"""


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon whose `git` is python in such a box, and `/workspace` mapped."""
    with mapped_world() as world:
        world.write_module("git", PYTHON, BOX)
        yield world


def serve(world: World, engine: str) -> Daemon:
    """A daemon of a person whose engine is at that path."""
    return Daemon(world, environment={"DOCKER_HOST": f"unix://{engine}"})


def speak(daemon: Daemon, script: str) -> Any:
    """What python prints in the box, as JSON."""
    answer = daemon.ask("git", "-c", SPEAK + script, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return json.loads(answer.text() or json.dumps(answer.text("stderr")))


def test_the_box_reaches_the_broker_alone(world: World) -> None:
    """It judges each call, and the record names the request. No rules and no table are needed."""
    script = """
print(json.dumps([call("GET", "/_ping"), call("GET", "/v1.45/containers/json"),
    call("GET", "/v1.45/swarm")]))
"""
    with (
        run_empty_engine(world.root / "engine") as engine,
        serve(world, str(engine.path)) as daemon,
    ):
        ping, listed, swarm = speak(daemon, script)
        assert (ping, listed, swarm[0]) == ([200, "OK"], [200, "[]"], 403)
        assert json.loads(swarm[1])["message"].startswith("airlock: ")
        assert engine.paths[-2:] == ["/v1.45/info", "/v1.45/containers/json"]
        records = daemon.records("broker")
        done = daemon.records()[-1]
    assert [(each["outcome"], each["detail"]["operation"]) for each in records] == [
        ("allowed", "docker system.ping"),
        ("allowed", "docker container.list"),
        ("denied", "docker GET /v1.45/swarm"),
    ]
    assert {each["request"] for each in records} == {done["request"]}


def test_no_socket_of_an_engine_is_in_the_box(world: World) -> None:
    """Neither the engine's nor the agent's own: it has only the name of the broker."""
    search = """
import stat
found = []
for top, names, files in os.walk("/"):
    if top in ("/proc", "/sys"):
        names.clear()
    for name in files:
        try:
            if stat.S_ISSOCK(os.lstat(os.path.join(top, name)).st_mode):
                found.append(os.path.join(top, name))
        except OSError:
            pass
print(json.dumps([found, os.environ["DOCKER_HOST"]]))
"""
    with (
        run_empty_engine(world.root / "engine") as engine,
        serve(world, str(engine.path)) as daemon,
    ):
        assert speak(daemon, search) == [[], "unix://@airlock-docker"]


def test_the_door_is_of_one_box_alone(world: World) -> None:
    """Another box that has none does not find it, at the same time."""
    world.write_module(
        "sh", PYTHON, '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nsockets = "unix"'
    )
    with (
        run_empty_engine(world.root / "engine") as engine,
        serve(world, str(engine.path)) as daemon,
        daemon.connect() as connection,
    ):
        wait = f"{SPEAK}call('GET', '/_ping')\nprint('ready', flush=True)\nsys.stdin.read()"
        connection.sendall(request("git", "-c", wait, cwd="/workspace", features=["stdin"]))
        read_until(connection, "ready")
        other = "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0airlock-docker')"
        answer = daemon.ask("sh", "-c", other, cwd="/workspace")
    assert "ConnectionRefusedError" in answer.text("stderr")


@pytest.mark.parametrize("mode", ["landlock", "off"])
def test_without_bubblewrap_nothing_runs(world: World, mode: str) -> None:
    """Landlock's box has no network of its own; without one the client has the host's."""
    write_boxes(world, mode=mode)
    with serve(world, "/nowhere/engine") as daemon:
        error = daemon.ask("git", "-c", "open('ran', 'w')", cwd="/workspace").error
    assert error["data"]["rule"] == "no-box"
    assert not (world.workspace / "ran").exists()


def test_rules_that_bind_the_hosts_client_alone_are_told(world: World) -> None:
    """A container's own docker reaches `docker.sock` as it is, whatever an override says."""
    world.write_module("git", PYTHON, f'[deny]\nargs = ["run & --privileged"]\n{BOX}')
    world.write_profile('[deny]\ngit = ["build"]\n')
    told = Checked.of(world.locations).findings
    found = [each for each in told if "bounds this host's git alone" in each.problem]
    assert [each.key for each in found] == ["deny", "deny.git"]
    assert all("[docker] of the profile" in each.remedy for each in found)


def test_a_person_is_told_what_is_shared(world: World) -> None:
    """By check, and at the start; not for a rootless engine of the agent's own."""
    told = "git starts containers on your docker engine: they share this host's kernel"
    notes = Checked.of(world.locations).notes
    assert [each.problem for each in notes if each.key == "sandbox.brokers"] == [told]
    with serve(world, "/nowhere/engine") as daemon:
        daemon.stop()
        assert told in daemon.messages()
    world.write_profile('[docker]\nengine = "unix:///run/user/1000/docker.sock"\n')
    notes = Checked.of(world.locations).notes
    assert [each for each in notes if each.key == "sandbox.brokers"] == []
