"""The ports of docker containers, at which the process beside the command listens."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_brokers import (
    FakeBroker,
    free_port,
    listener_of,
    read_all,
    read_exactly,
    wait_until_refused,
)
from fake_tools import PATIENCE_S

_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n"


class DockerSocket:
    """A `docker.sock` beside a broker's socket."""

    def __init__(self, broker: FakeBroker) -> None:
        self._path = broker.folder / "docker.sock"
        self._broker = broker
        self._opened: list[socket.socket] = []
        self.listen()

    def listen(self) -> None:
        """Listen at a new socket."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self._path))
        self._listener.listen(128)
        self._listener.settimeout(PATIENCE_S)
        self._opened.append(self._listener)

    def stop(self) -> None:
        """Listen no more."""
        self._listener.close()

    def accept(self, line: str) -> socket.socket:
        """Accept a connection whose request has this line, and switch it to bytes."""
        connection, _ = self._listener.accept()
        self._opened.append(connection)
        connection.settimeout(PATIENCE_S)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        assert head.splitlines()[0].decode() == f"{line} HTTP/1.1"
        return connection

    def begin(self) -> socket.socket:
        """Start a command; returns the connection on which its listener is told ports."""
        self._broker.begin()
        connection = self.accept("POST /airlock/ports")
        connection.sendall(_SWITCHED)
        return connection

    def close(self) -> None:
        """Close all sockets."""
        for each in self._opened:
            each.close()


@pytest.fixture
def docker(broker: FakeBroker) -> Iterator[DockerSocket]:
    """A docker socket beside the broker's."""
    made = DockerSocket(broker)
    try:
        yield made
    finally:
        made.close()


def _tell(connection: socket.socket, *ports: int) -> list[int]:
    """Tell the ports; returns those at which nothing can listen."""
    connection.sendall((" ".join(["ports", *map(str, ports)]) + "\n").encode())
    answer = b""
    while not answer.endswith(b"\n"):
        answer += connection.recv(1000)
    return [int(word) for word in answer.split()]


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def test_a_connection_to_a_port_is_led_to_the_daemon(docker: DockerSocket) -> None:
    """Bytes pass both ways behind the heads, however those arrive, and each end may close."""
    stream, port = docker.begin(), free_port()
    assert _tell(stream, port) == []
    with _connect(port) as client:
        client.sendall(b"hello")
        daemon = docker.accept(f"POST /airlock/connect?port={port}")
        assert daemon.recv(100) == b"hello"
        for byte in _SWITCHED:
            daemon.sendall(bytes([byte]))
        daemon.sendall(b"\r\n\r\nbody")
        assert read_exactly(client, 8) == b"\r\n\r\nbody"
        client.shutdown(socket.SHUT_WR)
        assert daemon.recv(1) == b""
        daemon.sendall(b"rest")
        daemon.close()
        assert read_all(client) == b"rest"


def test_much_passes_both_ways(docker: DockerSocket) -> None:
    """What follows the daemon's head at once is passed on too."""
    stream, port = docker.begin(), free_port()
    assert _tell(stream, port) == []
    blob = os.urandom(100_000)
    with _connect(port) as client:
        daemon = docker.accept(f"POST /airlock/connect?port={port}")
        daemon.sendall(_SWITCHED + blob)
        assert read_exactly(client, len(blob)) == blob
        client.sendall(blob)
        assert read_exactly(daemon, len(blob)) == blob


def test_a_daemon_that_closes_closes_the_client(docker: DockerSocket) -> None:
    """Without a byte, which could be of the wrong protocol."""
    stream, port = docker.begin(), free_port()
    assert _tell(stream, port) == []
    with _connect(port) as client:
        docker.accept(f"POST /airlock/connect?port={port}").close()
        assert read_all(client) == b""


