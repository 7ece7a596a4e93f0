"""The binary for the other processor, run by an emulator."""

import base64
import os
import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_shim import ARCHITECTURES, binary_for
from fake_brokers import FakeBroker, listener_of, read_all, wait_for_end
from fake_daemons import Ended, FakeDaemon, wait, without_id
from fake_messages import encoded_output, error, output, result


@pytest.fixture
def arch() -> str:
    """The processor that this machine has not."""
    (arch,) = set(ARCHITECTURES) - {platform.machine()}
    return arch


@pytest.fixture
def emulator(arch: str) -> str:
    """What runs its programs."""
    emulators = (f"qemu-{arch}-static", f"qemu-{arch}")
    emulator = next(filter(None, map(shutil.which, emulators)), None)
    if emulator is None:
        pytest.skip(f"no emulator for {arch}: install Debian's qemu-user-static")
    return emulator


@pytest.fixture
def foreign(folder: Path, built: None, arch: str, emulator: str) -> Iterator[FakeDaemon]:
    """A daemon for shims of that processor."""
    # Without -0 the emulator tells the shim the name of the file that the link leads to.
    with FakeDaemon(folder, binary_for(arch), runner=[emulator, "-0", "git"]) as daemon:
        yield daemon


def test_request_is_the_same(foreign: FakeDaemon) -> None:
    """It asks for the same, byte for byte."""
    foreign.start("push", b"\xff", cwd="/")
    assert without_id(foreign.accept().read_request()).startswith(
        b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"git",'
        b'"args":["push",{"base64":"/w=="}],"cwd":"/","container_id":null,'
        b'"features":["base64","stdin","signals","tty","exit-signal","env","fds"],"env":{'
    )


def test_command_runs(foreign: FakeDaemon) -> None:
    """A whole conversation, with both streams and the exit status."""
    text = "zażółć \x1b👍\n" * 10_000
    transcript = output("err\n", "stderr") + output(text) + result(3)
    pieces = [transcript[at : at + 1001] for at in range(0, len(transcript), 1001)]
    assert foreign.answer(*pieces) == Ended(3, text.encode(), "err\n")


def test_descriptors_ride_along(foreign: FakeDaemon) -> None:
    """The tool writes to the shim's own stdout, and to a file by way of a pipe."""
    path = foreign.folder / "errors"
    with path.open("wb") as stderr:
        process, conversation = foreign.begin("fds", stderr=stderr)
    with conversation.run_tool() as tool:
        tool.write(b"out")
        tool.write(b"err", "stderr")
    conversation.send(result(4))
    assert wait(process) == Ended(4, b"out", "")
    assert path.read_bytes() == b"err"


def test_stdin_and_signals_are_sent(foreign: FakeDaemon) -> None:
    """Messages to the daemon, encoded output, and an end by the signal that was passed on."""
    process, conversation = foreign.begin(
        "stdin", "signals", "base64", credit=5, stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"\xff typed")
    process.stdin.flush()
    data = conversation.read_message()["params"]["data"]
    assert base64.b64decode(data) == b"\xff typ"
    process.send_signal(signal.SIGTERM)
    assert conversation.read_message()["params"] == {"name": "SIGTERM"}
    conversation.send(encoded_output(b"\xfe") + result(143, signal="SIGTERM"))
    ended = wait(process)
    assert (ended.status, ended.stdout) == (-signal.SIGTERM, b"\xfe")


def test_errors_are_told(foreign: FakeDaemon) -> None:
    """Refusals and a missing socket have their texts and statuses."""
    assert foreign.answer(error(-32600, "no\x07", hint="ask")) == Ended(
        126, b"", "airlock: no\\x07\nairlock: hint: ask\n"
    )
    ended = wait(foreign.start(environment={"AIRLOCK_SOCKET": "/nonexistent.sock"}))
    assert ended.status == 125
    assert "/nonexistent.sock: no such file or directory" in ended.stderr


def test_links_are_installed(foreign: FakeDaemon) -> None:
    """Directories, links and what is found there work by this processor's own calls."""
    shim = foreign.link("airlock-shim")
    emulator = foreign.start("x", environment={"AIRLOCK_SOCKET": "/nonexistent.sock"}).args
    assert isinstance(emulator, list)
    place = foreign.folder / "new" / "bin"
    command = [emulator[0], shim, "--install", place, "aws"]
    for _ in range(2):
        subprocess.run(command, check=True)
    assert os.path.lexists(place / "aws")


def test_a_listener_is_left_beside_a_command(
    folder: Path, built: None, arch: str, emulator: str
) -> None:
    """It listens before the command runs, relays, and reports that there is no daemon."""
    with FakeBroker(folder, binary_for(arch), runner=[emulator]) as broker:
        broker.folder.joinpath("client.env").write_text("A=/run/airlock/ca.pem\n")
        process = broker.start("sh", "-c", 'echo "$A"; exec cat')
        assert process.stdout is not None
        assert process.stdout.readline() == f"{folder}/ca.pem\n".encode()
        client, daemon = broker.connect(), broker.accept()
        client.sendall(b"CONNECT")
        client.shutdown(socket.SHUT_WR)
        assert read_all(daemon) == b"CONNECT"
        daemon.sendall(b"200")
        daemon.close()
        assert read_all(client) == b"200"
        broker.stop()
        assert read_all(broker.connect()).startswith(b"HTTP/1.1 502 airlock: ")
        listener = listener_of(process)
        process.kill()
        wait_for_end(listener)
