"""What a box with `[sandbox] network` reaches, with real tools and servers."""

from collections.abc import Iterator

import pytest
from egress_world import ASK, HOST, Site, egress_site, run_echo, said

from boxing import needs_bubblewrap, write_boxes
from running import Daemon, read_until, request

pytestmark = needs_bubblewrap

PROXY = "http://me:s3cret@127.0.0.1:9"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Servers, of which the module of `python` names some."""
    with egress_site() as site:
        site.grant(f"{HOST}:{site.https.port}", command="sh")
        yield site


@pytest.fixture
def other() -> Iterator[Site]:
    """Another one, whose daemon does not run yet."""
    with egress_site() as site:
        yield site


@pytest.fixture(scope="module")
def daemon(site: Site) -> Iterator[Daemon]:
    """The daemon runs, in the environment of a human who has a proxy."""
    proxy = {"ALL_PROXY": PROXY, "all_proxy": PROXY, "ftp_proxy": PROXY, "no_proxy": HOST}
    with Daemon(site.world, environment=proxy) as running:
        yield running


def test_curl_reaches_a_host_by_its_name(site: Site, daemon: Daemon) -> None:
    """It finds the broker by its environment, and speaks TLS with the server itself."""
    place = f"{HOST}:{site.https.port}"
    # The certificate is for another name of it.
    way = f"--cacert ca.pem --connect-to localhost:{site.https.port}:{place}"
    answer = daemon.shell(f"curl -sS --noproxy '' {way} https://localhost:{site.https.port}/")
    assert answer.text() == "hello", answer.text("stderr")
    record = daemon.records("broker")[-1]
    assert (record["outcome"], record["detail"]["destination"]) == ("allowed", place)
    assert record["detail"]["bytes"] > 100
    assert record["detail"]["received"] > 100
    assert record["request"] == daemon.records()[-1]["request"]


def test_a_destination_on_loopback_is_where_it_is_on_the_host(site: Site, daemon: Daemon) -> None:
    """Without a proxy, by its name and by both addresses."""
    script = """
for host in ("localhost", "127.0.0.1", "::1"):
    with socket.create_connection((host, int(WORDS[0])), timeout=30) as connection:
        connection.sendall(b"plain")
        print(connection.recv(9).decode())
"""
    with run_echo("::1", site.granted.port):
        assert said(daemon, script, site.granted.port) == ["plain"] * 3


WITHOUT_PROXY = """
import ssl
https, echo, withheld = map(int, WORDS[1:])
print({info[4][0] for info in socket.getaddrinfo(WORDS[0], echo)})
with socket.create_connection((WORDS[0], echo), timeout=30) as connection:
    connection.sendall(b"plain")
    print(connection.recv(9).decode())
context = ssl.create_default_context(cafile="ca.pem")
with socket.create_connection((WORDS[0], https), timeout=30) as connection:
    with context.wrap_socket(connection, server_hostname="localhost") as server:
        server.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        print(read_all(server).partition(b"\\r\\n\\r\\n")[2])
print(try_to_reach(WORDS[0], withheld), try_to_reach("www.example.com", 443))
"""


def test_a_name_is_reached_without_a_proxy(other: Site) -> None:
    """By a tool that knows none, in any protocol, at the ports that are named and at no other."""
    places = [f"{HOST}:{each.port}" for each in (other.granted, other.https)]
    other.grant(*places, "*.example.com:443")
    ports = (other.https.port, other.granted.port, other.withheld.port)
    with Daemon(other.world) as daemon:
        lines = said(daemon, WITHOUT_PROXY, HOST, *ports)
        records = daemon.records("broker")
    end = "ConnectionRefusedError gaierror"
    assert lines == ["{'127.0.3.1'}", "plain", "b'hello'", end]
    assert [each["detail"]["destination"] for each in records] == places
    assert other.withheld.count == 0


def test_bytes_go_through_as_they_are(site: Site, daemon: Daemon) -> None:
    """Both ways at once, more than fits into any buffer, and the end of one side alone."""
    script = """
import threading
data = os.urandom(8 << 20)
for connection in (connect(f"localhost:{WORDS[0]}")[0], socket.create_connection(
        ("127.0.0.1", int(WORDS[0])), timeout=30)):
    def say():
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=say)
    thread.start()
    print(read_all(connection) == data)
    thread.join()
"""
    assert said(daemon, script, site.granted.port) == ["True", "True"]
    for record in daemon.records("broker")[-2:]:
        assert (record["detail"]["bytes"], record["detail"]["received"]) == (8 << 20, 8 << 20)


def test_what_comes_behind_a_request_is_the_destinations(site: Site, daemon: Daemon) -> None:
    """Another request too: nobody looks at it."""
    script = """
head = f"CONNECT localhost:{WORDS[0]} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode()
connection = speak(head + head)
connection.shutdown(socket.SHUT_WR)
answer, _, echo = read_all(connection).partition(b"\\r\\n\\r\\n")
print(answer.split()[1].decode(), echo == head)
"""
    assert said(daemon, script, site.granted.port) == ["200 True"]


def test_what_is_not_named_is_refused_with_the_way_out(site: Site, daemon: Daemon) -> None:
    """In the first line, of which tools show something, and in the record."""
    target = f"127.0.0.1:{site.withheld.port}"
    (line,) = said(daemon, "print(connect(WORDS[0])[1])", target)
    assert line.startswith(f"HTTP/1.1 403 airlock: {target} is not granted; a person on the host ")
    source = site.world.agent / "commands" / "python.toml"
    assert f"can add it to [sandbox] network of {source}, and run: " in line
    record = daemon.records("broker")[-1]
    assert (record["outcome"], record["layer"], record["rule"]) == (
        "denied",
        "broker",
        "destination",
    )
    assert site.withheld.count == 0


def test_plain_http_is_told_that_it_does_not_pass(daemon: Daemon) -> None:
    """By a tool that has it from the environment."""
    script = "curl -sS http://example.com/"
    assert "airlock: plain http does not pass here; use https" in daemon.shell(script).text()


def test_a_server_that_does_not_answer_is_told(site: Site, daemon: Daemon) -> None:
    """In HTTP, which has words for it; otherwise the connection ends."""
    script = """
