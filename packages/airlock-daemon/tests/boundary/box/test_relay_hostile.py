"""What hostile code in a box sends over its relay reaches nothing, and holds up nobody."""

import fcntl
import inspect
import os
import socket
from collections.abc import Iterator
from contextlib import chdir, suppress
from pathlib import Path

import pytest
import trio
from relay_world import relay_world

import slow_closing
from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import Allowance, Gate, Rounds, TurnQueue
from airlock_daemon.serving.session import Session
from airlock_daemon.setup.limits import Limits
from boxing import needs_bubblewrap
from running import Answer, Daemon, read_until, request

pytestmark = needs_bubblewrap

ATTACKER = (
    inspect.getsource(slow_closing) + Path(__file__).with_name("relay_attacker.py").read_text()
)
LIMITS = "[limits]\nrequest_s = 1\n"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """The daemon runs, of which all attacks want the same."""
    with relay_world(LIMITS) as world, chdir(world.workspace), Daemon(world) as running:
        yield running


def attack(daemon: Daemon, script: str) -> Answer:
    """Run the attacker, in a box."""
    # Its own end must not wait for what is slow to close.
    whole = f"{ATTACKER}{script}\nsys.stdout.flush(); os._exit(0)\n"
    return daemon.ask("python", "-c", whole, cwd=str(daemon.world.workspace))


def others_are_served(daemon: Daemon) -> bool:
    """Whether the daemon answers the agent meanwhile."""
    code: int = daemon.ask("nothing").error["code"]
    return code == -32601


OTHER_THINGS = {
    "one end of a pair": "a, b = socket.socketpair(); send(a.fileno())",
    "two": "a, b = socket.socketpair(); send(a.fileno(), b.fileno())",
    "as many as can be": "send(*[0] * 253)",
    "a file": "send(os.open('file', os.O_RDWR | os.O_CREAT))",
    "a directory": "send(os.open('.', os.O_PATH)); send(os.open('/', os.O_RDONLY))",
    "a FIFO": "os.mkfifo('fifo'); send(os.open('fifo', os.O_RDWR))",
    "a pipe": "send(*os.pipe()[:1])",
    "the relay": "send(RELAY)",
    "another relay": "a, b = socket.socketpair(type=socket.SOCK_SEQPACKET); send(a.fileno())",
    "TCP": "one, other = slow_to_close(); send(other.fileno())",
    "a listener": "one = socket.create_server(('127.0.0.1', 0)); send(one.fileno())",
}


@pytest.mark.parametrize("script", OTHER_THINGS.values(), ids=OTHER_THINGS)
def test_descriptors_are_closed(daemon: Daemon, script: str) -> None:
    """The relay goes on, and the daemon keeps nothing of it."""
    answer = attack(daemon, f"{script}\nprint(works())\n")
    assert answer.text() == "True\n", answer.text("stderr")
    assert any(record["layer"] == "sandbox" for record in daemon.records("invalid"))


BAD_LINES = {
    "garbage": "ours.sendall(b'x' * 100 + b'\\n')",
    "half": "ours.sendall(b'{'); ours.shutdown(socket.SHUT_WR)",
    "another command": "ours.sendall(ask('x').replace(b'git-remote', b'sh'))",
    "more": "ours.sendall(ask('nothing') + b'x' * 9000)",
    "descriptors": "socket.send_fds(ours, [ask('nothing')], [0] * 100)",
    "its own end": "socket.send_fds(ours, [ask('x', features=['fds'])], [ours.fileno()] * 3)",
}


@pytest.mark.parametrize("script", BAD_LINES.values(), ids=BAD_LINES)
def test_what_is_no_request_is_refused(daemon: Daemon, script: str) -> None:
    """As on the agent's socket."""
    answer = attack(daemon, f"ours = connect()\n{script}\nprint(answer(ours))\n")
    assert "error" in answer.text(), answer.text("stderr")


def test_an_empty_message_ends_the_relay(daemon: Daemon) -> None:
    """It cannot be told from the end; who asks then hears that it is over."""
    script = "send(word=b'')\nwhile True:\n  try: send()\n  except BrokenPipeError: break\n"
    assert attack(daemon, script).exit_code == 0
    assert others_are_served(daemon)


def test_a_thousand_connections_wait_in_the_box(daemon: Daemon) -> None:
    """The daemon takes some at a time, and each has its time for a request."""
    folder = f"/proc/{daemon.process.pid}/fd"
    before = len(os.listdir(folder))
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4096,) * 2)\n"
        "relay.setblocking(False)\n"
        "try:\n  for _ in range(1000): send()\n"
        "except OSError: print('full', flush=True)\n"
        "signal.pause()\n"
    )
    with daemon.connect() as client:
        cwd = str(daemon.world.workspace)
        client.sendall(request("python", "-c", ATTACKER + script, cwd=cwd))
        read_until(client, "full")
        assert others_are_served(daemon)
        assert len(os.listdir(folder)) < before + 50


