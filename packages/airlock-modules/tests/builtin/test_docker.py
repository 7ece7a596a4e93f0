import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airlock_modules import load_options, parse
from asking import ask as ask_builtin
from policy_vectors import Vector, read_vectors

TABLE = load_options("docker")
ask = partial(ask_builtin, "docker")
needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")


def run_docker(*args: str, home: Path, host: str = "unix:///nonexistent") -> str:
    """Run docker with settings of its own and return what it printed."""
    result = subprocess.run(
        ["docker", *args],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_HOST": host,
            "DOCKER_BUILDKIT": "0",
        },
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.stdout


def installed_versions(home: Path) -> str:
    shown = [
        run_docker(*words, home=home)
        for words in (["--version"], ["buildx", "version"], ["compose", "version"])
    ]
    pattern = r"\s(?:version )?v?(\d+\.\d+\.\d+)"
    docker, buildx, compose = (re.search(pattern, text) for text in shown)
    if not (docker and buildx and compose):
        return "not complete"
    return f"{docker[1]}, buildx {buildx[1]}, compose {compose[1]}"


def read_help(text: str) -> dict[str, tuple[str | None, bool]]:
    """Return the flags of a help text by their long name: the letter, and if a value is taken."""
    # An option begins its line; what is further to the right belongs to a description.
    pattern = r"^ {2,6}(?:(-\w), )?(--[a-z][\w-]*)(?: ([^\s]+))?(?: {2,}.*)?$"
    found = re.findall(pattern, text, re.MULTILINE)
    return {name: (letter or None, bool(kind)) for letter, name, kind in found if name != "--help"}


@pytest.mark.nightly
@needs_docker
def test_the_table_is_that_of_the_installed_docker(tmp_path: Path) -> None:
    """The flags that help shows for allowed commands are there, with their letters and values."""
    if installed_versions(tmp_path) != TABLE.version:
        pytest.skip(f"the table is of docker {TABLE.version}")
    keys = [
        key
        for key in TABLE.commands
        if ask(*key.split()).allowed and key.split()[0] not in ("help", "builder")
    ]

    def compare(key: str) -> list[str]:
        flags = TABLE.commands[key].flags.exact
        text = run_docker(*key.split(), "--help", home=tmp_path)
        return [
            f"{key} {name}"
            for name, (letter, takes_value) in read_help(text).items()
            if name not in flags
            or (letter is not None and flags.get(letter) is not flags[name])
            or (flags[name].takes == "value") is not takes_value
        ]

    with ThreadPoolExecutor(2) as pool:
        assert [problem for found in pool.map(compare, keys) for problem in found] == []


@needs_docker
@pytest.mark.parametrize("key", ["", *[k for k in TABLE.commands if k != "help"]][::12])
def test_a_flag_that_the_table_does_not_have_is_none(key: str, tmp_path: Path) -> None:
    """Docker refuses it as well, before it asks an engine."""
    args = (*key.split(), "--no-such-flag")
    assert ask(*args).rule in ("unknown-flag", "command")
    if "flag: --no-such-flag" not in run_docker(*args, home=tmp_path):
        # A command that is hidden from help without its plugin, or that ends at its usage.
        assert key in ("builder install", "builder uninstall", "help")


SAME = [
    *[(f"container {word}", word) for word in ("run", "create", "exec", "start", "update", "top")],
    ("container ls", "ps"),
    *[(f"image {word}", word) for word in ("build", "pull", "push", "load", "save", "import")],
    ("image ls", "images"),
    ("image rm", "rmi"),
    ("builder build", "build"),
    ("system info", "info"),
    ("system events", "events"),
]


@pytest.mark.parametrize(("long", "short"), SAME)
def test_the_long_name_of_a_command_permits_what_the_short_one_does(long: str, short: str) -> None:
    """No flag is allowed under one name of a command and refused under the other."""
    for name in TABLE.commands[short].flags.exact:
        for value in ("", "=x", "=host", "=/:/h", "=a=b"):
            words = [name + value, "alpine", "x"]
            first, second = ask(*long.split(), *words), ask(*short.split(), *words)
            assert (first.allowed, first.rule) == (second.allowed, second.rule), words


