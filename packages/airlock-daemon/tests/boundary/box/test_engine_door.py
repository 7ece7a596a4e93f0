"""A box with a door to the docker engine: it speaks to that one, and the socket is not in there."""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from airlock_daemon.setup.checking import check_files
from boxing import PYTHON, mapped_world, needs_bubblewrap
from running import Daemon, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

BOX = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n'

SPEAK = """\
import os, socket, sys
def call(said):
    door = socket.socket(socket.AF_UNIX)
    door.connect("\\0" + os.environ["DOCKER_HOST"].removeprefix("unix://@"))
    door.sendall(said)
    door.shutdown(socket.SHUT_WR)
    heard = b""
    while data := door.recv(65536):
        heard += data
    return heard
"""


class Engine:
    """Answers each connection, once the other side has said everything, with that and a word.

    What it `heard` is what boxes have said.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        path.chmod(0o600)
        self.heard: list[bytes] = []

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        said = b""
        # The daemon asks who the engine is, gets no answer, and may leave at any time.
        with connection, suppress(OSError):
            while not said.startswith(b"GET /") and (data := connection.recv(65536)):
                said += data
            # The other side has ended what it says: half of the conversation is still open.
            if not said.startswith(b"GET /"):
                connection.sendall(self.path.name.encode() + b" heard " + said)
                self.heard.append(said)


@contextmanager
def run_engine(path: Path) -> Iterator[Engine]:
    """Run one in a thread."""
    engine = Engine(path)
    thread = threading.Thread(target=engine.serve, daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        engine.listener.shutdown(socket.SHUT_RDWR)
        engine.listener.close()
        thread.join()


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon whose `git` is python in such a box, and `/workspace` mapped."""
    with mapped_world() as world:
        world.write_module("git", PYTHON, BOX)
        (world.root / "home").mkdir()
        yield world


