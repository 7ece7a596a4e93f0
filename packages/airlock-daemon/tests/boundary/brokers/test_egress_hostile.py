"""What hostile code in a box with a network does to get anywhere else, or to hold up others."""

import os
import socket
from collections.abc import Iterator

import pytest
from egress_world import ASK, Site, egress_site, run_python, said

from boxing import CLOSED, PYTHON, needs_bubblewrap
from running import Daemon, read_until, request

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Servers, of which one is named and another not; `sh` is python with another grant."""
    with egress_site() as site:
        site.grant(f"localhost:{site.granted.port}", "*.example.com:443")
        site.world.write_module("sh", PYTHON, f'{CLOSED}network = ["192.0.2.1:443"]\n')
        site.world.write_module("git", PYTHON, f'{CLOSED}sockets = "inet"\n')
        yield site


@pytest.fixture(scope="module")
def daemon(site: Site) -> Iterator[Daemon]:
    """The daemon runs, of which all attacks want the same."""
    with Daemon(site.world) as running:
        yield running


def test_nothing_of_the_host_is_reached_without_the_broker(site: Site, daemon: Daemon) -> None:
    """Loopback in there is the box's own, and there is no other network."""
    script = """
for host in ("127.0.0.1", "::1", "localhost", "127.0.0.2", "0.0.0.0", "169.254.169.254", "10.0.0.1",
             "::ffff:127.0.0.1", WORDS[1]):
    print(try_to_reach(host, int(WORDS[0])))
"""
    words = (site.withheld.port, socket.gethostname())
    assert "reached" not in said(daemon, script, *words)
    assert site.withheld.count == 0


SPELLINGS = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]"),
    *("localhost", "localhost.", "LOCALHOST", "localhost.localdomain", "ip6-localhost", "0.0.0.0"),  # noqa: S104 - nothing is bound
    *("[::]", "127.0.0.1.", "127.000.000.001", "[64:ff9b::7f00:1]", "[::1%lo]", "[::1%25lo]"),
    *("a@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1#.example.com", "127.0.0.1/.example.com"),
    *("127.0.0.1.example.com:443@127.0.0.1", "http://127.0.0.1", "//127.0.0.1", "*.example.com"),
    *(
        "x.example.com\\r\\nHost: 127.0.0.1",
        "127.0.0.1\\x00.example.com",
        "127.0.0.1%00.example.com",
    ),
    *(
        "127.0.0.1\\t",
        "\\uff11\\uff12\\uff17.0.0.1",
        "127\\u30020\\u30020\\u30021",
        "x.example.com@127.1",
    ),
)


def test_no_spelling_leads_to_a_service_of_the_host(site: Site, daemon: Daemon) -> None:
    """Each asked for at the port of one that is not named, and recorded as denied."""
    before = len(daemon.records("broker"))
    script = """
for host in eval(WORDS[1]):
    connection, line = connect(f"{host}:{WORDS[0]}")
    print(line.split(" ")[1], "airlock: " in line)
"""
    lines = said(daemon, script, site.withheld.port, repr(SPELLINGS).replace("\\\\", "\\"))
    assert len(lines) == len(SPELLINGS)
    assert {line for line in lines if line not in ("403 True", "400 True")} == set()
    assert site.withheld.count == 0
    records = daemon.records("broker")[before:]
    assert len(records) == len(SPELLINGS)
    assert {record["outcome"] for record in records} == {"denied"}


METADATA = (
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("169.16689662", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]"),
    *("metadata.google.internal", "metadata", "instance-data", "169.254.169.254.", "[fe80::1]"),
    *("169.254.170.2", "100.100.100.200", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]"),
)


@pytest.mark.parametrize("port", [80, 443])
def test_the_metadata_of_a_cloud_is_not_reached(daemon: Daemon, port: int) -> None:
    """In no spelling, and at a port that a pattern names."""
    script = """
for host in eval(WORDS[1]):
    print(connect(f"{host}:{WORDS[0]}")[1].split(" ")[1])
"""
    lines = said(daemon, script, port, repr(METADATA))
    assert len(lines) == len(METADATA)
    assert set(lines) <= {"400", "403"}


def test_only_tcp_is_spoken(daemon: Daemon) -> None:
    """No names are looked up from in there, no socket of the host's is reached by a path."""
    script = """
for family, kind in (("INET", "DGRAM"), ("INET6", "DGRAM"), ("UNIX", "STREAM"), ("UNIX", "DGRAM"),
                     ("INET", "RAW"), ("PACKET", "RAW"), ("NETLINK", "RAW"), ("VSOCK", "STREAM")):
    try:
        socket.socket(getattr(socket, "AF_" + family), getattr(socket, "SOCK_" + kind))
    except OSError as error:
        print(type(error).__name__, error.errno)
    else:
        print("made")
"""
    assert said(daemon, script) == ["OSError 97"] * 8


def test_no_process_in_there_has_a_listener(site: Site, daemon: Daemon) -> None:
    """The daemon alone accepts: all have as many as those of a box without a network have."""
    script = """
import os
for process in sorted(filter(str.isdigit, os.listdir("/proc"))):
    try:
        print(process, len(os.listdir(f"/proc/{process}/fd")))
    except PermissionError:
        print(process, "hidden")
"""
    cwd = str(site.world.workspace)
    without = daemon.ask("git", "-c", script, cwd=cwd).text()
    assert without.startswith("1 6\n")
    assert run_python(daemon, script).text() == without


