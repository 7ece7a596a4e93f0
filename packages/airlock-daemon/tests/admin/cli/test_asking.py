"""What `airlock test` hears from the running daemon, or from another in its place."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airlock_daemon.admin.cli.test import ask_daemon
from airlock_daemon.admin.cli.verdict import Answer
from airlock_daemon.errors import AirlockError
from commanding import run
from worlds import World


@contextmanager
def answering(path: str, answer: bytes) -> Iterator[None]:
    """Something that listens at `path` and gives this answer to one request."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(1)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join()


def refusal(message: str, **data: str) -> bytes:
    error = {"code": -32600, "message": message, "data": {"kind": "denied", **data}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode() + b"\n"


@pytest.fixture
def path(world: World) -> str:
    """Where the daemon of the agent `my` would listen."""
    (world.config / "sockets").mkdir()
    return str(world.config / "sockets" / "my.sock")


def test_no_daemon_is_no_answer(path: str) -> None:
    """Nothing stands at the path."""
    assert ask_daemon(path, "git", ()) is None


def test_what_a_daemon_decides_is_its_answer(path: str) -> None:
    """The layer is there for who must know why, as far as the daemon names one."""
    with answering(path, refusal("no", layer="workspace")):
        assert ask_daemon(path, "git", ()) == Answer("no", "workspace")


def test_an_allowance_has_no_message(path: str) -> None:
    """There is nothing to explain."""
    with answering(path, b'{"jsonrpc":"2.0","id":1,"result":{"decision":"allowed"}}\n'):
        assert ask_daemon(path, "git", ()) == Answer()


@pytest.mark.parametrize("answer", [b"", b"\x1b[2J\n", b'{"jsonrpc":"2.0","id":1,"result":7}\n'])
def test_what_is_no_answer_is_told_without_its_escapes(path: str, answer: bytes) -> None:
    """Also where it is no JSON, or not of the protocol."""
    with answering(path, answer), pytest.raises(AirlockError) as caught:
        ask_daemon(path, "git", ())
    assert caught.value.message.isprintable()


def test_escape_sequences_of_another_program_do_not_reach_the_terminal(
    world: World, path: str
) -> None:
    """It may have taken the daemon's socket; what it says is quoted."""
    with answering(path, refusal("\x1b]0;title\x07\u202eevil")):
        done = run(world, "test", "my", "sh", status=1)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout
    assert 'daemon: denied: "\\u{1b}]0;title\\u{7}\\u{202e}evil"\n' in done.stdout