def serve(world: World, **environment: str) -> Daemon:
    """A daemon of a person who has not said which engine, but for these variables."""
    own = {"HOME": str(world.root / "home"), "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
    return Daemon(world, environment={**own, "DOCKER_CONFIG": "", **environment})


def speak(daemon: Daemon, script: str = "print(call(b'hello').decode())") -> str:
    """What python says in the box."""
    answer = daemon.ask("git", "-c", SPEAK + script, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text() + answer.text("stderr")


def test_the_box_speaks_to_the_engine_and_each_conversation_is_recorded(world: World) -> None:
    """Either side may end what it says before the other; the record has the bytes of both."""
    path = world.root / "engine"
    with run_engine(path), serve(world, DOCKER_HOST=f"unix://{path}") as daemon:
        said = speak(daemon, "print(call(b'a'), len(call(b'b' * 3_000_000)))")
        records = daemon.records("broker")
        done = daemon.records()[-1]
    assert said == f"b'engine heard a' {3_000_000 + len('engine heard ')}\n"
    assert [each["detail"] for each in records] == [
        {
            "operation": f"docker unix://{path}",
            "service": "docker",
            "destination": f"unix://{path}",
            "bytes": count,
            "received": count + len("engine heard "),
        }
        for count in (1, 3_000_000)
    ]
    assert {each["request"] for each in records} == {done["request"]}
    assert done["sandbox"] == "docker engine, bubblewrap"


def test_the_socket_of_the_engine_is_nowhere_in_the_box(world: World) -> None:
    """No file of the box is a socket, and the host's path is not one there."""
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
print(found, os.path.exists(sys.argv[1]), os.environ["DOCKER_HOST"])
"""
    with run_engine(world.root / "engine") as engine:
        with serve(world, DOCKER_HOST=f"unix://{engine.path}") as daemon:
            script = f"sys.argv.append({str(engine.path)!r}){search}"
            assert speak(daemon, script).startswith("[] False unix://@airlock-docker-")
        assert engine.heard == []


def test_the_door_is_of_one_box_alone(world: World) -> None:
    """Neither the host has that name, nor another box at the same time."""
    with run_engine(world.root / "engine") as engine:
        world.write_module("sh", PYTHON, BOX.replace('brokers = ["docker"]', 'sockets = "unix"'))
        with (
            serve(world, DOCKER_HOST=f"unix://{engine.path}") as daemon,
            daemon.connect() as connection,
        ):
            name = "print(os.environ['DOCKER_HOST'][8:], flush=True)"
            wait = f"{SPEAK}call(b'first')\n{name}\nsys.stdin.read()"
            connection.sendall(request("git", "-c", wait, cwd="/workspace", features=["stdin"]))
            found = re.search("airlock-docker-[0-9a-f]{32}", read_until(connection, "\n"))
            assert found
            other = f"import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{found[0]}')"
            answer = daemon.ask("sh", "-c", other, cwd="/workspace")
            assert "ConnectionRefusedError" in answer.text("stderr")
            with socket.socket(socket.AF_UNIX) as here, pytest.raises(ConnectionRefusedError):
                here.connect(f"\0{found[0]}")
        assert engine.heard == [b"first"]


def test_nobody_can_guess_what_the_door_is_called(world: World) -> None:
    """So that a client which connects to sockets that an agent names leads none of them here."""
    script = """
name = os.environ["DOCKER_HOST"].removeprefix("unix://@")
print(name)
for guess in ("airlock-docker", "airlock-docker-", name[:-1]):
    try:
        socket.socket(socket.AF_UNIX).connect("\\0" + guess)
        print("got")
    except ConnectionRefusedError:
        pass
"""
    path = world.root / "engine"
    with run_engine(path), serve(world, DOCKER_HOST=f"unix://{path}") as daemon:
        first, second = speak(daemon, script), speak(daemon, script)
    assert len(first.split()) == len(second.split()) == 1
    assert first != second


def test_the_engine_is_that_of_the_context_in_use(world: World) -> None:
    """As docker's own client finds it, unless a variable of the daemon's or the profile's says."""
    folder = world.root / "home" / ".docker"
    name = hashlib.sha256(b"mine").hexdigest()
    meta = folder / "contexts" / "meta" / name
    meta.mkdir(parents=True)
    (folder / "config.json").write_text('{"currentContext": "mine", "auths": {}}')
    engines = [world.root / each for each in ("of-context", "of-daemon", "of-profile")]
    host = {"docker": {"Host": f"unix://{engines[0]}", "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "mine", "Endpoints": host}))
    with run_engine(engines[0]), run_engine(engines[1]), run_engine(engines[2]):
        with serve(world) as daemon:
            assert speak(daemon) == "of-context heard hello\n"
        with serve(world, DOCKER_HOST=f"unix://{engines[1]}") as daemon:
            assert speak(daemon) == "of-daemon heard hello\n"
        profile = (world.agent / "airlock.toml").read_text()
        chosen = f'{profile}[env]\nset = {{ DOCKER_HOST = "unix://{engines[2]}" }}\n'
        (world.agent / "airlock.toml").write_text(chosen)
        with serve(world, DOCKER_HOST=f"unix://{engines[1]}") as daemon:
            assert speak(daemon) == "of-profile heard hello\n"


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("ssh://me:pass@host", 'is behind "ssh"'),
        ("tcp://127.0.0.1:2375", 'is behind "tcp"'),
        ("unix://relative", 'is behind "unix"'),
        ("unix://WORKSPACE/engine", "leads through a workspace"),
    ],
)
def test_another_engine_is_refused_by_name(world: World, host: str, problem: str) -> None:
    """With the way out, and without what a URL may have in it."""
    with serve(world, DOCKER_HOST=host.replace("WORKSPACE", str(world.workspace))) as daemon:
        error = daemon.ask("git", "-c", "", cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "engine")
    assert problem in error["message"]
    assert "pass" not in error["message"]
    assert "DOCKER_HOST" in error["data"]["hint"]


@pytest.mark.parametrize("name", ["config.json", "contexts"])
def test_no_agent_chooses_the_engine_by_a_link_of_the_humans(world: World, name: str) -> None:
    """As where dotfiles are a workspace: neither the context in use, nor what it names."""
    folder = world.root / "home" / ".docker"
    meta = hashlib.sha256(b"mine").hexdigest()
    for place in (folder, world.workspace):
        (place / "contexts" / "meta" / meta).mkdir(parents=True)
        (place / "config.json").write_text('{"currentContext": "mine"}')
        host = {"docker": {"Host": f"unix://{world.root}/any"}}
        file = place / "contexts" / "meta" / meta / "meta.json"
        file.write_text(json.dumps({"Name": "mine", "Endpoints": host}))
    (folder / name).rename(folder / "before")
    (folder / name).symlink_to(world.workspace / name)
    with serve(world) as daemon:
        error = daemon.ask("git", "-c", "", cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "engine")
    assert "leads through a workspace" in error["message"]


def test_without_an_engine_the_client_is_told_why_in_its_own_words(world: World) -> None:
    """As an answer of HTTP, and the record says that it failed."""
    with serve(world, DOCKER_HOST="unix:///nowhere/engine") as daemon:
        said = speak(daemon)
        (record,) = daemon.records("broker")
    assert said.startswith("HTTP/1.1 503 ")
    assert 'airlock: the docker engine at \\"/nowhere/engine\\" of the host' in said
    assert record["outcome"] == "failed"


def test_a_person_is_told_that_this_is_the_engine(world: World) -> None:
    """By check, and at the start."""
    told = "git speaks with the docker engine, which is root on this host"
    notes = check_files(world.locations).notes
    assert [each.problem for each in notes if each.key == "sandbox.brokers"] == [told]
    with serve(world) as daemon:
        daemon.stop()
        assert told in daemon.messages()
