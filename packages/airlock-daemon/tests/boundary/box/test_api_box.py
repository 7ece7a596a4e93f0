"""A command with an `[[api]]` in a box: it reaches its agent's APIs as a container does."""

import json
import shlex
import signal
from collections.abc import Iterator

import pytest
from egress_world import Echo, run_echo

from api_world import TOKEN, ApiWorld, api_world
from boxing import needs_bubblewrap, open_world, write_boxes
from commanding import reload, run
from running import Answer, Daemon, connect_to, read_answer, read_until, request
from worlds import UNSAID

pytestmark = needs_bubblewrap

API = '[[api]]\nhosts = ["api.example.com"]\nallow = ["GET /"]\n'

CLIENT = """
import http.client, os, socket, ssl, sys
def open_tunnel(wanted):
    proxy = os.environ["HTTPS_PROXY"].removeprefix("http://")
    connection = socket.create_connection(proxy.split(":"), 20)
    connection.sendall(f"CONNECT {wanted} HTTP/1.1\\r\\nHost: {wanted}\\r\\n\\r\\n".encode())
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        data = connection.recv(4096)
        if not data:
            break
        answer += data
    return connection, answer.decode()
def ask(wanted, path, token):
    connection, answer = open_tunnel(wanted)
    assert answer.startswith("HTTP/1.1 200 "), answer
    context = ssl.create_default_context()
    tls = context.wrap_socket(connection, server_hostname="localhost")
    head = f"GET {path} HTTP/1.1\\r\\nHost: {wanted}\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n"
    tls.sendall(head.encode())
    response = http.client.HTTPResponse(tls)
    response.begin()
    return response.status, response.read().decode()
"""


@pytest.fixture
def apis(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiWorld]:
    """A world with an API, whose command `sh` has one too."""
    with open_world() as world, api_world(world) as apis:
        write_boxes(world)
        world.write_module("sh", "/bin/sh", API + UNSAID)
        monkeypatch.chdir(world.workspace)
        yield apis


def run_python(daemon: Daemon, script: str, *words: object) -> Answer:
    """Run a script of Python's in the box of `sh`, which has all of `CLIENT`."""
    text = f"{CLIENT}\n{script}"
    return daemon.shell("exec python3 -c " + shlex.quote(text) + " " + " ".join(map(str, words)))


def said(daemon: Daemon, script: str, *words: object) -> str:
    """What that prints."""
    answer = run_python(daemon, script, *words)
    assert answer.exit_code == 0, (answer.last, answer.text("stderr"))
    return answer.text()


def test_a_command_reaches_an_api_by_its_placeholder(apis: ApiWorld) -> None:
    """Every argument passes, and the request is judged. The records have the command's name."""
    with apis.daemon() as daemon:
        script = "print(ask(sys.argv[1], sys.argv[2], os.environ['API_TOKEN']))"
        wanted = f"localhost:{apis.server.port}"
        assert said(daemon, script, wanted, "/who") == "(200, 'half half ')\n"
        refused = said(daemon, script, wanted, "/other")
        assert "403" in refused
        assert "api.test GET /other is refused" in refused
        run, *_ = daemon.records()
        brokered = daemon.records("broker")
    assert [(each["request"], each["outcome"]) for each in brokered][:1] == [
        (run["request"], "allowed")
    ]
    assert run["sandbox"] == "bubblewrap"
    assert apis.server.requests == [("GET /who", f"Bearer {TOKEN}")]


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server on loopback."""
    with run_echo() as server:
        yield server


def test_the_network_of_a_module_is_that_of_its_own_box(apis: ApiWorld, echo: Echo) -> None:
    """By the same proxy; another command of the agent does not reach it."""
    address = f"127.0.0.1:{echo.port}"
    network = f"[sandbox]\nnetwork = {json.dumps([address])}\n"
    apis.world.write_module("git", "/bin/sh", API.replace("api.", "git.") + network)
    script = "connection, answer = open_tunnel(sys.argv[1]); print(answer.split('\\r')[0])"
    with apis.daemon() as daemon:
        refused = run_python(daemon, f"{script}; sys.exit(1)", address)
        assert "403" in refused.text()
        # Many tools do not show what a proxy says.
        assert f"airlock: {address} is " in refused.text("stderr")
        text = f"exec python3 -c {shlex.quote(CLIENT + script)} {address}"
        answer = daemon.ask("git", "-c", text)
        assert answer.text().startswith("HTTP/1.1 200 "), answer.text("stderr")
        assert "403" in said(daemon, script, address)
    assert echo.count == 1


def test_a_command_does_not_flood_the_log_with_connections(apis: ApiWorld, echo: Echo) -> None:
    """Past a thousand they are counted, those that were carried and those that were refused."""
    address = f"127.0.0.1:{echo.port}"
    apis.world.write_module("sh", "/bin/sh", API + f'[sandbox]\nnetwork = ["{address}"]\n')
    script = """
