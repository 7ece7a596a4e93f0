"""The process that `--exec` starts beside the command: what it relays, and how it ends."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fake_brokers import (
    FakeBroker,
    listener_of,
    read_all,
    read_exactly,
    wait_for_end,
    wait_until_refused,
)
from fake_daemons import Ended, wait
from fake_tools import PATIENCE_S


def test_bytes_pass_both_ways(broker: FakeBroker) -> None:
    """As they come, and what one end closes for writing is closed for the other."""
    broker.begin()
    client, daemon = broker.connect(), broker.accept()
    client.sendall(b"CONNECT")
    assert daemon.recv(100) == b"CONNECT"
    daemon.sendall(b"200")
    assert client.recv(100) == b"200"
    client.shutdown(socket.SHUT_WR)
    assert daemon.recv(100) == b""
    daemon.sendall(b"the rest")
    daemon.close()
    assert read_all(client) == b"the rest"


def test_the_daemon_may_close_its_half_first(broker: FakeBroker) -> None:
    """What the client sends after that still arrives."""
    broker.begin()
    client, daemon = broker.connect(), broker.accept()
    daemon.shutdown(socket.SHUT_WR)
    assert client.recv(100) == b""
    client.sendall(b"upload")
    client.close()
    assert read_all(daemon) == b"upload"


def test_much_passes_both_ways_at_once(broker: FakeBroker) -> None:
    """Neither direction waits for the other, and every byte arrives."""
    broker.begin()
    ends = (broker.connect(), broker.accept())
    blobs = [os.urandom(1 << 20) * 20 for _ in ends]

    def send(end: socket.socket, blob: bytes) -> None:
        end.sendall(blob)
        end.shutdown(socket.SHUT_WR)

    senders = [threading.Thread(target=send, args=pair) for pair in zip(ends, blobs, strict=True)]
    received: dict[int, bytes] = {}
    readers = [
        threading.Thread(
            target=lambda number=number: received.update({number: _digest(ends[number])})
        )
        for number in range(2)
    ]
    for thread in (*senders, *readers):
        thread.start()
    for thread in (*senders, *readers):
        thread.join()
    assert [received[1], received[0]] == [hashlib.sha256(blob).digest() for blob in blobs]


def _digest(end: socket.socket) -> bytes:
    total = hashlib.sha256()
    while piece := end.recv(1 << 20):
        total.update(piece)
    return total.digest()


def test_a_reader_that_waits_holds_the_writer_back(broker: FakeBroker) -> None:
    """What is on its way is bounded, and meanwhile another connection is served."""
    process = broker.begin()
    client, daemon = broker.connect(), broker.accept()
    daemon.settimeout(1)
    with pytest.raises(TimeoutError):
        daemon.sendall(bytes(64 << 20))
    assert _memory_kib(listener_of(process)) < 4096
    second, peer = broker.connect(), broker.accept()
    second.sendall(b"meanwhile")
    assert peer.recv(100) == b"meanwhile"
    client.close()


def _memory_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError


def test_an_answer_arrives_though_the_daemon_reads_no_more(broker: FakeBroker) -> None:
    """A client that is in the middle of its upload is not reset."""
    broker.begin()
    client, daemon = broker.connect(), broker.accept()
    client.sendall(bytes(1000))
    daemon.recv(1)
    daemon.sendall(b"HTTP/1.1 413")
    daemon.close()
    client.sendall(bytes(8 << 20))
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"HTTP/1.1 413"


def test_a_client_that_is_reset_ends_the_daemons_connection(broker: FakeBroker) -> None:
    """The daemon need not wait for an answer's reader to learn of it."""
    broker.begin()
    client, daemon = broker.connect(), broker.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert daemon.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        daemon.sendall(b"x")