print(connect(f"127.0.0.1:{WORDS[0]}")[1])
print(read_all(socket.create_connection(("127.0.0.1", int(WORDS[0])), timeout=30)))
"""
    line, rest = said(daemon, script, site.unheard)
    assert line.startswith("HTTP/1.1 502 airlock: ")
    assert f"cannot be reached on port {site.unheard}: Connection refused; try again" in line
    assert rest == "b''"
    assert [each["outcome"] for each in daemon.records("broker")[-2:]] == ["failed"] * 2


def test_tools_are_told_of_the_way_out(daemon: Daemon) -> None:
    """And of nothing that the daemon has for itself."""
    lines = daemon.shell("env | grep -i _proxy | sort").text().splitlines()
    url = "http://127.0.0.1:3128"
    assert lines == [
        *(f"HTTPS_PROXY={url}", f"HTTP_PROXY={url}", "NO_PROXY=localhost,127.0.0.1,::1"),
        *(f"http_proxy={url}", f"https_proxy={url}", "no_proxy=localhost,127.0.0.1,::1"),
    ]


def test_the_broker_gives_way_to_a_destination_at_its_port(other: Site) -> None:
    """Which a human's own proxy may have."""
    other.grant("127.0.0.1:3128", "[::1]:3129", command="git")
    with Daemon(other.world) as daemon:
        answer = daemon.ask("git", "-c", "env | grep https_", cwd=str(other.world.workspace))
    assert answer.text() == "https_proxy=http://127.0.0.1:3130\n"


def test_a_destination_may_have_any_port(other: Site) -> None:
    """Also one of those that are root's, which the tool in the box cannot have."""
    other.grant("localhost:1", "[::1]:443", command="git")
    words = "curl -sS http://127.0.0.1:1/; curl -sS https://[::1]:443/; "
    listen = "python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 80))'"
    with Daemon(other.world) as daemon:
        answer = daemon.ask("git", "-c", words + listen, cwd=str(other.world.workspace))
        outcomes = [each["outcome"] for each in daemon.records("broker")[-2:]]
    assert "PermissionError: [Errno 13]" in answer.text("stderr")
    assert outcomes == ["failed"] * 2


def test_conversations_end_with_their_command(site: Site, daemon: Daemon) -> None:
    """The server sees the end when the client goes."""
    script = f"""
connection = connect("localhost:{site.granted.port}")[0]
connection.sendall(b"x")
print(connection.recv(1).decode(), flush=True)
import signal; signal.pause()
"""
    while site.granted.ended.acquire(blocking=False):
        pass
    with daemon.connect() as client:
        cwd = str(site.world.workspace)
        client.sendall(request("python", "-c", f"{ASK}{script}", cwd=cwd))
        read_until(client, "x")
    assert site.granted.ended.acquire(timeout=30)


def test_a_box_that_waits_has_the_network_of_its_module(site: Site, daemon: Daemon) -> None:
    """Each of many commands has its own, whether made ahead or not."""
    script = 'print(connect(f"localhost:{WORDS[0]}")[1])'
    for _ in range(5):
        assert said(daemon, script, site.granted.port)[0].startswith("HTTP/1.1 200")
        refused = f'curl -sS --noproxy "" https://localhost:{site.granted.port}/'
        assert "403" in daemon.shell(refused).text("stderr")


def test_behind_landlock_the_command_is_refused(other: Site) -> None:
    """It makes no network of a box's own."""
    write_boxes(other.world, "landlock")
    other.grant("localhost:80", command="sh")
    with Daemon(other.world) as daemon:
        error = daemon.shell("true").error
    assert "[sandbox] network needs a network of the box's own" in error["message"]
    assert error["data"]["rule"] == "no-box"
    assert "bubblewrap" in error["data"]["hint"]


def test_where_a_failed_command_could_not_get_to_is_told(site: Site, daemon: Daemon) -> None:
    """Tools only say that their proxy does not answer. One that ended well needs no word of it."""
    withheld = f"https://localhost:{site.withheld.port}/"
    refused = daemon.shell(
        f"curl -sS --noproxy '' {withheld}; curl -sS --noproxy '' {withheld}; exit 1"
    )
    lines = [line for line in refused.text("stderr").splitlines() if line.startswith("airlock: ")]
    assert len(lines) == 1
    assert f"localhost:{site.withheld.port}" in lines[0]
    assert "[sandbox] network" in lines[0]
    passed = daemon.shell(f"curl -sS --noproxy '' {withheld}; exit 0")
    assert "airlock" not in passed.text("stderr")


def test_a_name_that_cannot_be_resolved_is_told(other: Site) -> None:
    """And not that a proxy cannot be connected with."""
    other.grant("no-such-host.invalid:443", command="sh")
    with Daemon(other.world) as daemon:
        answer = daemon.shell("curl -sS --noproxy '' https://no-such-host.invalid/")
    assert answer.exit_code != 0
    last = answer.text("stderr").splitlines()[-1]
    assert last.startswith("airlock: ")
    assert "no-such-host.invalid" in last
    assert "getent hosts" in last