# The number of SO_PASSPIDFD; each read of a socket that has it opens one more descriptor.
CONFIGURED = {
    "its ends": "relay.setsockopt(1, 76, 1); ours = connect(); ours.setsockopt(1, 76, 1)",
    "an end that it sends": "theirs, ours = socket.socketpair(); theirs.setsockopt(1, 76, 1)\n"
    "send(theirs.fileno()); theirs.close(); send(); take()",
}


@pytest.mark.parametrize("script", CONFIGURED.values(), ids=CONFIGURED)
def test_nothing_of_the_daemons_can_be_configured(daemon: Daemon, script: str) -> None:
    """It would open descriptors for as long as something comes, and close none."""
    script += (
        # Each by itself: TIOCOUTQ is what was not read yet.
        "\nimport array, termios; left = array.array('i', [0])\ntry:\n  for _ in range(100):\n"
        "    left[0] = ours.send(b' ')\n"
        "    while left[0]: fcntl.ioctl(ours, termios.TIOCOUTQ, left)\n"
        "except (BrokenPipeError, ConnectionResetError): pass\n"
        "print('sent', flush=True); signal.pause()\n"
    )
    folder = f"/proc/{daemon.process.pid}/fd"
    with daemon.connect() as client:
        cwd = str(daemon.world.workspace)
        client.sendall(request("python", "-c", ATTACKER + script, cwd=cwd))
        read_until(client, "sent")
        assert others_are_served(daemon)
        # Of those who asked before it keeps some.
        assert sum(_is_process(f"{folder}/{name}") for name in os.listdir(folder)) < 50


def _is_process(link: str) -> bool:
    with suppress(FileNotFoundError):
        return "pidfd" in os.readlink(link)
    return False


def test_an_honest_client_behind_idle_ones_is_served(daemon: Daemon) -> None:
    """They are refused when their time for a request is over."""
    script = "kept = [connect() for _ in range(20)]\nprint(works())\n"
    assert attack(daemon, script).text() == "True\n"


SLOW = {
    "taken": "kept = [connect() for _ in range(16)]\none, other = slow_to_close()\n"
    "send(one.fileno()); one.close(); kept.clear()\nprint(works())\n",
    # The other end must not be closed first: in which order those are that wait is the kernel's.
    "waiting": "kept = [connect() for _ in range(16)]\none, other = slow_to_close()\n"
    "later, last = slow_to_close()\n"
    "for each in (one, other, last, later): send(each.fileno())\nprint(True)\n",
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
def test_what_is_slow_to_close_holds_up_nobody(daemon: Daemon, script: str) -> None:
    """A TCP socket may wait for its peer, which never reads (SO_LINGER)."""
    assert attack(daemon, script).text() == "True\n"
    assert others_are_served(daemon)


def test_what_is_slow_to_close_has_no_number_of_threads_wait(daemon: Daemon) -> None:
    """With some that hang the relay is over, and whoever asks hears of it."""
    script = (
        "import threading\npairs = [slow_to_close() for _ in range(32)]\n"
        "kept = [connect() for _ in range(16)]\n"
        "try:\n  for one, _ in pairs:\n    send(one.fileno())\n"
        "    threading.Thread(target=one.close, daemon=True).start()\n"
        "except BrokenPipeError: pass\nkept.clear()\nprint(relay.recv(1))\n"
    )
    assert attack(daemon, script).text() == "b''\n"
    assert others_are_served(daemon)


async def test_a_connection_that_is_made_to_block_blocks_nobody() -> None:
    """The sender has the daemon's end too, and whether it blocks is one flag for both."""
    theirs, ours = socket.socketpair()
    ours.settimeout(0)
    turns = TurnQueue(Rounds())
    allowance = Allowance(bytes_s=1, burst=1, on_wait=lambda: None)
    gate = Gate(Limits(), allowance)
    session = Session(ours, gate.limits, gate=gate, closer=Closer(), turns=turns)
    fcntl.fcntl(ours, fcntl.F_SETFL, 0)
    assert session.receive_at_once() is None
    theirs.sendall(request("nothing"))
    assert session.receive_at_once() is not None
    with trio.move_on_after(0.1) as waited:
        while True:
            await session.send_output("stdout", b"x" * 100_000)
    assert waited.cancelled_caught
    session.close()
    theirs.close()
