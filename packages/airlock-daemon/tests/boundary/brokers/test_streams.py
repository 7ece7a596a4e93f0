"""Descriptors that are not what git's own are, and pushes that end in their middle."""

import fcntl
import json
import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from git_world import Remote, make_world

from airlock_daemon.boundary.brokers.requester import ClientStreams
from airlock_daemon.boundary.brokers.ssh.session import Transport
from airlock_daemon.boundary.connection import descriptors
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, Closer
from airlock_daemon.boundary.fairness import Rounds, TurnQueue
from airlock_daemon.boundary.identity.peer import Peer
from running import Daemon
from worlds import ANY_REF

NONE = "0" * 40
Ends = tuple[int, int]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    """An agent that may push to the repositories there; the daemon runs."""
    world = make_world(tmp_path)
    world.write_profile(f'[git]\npush = ["host{tmp_path}/*"]\n{ANY_REF}')
    with Daemon(world) as daemon:
        yield Remote(world, daemon)


def push(remote: Remote, stdin: int, stdout: int) -> socket.socket:
    """Ask for a push on these descriptors."""
    params = {
        "command": "git-remote",
        "args": ["ssh", "host", f"git-receive-pack '{remote.repository}'"],
        "features": ["fds"],
    }
    request = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(remote.world.socket)
    with open(os.devnull, "rb") as null:
        line = json.dumps(request).encode() + b"\n"
        socket.send_fds(connection, [line], [stdin, stdout, null.fileno()])
    return connection


def path_of(ends: Ends) -> int:
    """A descriptor that names a pipe and cannot be read (open(2), O_PATH)."""
    return os.open(f"/proc/self/fd/{ends[0]}", os.O_PATH)


@pytest.mark.parametrize("choose", [path_of, lambda ends: os.dup(ends[1])])
def test_a_stdin_that_cannot_be_read_is_refused(
    remote: Remote, choose: Callable[[Ends], int]
) -> None:
    """It is the client's fault, and is called so."""
    ends, answers = os.pipe(), os.pipe()
    stdin = choose(ends)
    with push(remote, stdin, answers[1]) as connection:
        for number in (*ends, answers[1], stdin):
            os.close(number)
        answer = [json.loads(line) for line in connection.makefile("rb")][-1]
    os.close(answers[0])
    assert answer["error"]["data"]["rule"] == "stdin"
    assert "what it passed as its stdin cannot be read" in answer["error"]["message"]
    assert [record["outcome"] for record in remote.daemon.records("broker")] == ["denied"]
    assert "a fault of the daemon" not in remote.daemon.messages()


def test_what_went_to_the_remote_is_counted_when_the_client_leaves(remote: Remote) -> None:
    """A push that its client does not end."""
    head = remote.git("rev-parse", "HEAD").stdout.strip()
    line = f"{NONE} {head} refs/heads/x\0report-status".encode()
    # One object, of a mebibyte, of which half comes.
    pack = b"PACK\0\0\0\2\0\0\0\1\xb0\x80\x80\x04" + zlib.compress(os.urandom(1 << 20))[: 1 << 19]
    sent = b"%04x" % (len(line) + 4) + line + b"0000" + pack
    stdin, answers = os.pipe(), os.pipe()
    connection = push(remote, stdin[0], answers[1])
    os.close(answers[1])
    assert os.read(answers[0], 4)
    # What does not fit into the pipe was taken when this returns.
    assert os.write(stdin[1], sent) == len(sent)
    connection.close()
    assert remote.daemon.stop() == 0
    (record,) = remote.daemon.records("broker")
    assert record["detail"]["bytes"] > len(sent) // 2
    for number in (*stdin, answers[0]):
        os.close(number)