def test_many_connections_leave_nothing(broker: FakeBroker) -> None:
    """More than a shell's limit of open files, and none of them, nor their memory, is kept."""
    process = broker.begin(preexec_fn=_limit_files)
    pid = listener_of(process)
    before = len(os.listdir(f"/proc/{pid}/fd"))
    pairs = [(broker.connect(), broker.accept()) for _ in range(300)]
    for client, daemon in pairs:
        client.sendall(bytes(20_000))
        daemon.sendall(bytes(20_000))
    for client, daemon in pairs:
        assert len(read_exactly(daemon, 20_000)) == 20_000
        assert len(read_exactly(client, 20_000)) == 20_000
    assert len(os.listdir(f"/proc/{pid}/fd")) == before + 600
    for client, daemon in pairs:
        client.close()
        assert daemon.recv(1) == b""
        daemon.close()
    last, peer = broker.connect(), broker.accept()
    last.sendall(b"x")
    peer.recv(1)
    assert len(os.listdir(f"/proc/{pid}/fd")) == before + 2
    assert _memory_kib(pid) < 1024


def _limit_files() -> None:
    import resource  # noqa: PLC0415 - runs in the child

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_events_makes_it_spin_or_keep_a_descriptor(
    broker: FakeBroker, seed: int
) -> None:
    """Ends that send, read, close a half or all, or reset; then it sleeps and has none of them."""
    pid = listener_of(broker.begin())
    before = len(os.listdir(f"/proc/{pid}/fd"))
    dice = random.Random(seed)  # noqa: S311 - the same events again, not secrets
    pairs: list[tuple[socket.socket, socket.socket]] = []
    for number in range(1500):
        if len(pairs) < 50 and dice.random() < 0.3:
            pairs.append((broker.connect(), broker.accept()))
            for end in pairs[-1]:
                end.setblocking(False)
        if pairs:
            with contextlib.suppress(OSError):
                _act(dice.choice(dice.choice(pairs)), dice)
        if number % 100 == 0:
            _wait_until_it_sleeps(pid)
    for pair in pairs:
        for end in pair:
            end.close()
    client, daemon = broker.connect(), broker.accept()
    client.sendall(b"x")
    daemon.recv(1)
    _wait_until_it_sleeps(pid)
    assert len(os.listdir(f"/proc/{pid}/fd")) == before + 2


def _act(end: socket.socket, dice: random.Random) -> None:
    action = dice.choice(
        ["send", "fill", "fill", "receive", "stop sending", "stop", "end", "reset"]
    )
    if action == "send":
        end.send(bytes(dice.randrange(1, 5000)))
    elif action == "fill":
        end.send(bytes(1 << 21))
    elif action == "receive":
        end.recv(1 << 20)
    elif action == "stop sending":
        end.shutdown(socket.SHUT_WR)
    elif action == "stop":
        end.shutdown(socket.SHUT_RD)
    else:
        if action == "reset":
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


def _wait_until_it_sleeps(pid: int) -> None:
    """A process that spins is always seen running."""
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline, "it spins"
        os.sched_yield()


def test_more_clients_than_it_serves_wait_for_their_turn(broker: FakeBroker) -> None:
    """Where it has no descriptors left, the kernel's queue has the rest, and it does not spin."""
    process = broker.begin(wrapper=["prlimit", "--nofile=40:40"])
    pid = listener_of(process)
    first = [(broker.connect(), broker.accept()) for _ in range(10)]
    more = [broker.connect() for _ in range(20)]
    for client in more:
        client.sendall(b"waited")
    served = 0
    while served < len(more):
        for client, daemon in first:
            client.close()
            daemon.close()
        first = []
        daemon = broker.accept()
        assert daemon.recv(100) == b"waited"
        first.append((more[served], daemon))
        served += 1
    _wait_until_it_sleeps(pid)


def test_without_a_daemon_it_answers_so_until_there_is_one(broker: FakeBroker) -> None:
    """In the first line of the answer, which is what most tools show, and with what to do."""
    broker.begin()
    broker.stop()
    request = b"CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\n"
    for state, reason, hint in [
        ("dead", "nobody listens there", "the daemon has ended: start it on the host"),
        ("missing", "no such file or directory", "the daemon is not running"),
    ]:
        if state == "missing":
            broker.path.unlink()
        client = broker.connect()
        client.sendall(request)
        head, _, body = read_all(client).decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 502 airlock: cannot reach the daemon\r\n")
        assert f"\r\nContent-Length: {len(body)}" in head
        said, advice = body.splitlines()
        assert said == f"airlock: cannot reach the daemon: {reason}"
        assert advice.startswith(f"airlock: hint: {hint}")
        client.close()
    broker.listen()
    client, daemon = broker.connect(), broker.accept()
    client.sendall(request)
    assert daemon.recv(1000) == request