class RecordingEngine(BaseHTTPRequestHandler):
    """An engine that has nothing, and keeps what it was asked to make and where it was asked."""

    asked: list[dict[str, Any]]
    paths: list[str]

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        """Say that there is an engine."""
        self.answer(200, b"OK")

    def do_GET(self) -> None:
        """Know of nothing."""
        self.paths.append(self.path)
        self.answer(200, b"{}")

    def do_DELETE(self) -> None:
        """Say that it is not there."""
        self.paths.append(self.path)
        self.answer(404, b'{"message": "recorded"}')

    def do_POST(self) -> None:
        """Keep the description of a container."""
        self.paths.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if "/containers/create" in self.path:
            self.asked.append(json.loads(body))
        self.answer(400, b'{"message": "recorded"}')

    def answer(self, status: int, body: bytes) -> None:
        """Send a response of JSON text."""
        self.send_response(status)
        self.send_header("Api-Version", "1.45")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Client:
    """The real docker, asking an engine that only listens."""

    def __init__(
        self, home: Path, socket: Path, asked: list[dict[str, Any]], paths: list[str]
    ) -> None:
        self.home, self.socket, self.asked, self.paths = home, socket, asked, paths

    def create(self, *args: str) -> dict[str, Any] | None:
        """Return what docker asks an engine to make, or None where it refuses the arguments."""
        self.asked.clear()
        run_docker(*args, home=self.home, host=f"unix://{self.socket}")
        return self.asked[-1] if self.asked else None

    def find_paths(self, *args: str) -> list[str]:
        """Return the paths of the engine's interface that docker asks for, without queries."""
        self.paths.clear()
        run_docker(*args, home=self.home, host=f"unix://{self.socket}")
        return [path.partition("?")[0] for path in self.paths]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a docker client whose engine records what it is asked for."""
    home = tmp_path_factory.mktemp("docker")
    asked: list[dict[str, Any]] = []
    paths: list[str] = []
    handler = type("Handler", (RecordingEngine,), {"asked": asked, "paths": paths})
    with socketserver.ThreadingUnixStreamServer(str(home / "engine"), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Client(home, home / "engine", asked, paths)
        server.shutdown()


def has_host_access(request: dict[str, Any]) -> bool:
    """Tell whether a container would reach into the host or into another container."""
    host = request["HostConfig"]
    modes = [host[f"{kind}Mode"] for kind in ("Network", "Pid", "Ipc", "UTS", "Userns", "Cgroupns")]
    return bool(
        host["Privileged"]
        or any(bind.startswith(("/", ".", "~")) for bind in host["Binds"] or ())
        or any(mount["Type"] != "volume" for mount in host.get("Mounts") or ())
        or any(mode == "host" or mode.startswith("container:") for mode in modes)
        or host["CapAdd"]
        or host["Devices"]
        or host["VolumesFrom"]
        or host["CgroupParent"]
        or host.get("Runtime")
    )


WORDS = st.sampled_from(
    [
        *("-v", "/:/h", "-v/:/h", "-v=/:/h", "-iv", "-itv/:/h", "--volume", "--volume=.:/h"),
        *("d:/d", "-vd:/d", "-v=d:/d"),
        *("--mount", "type=bind,src=/,dst=/h", "type=volume,src=d,dst=/d", "--network", "--net"),
        *("host", "container:x", "name=host", "NAME= Host", "--pid=host", "--uts", "--ipc"),
        *("--privileged", "--privileged=1", "--privileged=0", "--cap-add", "--cap-drop=ALL", "ALL"),
        *("--userns=host", "--volumes-from", "x", "--runtime=y", "--cgroup-parent", "--device"),
        *("-e", "A=b", "--", "-i", "-it", "-l", "--name", "--name=n", "-w", "-h", "-p", "80", ""),
    ]
)


@needs_docker
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=st.lists(WORDS, max_size=5), after=st.lists(WORDS, max_size=2))
def test_what_reaches_into_the_host_is_denied(
    client: Client, before: list[str], after: list[str]
) -> None:
    """Whatever docker itself makes of the arguments; and it finds image and command as we do."""
    args = ["create", *before, "alpine", *after]
    request = client.create(*args)
    decision = ask(*args)
    if request is None:
        return
    assert not (has_host_access(request) and decision.allowed), (args, request["HostConfig"])
    parsed = parse(TABLE, args)
    assert [word.text for word in parsed.words] == [request["Image"]]
    assert list(parsed.rest) == (request["Cmd"] or [])


@needs_docker
@pytest.mark.parametrize(
    "vector",
    [each for each in read_vectors("docker") if each.args[:1] == ("create",)],
    ids=lambda vector: vector.id,
)
def test_everyday_containers_are_what_docker_understands(client: Client, vector: Vector) -> None:
    """Vectors of the command create that are allowed are valid, and stay away from the host."""
    request = client.create(*vector.args)
    if vector.result == "allowed":
        assert request is not None
        assert not has_host_access(request)


GLOBAL_WORDS = st.sampled_from(
    [
        *("-D", "-H", "unix:///x", "-Hunix:///x", "-H=unix:///x", "-DH", "--host=unix:///x", "-l"),
        *("warn", "--debug=false", "-Dlinfo", "--host", "--log-level=info", "-DHunix:///x", "-c"),
    ]
)


@needs_docker
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(GLOBAL_WORDS, max_size=4))
def test_another_engine_is_never_asked(client: Client, words: list[str]) -> None:
    """Where docker would connect elsewhere, the module refuses."""
    shown = run_docker(*words, "ps", home=client.home)
    if "Cannot connect to the Docker daemon at unix:///x" in shown:
        assert not ask(*words, "ps").allowed


@pytest.mark.parametrize(
    "line",
    [
        "build /etc/a",
        "container run --env-file=/etc/a alpine",
        "image build /etc/a",
        "import /etc/a",
        "load -i /etc/a",
        "save -o /etc/a alpine",
    ],
)
def test_paths_are_handed_on(line: str) -> None:
    """Whether a context or a file lies in the workspace is decided by who knows it."""
    decision = ask(*line.split())
    assert decision.allowed
    assert [use.path for use in decision.paths] == ["/etc/a"]


# Words behind the dots that no path of the engine's interface has by itself.
ELSEWHERE = "x/../elsewhere"
# Each command once: its aliases share its flags.
WITH_IDS = {
    id(scope.flags): key
    for key, scope in TABLE.commands.items()
    if not key.startswith(("compose", "builder", "buildx", "context", "trust", "login", "logout"))
    and key not in ("help", "search", "plugin create")
}


@needs_docker
@pytest.mark.parametrize("key", WITH_IDS.values())
def test_no_word_leads_to_another_path_of_the_engine(key: str, client: Client) -> None:
    """Docker joins ids into a path and cleans that; wherever it does, such an id is refused."""
    for count in (1, 2, 3):
        words = [f"{ELSEWHERE}{number}" for number in range(count)]
        args = [*key.split(), *words]
        asked = " ".join(client.find_paths(*args))
        malformed = [each.piece.text for each in parse(TABLE, args).malformed]
        for number, word in enumerate(words):
            if f"elsewhere{number}" in asked:
                assert word in malformed
                assert not ask(*args).allowed


@needs_docker
@pytest.mark.parametrize("key", ["run", "exec", "build", "network connect", "update", "start"])
def test_no_value_of_an_allowed_flag_leads_to_another_path(key: str, client: Client) -> None:
    """Nor does the value of a flag that the module lists."""
    for name, spec in TABLE.commands[key].flags.exact.items():
        args = [*key.split(), name, ELSEWHERE, "a", "b"]
        if spec.takes == "value" and ask(*args).allowed:
            assert not any("elsewhere" in path for path in client.find_paths(*args)), args


@needs_docker
@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("network inspect ../swarm", "/v1.45/swarm"),
        ("network inspect ../swarm/unlockkey", "/v1.45/swarm/unlockkey"),
        ("network inspect ../configs/x", "/v1.45/configs/x"),
        ("rm ../plugins/x:latest", "/v1.45/plugins/x:latest"),
        ("rm ../secrets/x", "/v1.45/secrets/x"),
        ("volume rm ../nodes/x", "/v1.45/nodes/x"),
        ("inspect --type volume ../secrets/x", "/v1.45/secrets/x"),
        ("cp x/../../secrets/x:/a .", "/v1.45/secrets/x/archive"),
        ("logs x/../../../info", "/info/json"),
        ("image inspect ../swarm?", "/v1.45/swarm%3F/json"),
        ("rm %2e%2e/plugins/x", "/v1.45/containers/%252e%252e/plugins/x"),
        ("volume inspect x#y", "/v1.45/volumes/x%23y"),
    ],
)
def test_an_id_that_is_a_path_is_refused(line: str, path: str, client: Client) -> None:
    """What docker itself would ask the engine for is shown beside it."""
    asked = client.find_paths(*line.split())
    assert path in asked
    decision = ask(*line.split())
    assert decision.rule == "form"
    assert "is refused: it is not " in decision.message


@pytest.mark.parametrize(
    "line",
    [
        "rm -f web db_1 a.b-c 0123abcdef",
        "inspect web alpine:3.19 registry.example.org:5000/team/app",
        "inspect registry.example.org:5000/team/app@sha256:" + "0" * 64,
        "run --network name=web,alias=db,ip=10.0.0.2 localhost:5000/a/b__c/d--e:v1.2_3 /bin/x ../y",
        "rmi sha256:0123abcd alpine [::1]:5000/x",
        "cp web:/a/../b ./x:y",
        "cp ./x:y web:b",
        "cp - web:/tmp",
        "commit web team/app:v1",
        "port web 80/tcp",
        "exec web cat ../a",
        "import https://example.org/x.tar team/app",
    ],
)
def test_an_id_of_an_everyday_form_is_not(line: str) -> None:
    """Names, ids and references to images; what belongs to the container may be anything."""
    decision = ask(*line.split())
    assert decision.allowed, decision.message