async def test_an_answer_waits_for_no_pipe_of_the_daemons_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user that has many pipes gets small ones, in which a write could wait for ever."""
    real = os.pipe2

    def small(flags: int) -> Ends:
        ends = real(flags)
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
        return ends

    client, answers = os.pipe(), os.pipe()
    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe2", small)
        numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
        transport = Transport(ClientDescriptors(numbers, Closer()), is_held=True)
    data = os.urandom(50_000)
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run)
        await transport.answer(data, TurnQueue(rounds))
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(rounds)
    assert os.read(answers[0], 1 << 20) == data
    transport.close()


async def test_much_that_waits_in_a_clients_pipe_is_read_at_once() -> None:
    """Each step of the event loop costs a large push the same, however few bytes it moves."""
    client, answers = os.pipe(), os.pipe()
    numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    null = os.open(os.devnull, os.O_RDWR)
    streams = ClientStreams(ClientDescriptors(numbers, Closer()), TurnQueue(rounds), null=null)
    os.set_blocking(client[1], False)
    # That is done in a thread.
    while fcntl.fcntl(client[1], fcntl.F_GETPIPE_SZ) < 200_000:
        await trio.lowlevel.checkpoint()
    data = os.urandom(200_000)
    assert os.write(client[1], data) == len(data)
    assert await streams.read() == data
    streams.close()
    trio.lowlevel.remove_instrument(rounds)
    for number in (client[1], answers[0], null):
        os.close(number)


@pytest.mark.parametrize("call", ["splice", "read"])
async def test_a_pipe_whose_lock_is_held_holds_up_one_conversation(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whoever reads from one may hold it for ever, and splice(2) waits for that.

    read(2) waits for the lock of a page, which may be one of a file system of the client.
    """
    real, may_go_on = getattr(os, call), threading.Event()

    def wait(*words: int, **flags: int) -> object:
        assert threading.current_thread() is not threading.main_thread()
        may_go_on.wait()
        return real(*words, **flags)

    client, answers = os.pipe(), os.pipe()
    os.write(client[1], b"x")
    numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    null = os.open(os.devnull, os.O_RDWR)
    closer = Closer()
    streams = ClientStreams(ClientDescriptors(numbers, closer), TurnQueue(rounds), null=null)
    monkeypatch.setattr(os, call, wait)
    with trio.move_on_after(0.3) as scope:
        await streams.read()
    assert scope.cancelled_caught
    streams.close()
    assert not closer.is_stuck
    may_go_on.set()
    trio.lowlevel.remove_instrument(rounds)
    # The last one of what wrote there is gone.
    monkeypatch.undo()
    assert os.read(answers[0], 1) == b""
    for number in (client[1], answers[0], null):
        os.close(number)


async def test_the_pages_of_a_clients_pipe_are_not_given_to_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would wait for their locks with that of its stdin, to which the daemon writes."""
    real, targets = os.splice, set[int]()

    def note(source: int, target: int, count: int, *, flags: int) -> int:
        targets.add(os.fstat(target).st_ino)
        return real(source, target, count, flags=flags)

    client, answers = os.pipe(), os.pipe()
    os.write(client[1], b"pack")
    os.close(client[1])
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
    transport = Transport(ClientDescriptors(numbers, Closer()), is_held=True)
    stdin = os.dup(transport.standard[0])
    monkeypatch.setattr(os, "splice", note)
    await transport.pass_rest(TurnQueue(rounds))
    assert targets
    assert os.fstat(stdin).st_ino not in targets
    transport.close()
    trio.lowlevel.remove_instrument(rounds)
    assert os.read(stdin, 10) == b"pack"
    for number in (stdin, answers[0]):
        os.close(number)


async def test_a_pipe_of_packets_is_read_whole() -> None:
    """A read takes no more than one packet (pipe(2), O_DIRECT)."""
    client, answers = os.pipe2(os.O_DIRECT), os.pipe()
    for packet in (b"0006ab", b"0006cd0000"):
        os.write(client[1], packet)
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    null = os.open(os.devnull, os.O_RDWR)
    numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
    streams = ClientStreams(ClientDescriptors(numbers, Closer()), TurnQueue(rounds), null=null)
    assert await streams.read() == b"0006ab0006cd0000"
    streams.close()
    trio.lowlevel.remove_instrument(rounds)
    for number in (client[1], answers[0], null):
        os.close(number)


async def test_room_in_a_pipe_whose_lock_is_held_is_made_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That waits for the lock too (fcntl(2), F_SETPIPE_SZ)."""
    real, may_go_on = fcntl.fcntl, threading.Event()
    client, answers = os.pipe(), os.pipe()
    held = {os.fstat(each).st_ino for each in (client[0], answers[0])}

    def wait(pipe: int, command: int, size: int = 0) -> int:
        if os.fstat(pipe).st_ino in held:
            assert threading.current_thread() is not threading.main_thread()
            may_go_on.wait()
        return real(pipe, command, size)

    numbers = [client[0], answers[1], os.open(os.devnull, os.O_RDWR)]
    null = os.open(os.devnull, os.O_RDWR)
    monkeypatch.setattr(fcntl, "fcntl", wait)
    ClientStreams(ClientDescriptors(numbers, Closer()), TurnQueue(Rounds()), null=null).close()
    may_go_on.set()
    # The last one of what wrote there is gone.
    assert os.read(answers[0], 1) == b""
    for number in (client[1], answers[0], null):
        os.close(number)


async def test_what_the_kernel_lists_of_a_descriptor_is_read_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names each lock of the file (proc_pid_fdinfo(5)), of which a client can make very many."""
    asked = []

    def note(number: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        asked.append(number)

    monkeypatch.setattr(descriptors, "read_mount_id", note)
    numbers = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
    passed = ClientDescriptors(numbers, Closer())
    passed.examine()
    peer = Peer(pid=1, uid=0, kind="container")
    assert not await passed.are_usable(peer, trio.CapacityLimiter(1))
    assert asked == numbers
    passed.close()