for _ in range(505):
    for wanted in (sys.argv[1], "other.example:443"):
        open_tunnel(wanted)[0].close()
"""
    with apis.daemon() as daemon:
        said(daemon, script, address)
    # The counts are written when the daemon stops.
    brokered = daemon.records("broker")
    written = [each for each in brokered if each["count"] is None]
    assert len(written) == 1000
    assert {each["outcome"] for each in written} == {"allowed", "denied"}
    assert len({each["request"] for each in written}) == 1


PLACES = (
    *("127.0.0.1:{port}", "localhost:{port}", "[::ffff:127.0.0.1]:{port}", "127.1:{port}"),
    *("0:{port}", "0.0.0.0:{port}", "2130706433:{port}", "0x7f.1:{port}", "127.0.0.1.:{port}"),
    *("LOCALHOST:{port}", "127.0.0.1:{api}@127.0.0.1:{port}", "127.0.0.1%00:{port}", ":{port}"),
    *("api.example.com:{port}", "localhost:{api}:{port}", "http://127.0.0.1:{port}/", "/{port}"),
)
"""Spellings of a server of this host that nobody has granted, beside an API on the same host."""


def test_no_spelling_leads_to_what_is_not_granted(apis: ApiWorld, echo: Echo) -> None:
    """Nor does a way around the broker, nor a second request behind one that was refused."""
    script = """
import json
for place in json.loads(sys.argv[1]):
    print(open_tunnel(place)[1].split(" ")[1:2])
port = int(sys.argv[2])
for address in ("127.0.0.1", "127.9.9.9", "0.0.0.0"):
    try:
        socket.create_connection((address, port), 1)
        print("connected")
    except OSError as error:
        print(type(error).__name__)
asked = "CONNECT {} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"
both = asked.format("a.example:443") + asked.format(f"127.0.0.1:{port}")
connection = socket.create_connection(("127.0.0.1", 13128), 20)
connection.sendall(both.encode())
print(connection.recv(4096).decode().count("HTTP/1.1 200"))
try:
    print(socket.create_server(("127.0.0.1", 13128), reuse_port=True))
except OSError as error:
    print(type(error).__name__)
"""
    api = apis.server.port
    places = json.dumps([each.format(port=echo.port, api=api) for each in PLACES])
    with apis.daemon() as daemon:
        lines = said(daemon, script, shlex.quote(places), echo.port).splitlines()
    assert set(lines[: len(PLACES)]) <= {"['400']", "['403']"}, lines
    assert lines[len(PLACES) :] == [*["ConnectionRefusedError"] * 3, "0", "OSError"]
    assert echo.count == 0


def test_what_a_command_left_open_ends_with_it(apis: ApiWorld, echo: Echo) -> None:
    """A process that it leaves behind is no more, and neither is its connection."""
    network = f'[sandbox]\nnetwork = ["127.0.0.1:{echo.port}"]\n'
    apis.world.write_module("sh", "/bin/sh", API + network)
    script = """
connection, _ = open_tunnel(sys.argv[1])
connection.sendall(b"x")
connection.recv(1)
if os.fork() == 0:
    os.setsid()
    connection.recv(1)