def test_nobody_takes_the_place_of_the_broker(daemon: Daemon) -> None:
    """Neither its port, beside it or above it, nor the address of a destination."""
    script = """
for address in (PROXY, ("0.0.0.0", PROXY[1]), ("127.0.0.1", int(WORDS[0]))):
    listener = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind(address); listener.listen()
    except OSError as error:
        print(error.errno)
"""
    port = daemon.world.agent.joinpath("commands/python.toml").read_text()
    number = port.split("localhost:")[1].split('"')[0]
    assert said(daemon, script, number) == ["98"] * 3


def test_each_box_has_its_own_way_out(site: Site, daemon: Daemon) -> None:
    """What one may reach another may not, at the same time; and without a network none is there."""
    stay = "import signal; print('there', flush=True); signal.pause()"
    ask = f'print(connect("localhost:{site.granted.port}")[1])'
    with daemon.connect() as client:
        cwd = str(site.world.workspace)
        client.sendall(request("python", "-c", f"{ASK}\n{stay}", cwd=cwd))
        read_until(client, "there")
        other = daemon.ask("sh", "-c", f"{ASK}\n{ask}", cwd=cwd)
        assert other.text().startswith("HTTP/1.1 403 ")
        none = daemon.ask("git", "-c", f"{ASK}\nprint(try_to_reach(*PROXY))", cwd=cwd)
        assert none.text() == "ConnectionRefusedError\n"


def test_many_conversations_wait_in_the_box(site: Site, daemon: Daemon) -> None:
    """Some are taken at a time, and neither the agent's other requests nor its commands wait."""
    folder = f"/proc/{daemon.process.pid}/fd"
    before = len(os.listdir(folder))
    script = """
kept = [connect(f"localhost:{WORDS[0]}")[0] for _ in range(16)]
print("full", flush=True)
waiting = [speak(b"CONNECT x") for _ in range(60)]
waiting[0].settimeout(1)
try:
    print(waiting[0].recv(1))
except TimeoutError:
    print("waits", flush=True)
import signal; signal.pause()
"""
    with daemon.connect() as client:
        cwd = str(site.world.workspace)
        client.sendall(request("python", "-c", ASK + script, str(site.granted.port), cwd=cwd))
        read_until(client, "waits")
        assert daemon.ask("nothing").error["code"] == -32601
        assert said(daemon, 'print(connect("localhost:1")[1][:12])') == ["HTTP/1.1 403"]
        # This box and the next one have 58, one that just ended a dozen; those that wait have none.
        assert len(os.listdir(folder)) < before + 100


def test_a_conversation_that_ends_makes_room(site: Site, daemon: Daemon) -> None:
    """By whatever way the box ends it: closed, reset, or never begun."""
    script = """
import struct
for number in range(60):
    connection, line = connect(f"localhost:{WORDS[0]}")
    assert line.startswith("HTTP/1.1 200"), line
    if number % 3 == 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if number % 3 == 1:
        connection.sendall(b"x" * 100_000)
    connection.close()
    speak(b"").close()
    speak(b"CONNECT ").close()
print("done")
"""
    assert said(daemon, script, site.granted.port) == ["done"]


def test_a_side_that_does_not_read_is_waited_for(site: Site, daemon: Daemon) -> None:
    """What it does not take stays with the server: the daemon holds no more than a piece."""
    script = """
connection = connect(f"localhost:{WORDS[0]}")[0]
connection.settimeout(1)
sent = 0
try:
    while sent < 1 << 28:
        sent += connection.send(b"x" * (1 << 20))
except TimeoutError:
    print("held up")
print(connect(f"localhost:{WORDS[0]}")[1][:12])
"""
    status = f"/proc/{daemon.process.pid}/status"

    def resident() -> int:
        with open(status) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    before = resident()
    assert said(daemon, script, site.granted.port) == ["held up", "HTTP/1.1 200"]
    assert resident() < before + 16_384


def test_of_many_conversations_the_last_are_counted(site: Site, daemon: Daemon) -> None:
    """A thousand stand for themselves in the log."""
    script = """
for _ in range(1100):
    connection = speak(b"GET / HTTP/1.0\\r\\n\\r\\n")
    read_all(connection)
    connection.close()
"""
    before = len(daemon.records("broker"))
    assert run_python(daemon, f"{ASK}\n{script}").exit_code == 0
    name = daemon.records()[-1]["request"]
    daemon.stop()
    records = daemon.records("broker")[before:]
    own = [record for record in records if record["request"] == name]
    counted = sum(record["count"] for record in records if record["count"])
    assert (len(own), counted) == (1000, 100)
    assert site.withheld.count == 0


def test_a_connection_too_many_is_told_to_who_speaks_http_alone() -> None:
    """Any other protocol would have it for an answer of the destination."""
    script = """
kept, _ = connect(f"localhost:{WORDS[0]}")
print(speak(b"").recv(3))
print(socket.create_connection(("127.0.0.1", int(WORDS[0]))).recv(3))
"""
    with egress_site() as site:
        limits = "[workspace]\nhost = true\n[limits]\nconnections = 2\n"
        site.world.write_profile(limits)
        with Daemon(site.world) as daemon:
            assert said(daemon, script, site.granted.port) == ["b'HTT'", "b''"]