def test_curl_shows_that_there_is_no_daemon(broker: FakeBroker) -> None:
    """A real tool is told, and does not lose the answer by a reset."""
    broker.begin()
    broker.stop()
    proxy = f"http://127.0.0.1:{broker.port}"
    words = ("curl", "-sv", "--proxy", proxy, "https://api.github.com/")
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "HTTP/1.1 502 airlock: cannot reach the daemon" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_command(broker: FakeBroker, number: int) -> None:
    """However that ends."""
    process = broker.begin()
    pid = listener_of(process)
    client, daemon = broker.connect(), broker.accept()
    process.send_signal(number)
    wait_for_end(pid)
    assert (client.recv(1), daemon.recv(1)) == (b"", b"")
    wait_until_refused(broker.port)


def test_it_ends_with_a_command_that_became_another_user(
    broker: FakeBroker, unprivileged: list[str]
) -> None:
    """As an entrypoint does that begins as root: the kernel would send it no signal then."""
    process = broker.start(*unprivileged, "sh", "-c", "echo runs; exec cat")
    assert process.stdout is not None
    assert process.stdout.readline() == b"runs\n"
    pid = listener_of(process)
    process.kill()
    wait_for_end(pid)


def test_a_command_that_waits_for_all_of_its_children_does_not_see_it(broker: FakeBroker) -> None:
    """A supervisor would wait for ever."""
    code = (
        "import os\n"
        "os.posix_spawnp('true', ['true'], {})\n"
        "os.wait()\n"
        "try: os.wait()\n"
        "except ChildProcessError: print('no more')"
    )
    assert wait(broker.start(sys.executable, "-c", code)) == Ended(0, b"no more\n", "")


def test_it_is_apart_from_the_command(broker: FakeBroker) -> None:
    """It has another session, none of the command's descriptors or words, and no signal ends it."""
    read_end, write_end = os.pipe()
    process = broker.begin(pass_fds=[write_end], start_new_session=True)
    os.close(write_end)
    pid = listener_of(process)
    os.killpg(process.pid, signal.SIGWINCH)
    assert os.getsid(pid) == pid != os.getsid(process.pid)
    links = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
    assert not any(link.startswith("pipe:") for link in links), links
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    words = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert words.rstrip(b"\0").endswith(b"--exec")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    client, daemon = broker.connect(), broker.accept()
    client.sendall(b"still")
    assert daemon.recv(100) == b"still"
    process.kill()
    process.wait()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_a_second_command_uses_the_first_ones_listener_and_then_its_own(
    broker: FakeBroker,
) -> None:
    """As `docker exec` starts them: none loses its APIs when another ends."""
    commands = [broker.begin() for _ in range(3)]
    listeners = [listener_of(process) for process in commands]
    for process, listener in zip(commands, listeners, strict=True):
        client, daemon = _connect_when_it_listens(broker)
        client.sendall(b"hello")
        assert daemon.recv(100) == b"hello"
        process.kill()
        wait_for_end(listener)
    wait_until_refused(broker.port)


def _connect_when_it_listens(broker: FakeBroker) -> tuple[socket.socket, socket.socket]:
    """The next in line listens once it has seen that the one before has ended."""
    while True:
        try:
            client = broker.connect()
        except ConnectionRefusedError:
            continue
        try:
            return client, broker.accept()
        except TimeoutError:
            client.close()


def test_those_that_have_ended_are_no_burden(broker: FakeBroker) -> None:
    """The listener has no descriptor of commands that came and went."""
    pid = listener_of(broker.begin())
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(5):
        second = broker.begin()
        other = listener_of(second)
        second.kill()
        wait_for_end(other)
    client, daemon = broker.connect(), broker.accept()
    client.sendall(b"x")
    daemon.recv(1)
    assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 3