"""
    with apis.daemon() as daemon:
        said(daemon, script, f"127.0.0.1:{echo.port}")
        assert echo.ended.acquire(timeout=20)


def test_a_box_reaches_the_apis_of_its_own_agent_alone(apis: ApiWorld) -> None:
    """Another agent's box has another placeholder and authority, and another list of hosts."""
    other = apis.world.add_agent("other")
    profile = other / "airlock.toml"
    profile.write_text(profile.read_text().partition("[api.test]")[0])
    script = "print(open_tunnel(sys.argv[1])[1].split('\\r')[0], 'API_TOKEN' in os.environ)"
    text = f"exec python3 -c {shlex.quote(CLIENT + script)} localhost:{apis.server.port}"
    with apis.daemon() as daemon:
        ours = daemon.shell(text).text()
        with connect_to(apis.published.with_name("other") / "airlock.sock") as connection:
            connection.sendall(request("sh", "-c", text))
            theirs = read_answer(connection).text()
    assert ours.startswith("HTTP/1.1 200 ")
    assert ours.endswith(" True\n")
    assert theirs.startswith("HTTP/1.1 403 ")
    assert theirs.endswith(" False\n")


def test_a_box_has_certificates_and_no_socket_and_no_credential(apis: ApiWorld) -> None:
    """The bundle stands in for the host's; nothing that a process can read has the token."""
    script = """
import pathlib, stat
own = sorted(each.name for each in pathlib.Path("/run/airlock").iterdir())
print(*own)
bundle = pathlib.Path("/run/airlock/ca-bundle.pem").read_text()
print(pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_text() == bundle)
sockets = [each for top in ("/run", "/tmp", "/home") for each in pathlib.Path(top).rglob("*")
           if stat.S_ISSOCK(each.lstat().st_mode)]
print(sockets)
found = []
for each in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        found += [each] * (sys.argv[1].encode()[::-1] in each.read_bytes())
    except PermissionError:
        pass
print(found)
try:
    open("/run/airlock/ca.pem", "ab")
except OSError as error:
    print(error.strerror)
"""
    with apis.daemon() as daemon:
        # Backwards, as the arguments are looked at too.
        lines = said(daemon, script, TOKEN[::-1]).splitlines()
    assert lines[0].split() == ["ca-bundle.pem", "ca.pem", "truststore.p12"]
    assert lines[1:4] == ["True", "[]", "[]"]
    assert lines[4] in ("Permission denied", "Read-only file system")


def test_the_next_box_is_made_ahead_and_has_what_is_published_now(apis: ApiWorld) -> None:
    """One that was made before an API was granted is not used after."""
    with apis.daemon() as daemon:
        count = "from pathlib import Path; print(len(Path('/run/airlock/ca.pem').read_text()) > 0)"
        for _ in range(2):
            assert said(daemon, count) == "True\n"
        apis.grant("GET /who", more='[api.second]\nhosts = ["second.example"]\nallow = ["GET /"]\n')
        reload(apis.world)
        script = "print(ask(sys.argv[1], '/who', os.environ['API_TOKEN']))"
        wanted = f"localhost:{apis.server.port}"
        assert said(daemon, script, wanted) == "(200, 'half half ')\n"
        ca = (apis.published / "ca.pem").read_text()
        assert said(daemon, "print(open('/run/airlock/ca.pem').read(), end='')") == ca


def test_a_box_shows_no_file_that_a_link_names_in_place_of_a_certificate(apis: ApiWorld) -> None:
    """A container may have put it there, if it mounts the agent's directory so."""
    secret = apis.published.parents[2] / "secret"
    secret.write_text("of the host")
    script = "print(open('/run/airlock/ca.pem').read())"
    with apis.daemon() as daemon:
        assert "BEGIN CERTIFICATE" in said(daemon, script)
        (apis.published / "ca.pem").unlink()
        (apis.published / "ca.pem").symlink_to(secret)
        error = run_python(daemon, script).error
    assert "ca.pem is not the file that the HTTPS broker wrote" in error["message"]


@pytest.mark.parametrize("mode", ["off", "landlock"])
def test_without_a_box_the_command_is_refused(apis: ApiWorld, mode: str) -> None:
    """Nothing else would keep its arguments from the human's files."""
    write_boxes(apis.world, mode)
    with Daemon(apis.world) as daemon:
        error = daemon.shell("true").error
    assert error["data"]["rule"] == "no-box"