def test_ports_come_and_go(docker: DockerSocket) -> None:
    """A line has all that count; the others stay as they are, and the proxy's too."""
    stream = docker.begin()
    ports = sorted({free_port() for _ in range(3)})
    assert _tell(stream, *ports) == []
    with _connect(ports[0]) as client:
        daemon = docker.accept(f"POST /airlock/connect?port={ports[0]}")
        assert _tell(stream, ports[1]) == []
        wait_until_refused(ports[0])
        daemon.sendall(_SWITCHED + b"still")
        assert read_exactly(client, 5) == b"still"
    with _connect(ports[1]):
        docker.accept(f"POST /airlock/connect?port={ports[1]}")
    assert _tell(stream) == []
    wait_until_refused(ports[1])


def test_a_port_in_use_is_told(docker: DockerSocket, broker: FakeBroker) -> None:
    """That of the proxy too; once it is free it can be had."""
    stream = docker.begin()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, port = other.getsockname()[1], free_port()
        assert _tell(stream, taken, port, broker.port) == [taken, broker.port]
    assert _tell(stream, taken, port) == []


def test_the_most_ports_and_no_more(docker: DockerSocket) -> None:
    """64 are listened at, in whatever order others came before; a longer line ends at them."""
    stream = docker.begin()
    ports = sorted({free_port() for _ in range(80)})[:70]
    assert _tell(stream, *ports[:40]) == []
    assert _tell(stream, *ports[6:]) == []
    for port in (ports[6], ports[69]):
        with _connect(port):
            docker.accept(f"POST /airlock/connect?port={port}")
    wait_until_refused(ports[0])


def test_ports_end_with_the_daemon_and_come_back(docker: DockerSocket) -> None:
    """A daemon that has restarted is asked again."""
    stream, port = docker.begin(), free_port()
    assert _tell(stream, port) == []
    docker.stop()
    stream.close()
    wait_until_refused(port)
    docker.listen()
    stream = docker.accept("POST /airlock/ports")
    stream.sendall(_SWITCHED)
    assert _tell(stream, port) == []
    with _connect(port):
        docker.accept(f"POST /airlock/connect?port={port}")


def test_no_descriptor_is_left(docker: DockerSocket, broker: FakeBroker) -> None:
    """Of ports and connections that came and went."""
    pid = listener_of(broker.begin())
    stream = docker.accept("POST /airlock/ports")
    stream.sendall(_SWITCHED)
    assert _tell(stream) == []
    before = _count(pid)
    ports = sorted({free_port() for _ in range(10)})
    for _ in range(3):
        assert _tell(stream, *ports) == []
        for port in ports:
            with _connect(port) as client:
                docker.accept(f"POST /airlock/connect?port={port}").close()
                read_all(client)
        assert _tell(stream) == []
    client, daemon = broker.connect(), broker.accept()
    client.sendall(b"x")
    daemon.recv(1)
    assert _count(pid) <= before + 2


def test_an_engine_connects_to_a_port_by_standard_streams(shim: Path) -> None:
    """Both ends close as usual, and one that sends no more still gets the answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        words = [str(shim), "--connect", str(server.getsockname()[1])]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        connection, _ = server.accept()
        connection.settimeout(PATIENCE_S)
        blob = os.urandom(200_000)
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(read_all(connection)))
        reader.start()
        assert process.stdin is not None
        process.stdin.write(blob)
        process.stdin.close()
        reader.join()
        connection.sendall(blob[::-1])
        connection.close()
        assert process.stdout is not None
        assert (said, process.stdout.read()) == ([blob], b"connected\n" + blob[::-1])
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0


def test_a_server_that_closes_ends_it(shim: Path) -> None:
    """Though its standard input stays open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        words = [str(shim), "--connect", str(server.getsockname()[1])]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            server.accept()[0].close()
            assert process.wait(PATIENCE_S) == 0


def test_a_port_without_a_server_is_told(shim: Path) -> None:
    """By the status too."""
    words = [str(shim), "--connect", str(free_port())]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "airlock: nothing can be reached at this port: nobody listens there\n"
        "airlock: hint: see whether a program of this container listens there\n"
    )


def _count(pid: int) -> int:
    return len(os.listdir(Path(f"/proc/{pid}/fd")))