def test_a_command_is_refused_where_no_api_is_granted(apis: ApiWorld) -> None:
    """It would find nothing to speak to."""
    apis.world.write_profile()
    credential = 'credential = { as = "aws", command = ["true"] }\n'
    apis.world.write_module("sh", "/bin/sh", f"[[api]]\n{credential}" + UNSAID)
    with Daemon(apis.world) as daemon:
        error = daemon.shell("true").error
    assert error["message"] == "sh reaches APIs, and this agent is granted none of its"
    assert error["data"]["rule"] == "apis"


def test_a_command_may_finish_while_the_daemon_stops(apis: ApiWorld) -> None:
    """Its box reaches APIs for as long as it runs, within the daemon's time for that."""
    script = """
import pathlib, time
wanted, token = sys.argv[1], os.environ["API_TOKEN"]
print(ask(wanted, "/who", token), flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print(ask(wanted, "/who", token))
"""
    text = f"exec python3 -c {shlex.quote(CLIENT + script)} localhost:{apis.server.port}"
    with apis.daemon() as daemon, daemon.connect() as connection:
        connection.sendall(request("sh", "-c", text))
        read_until(connection, "half half")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_until(lambda: "stopping" in daemon.messages())
        (apis.world.workspace / "go").touch()
        answer = read_answer(connection)
    assert answer.text() == "(200, 'half half ')\n"
    assert answer.exit_code == 0


def test_a_box_has_no_door_that_carries_another_name(apis: ApiWorld) -> None:
    """TLS for an API could pass there without judgement; the host's own loopback keeps its door."""
    port = apis.server.port % 65535 + 1
    network = json.dumps(["one.example:443", f"127.0.0.1:{port}"])
    apis.world.write_module("sh", "/bin/sh", f"{API}[sandbox]\nnetwork = {network}\n")
    script = """
print("one.example" in open("/etc/hosts").read())
for address in (("127.0.3.1", 443), ("127.0.0.1", int(sys.argv[1]))):
    try:
        socket.create_connection(address, 20)
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""
    with apis.daemon() as daemon:
        lines = said(daemon, script, port).splitlines()
    assert lines == ["False", "ConnectionRefusedError", "connected"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_network_of_a_box_names_no_api(apis: ApiWorld, host: str) -> None:
    """Its door would lead past the judgement, so that it is a fault in both places."""
    entry = f"{host}:{apis.server.port}"
    fault = f"{entry} is the API api.test, whose operations would not be judged"
    apis.grant("GET /who", more=f"[network]\nsh = {json.dumps([entry])}\n")
    closed = f'{API}[sandbox]\nbox = "closed"\n'
    apis.world.write_module("sh", "/bin/sh", closed)
    assert f"[network] sh: {fault}" in run(apis.world, "check", status=1).stdout
    apis.grant("GET /who")
    apis.world.write_module("sh", "/bin/sh", f"{closed}network = {json.dumps([entry])}\n")
    assert f"[sandbox] network: {fault}" in run(apis.world, "check", status=1).stdout


def test_what_a_reload_takes_is_taken_from_a_running_command(apis: ApiWorld, echo: Echo) -> None:
    """What it carries there ends, and it gets no new connection, by the proxy or by a door."""
    address = f"127.0.0.1:{echo.port}"
    network = f'[sandbox]\nnetwork = ["{address}"]\n'
    apis.world.write_module("sh", "/bin/sh", API + network)
    script = """
connection, _ = open_tunnel(sys.argv[1])
connection.sendall(b"x")
print(connection.recv(1).decode(), flush=True)
print(connection.recv(1))
print(open_tunnel(sys.argv[1])[1].split()[1])
door = socket.create_connection(("127.0.0.1", int(sys.argv[1].split(":")[1])), 20)
try:
    door.sendall(b"x")
    print(door.recv(1))
except OSError:
    print(b"")
"""
    text = f"exec python3 -c {shlex.quote(CLIENT + script)} {address}"
    with apis.daemon() as daemon, daemon.connect() as connection:
        connection.sendall(request("sh", "-c", text))
        read_until(connection, "x")
        apis.world.write_module("sh", "/bin/sh", API + UNSAID)
        reload(apis.world)
        answer = read_answer(connection)
    assert answer.text().splitlines()[-3:] == ["b''", "403", "b''"], answer.text("stderr")
    assert echo.count == 1
