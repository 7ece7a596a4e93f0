"""Daemons that are killed, and clients that are cut off, at every step: the log tells of it."""

import fcntl
import json
import os
import socket
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from logs import recent, verify
from running import Daemon, read_until, request
from worlds import World

SHORT = b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"sh","args":[]}}\n'


def records(world: World, *events: str) -> list[dict[str, Any]]:
    """The records of these events so far; a line that is being written is not among them."""
    whole, _, _ = world.log.read_bytes().rpartition(b"\n")
    found = [json.loads(line) for line in whole.splitlines()]
    return [record for record in found if record["event"] in events]


def wait_for_records(world: World, count: int, *events: str) -> list[dict[str, Any]]:
    """So many records of these events, as soon as they are there."""
    while len(found := records(world, *events)) < count:
        os.sched_yield()
    return found


def wait_until_read(connection: socket.socket) -> None:
    """Return when the daemon has taken all that was sent (unix(7), SIOCOUTQ)."""
    while int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder):
        os.sched_yield()


def outcomes(world: World) -> list[str | None]:
    """How the requests ended, as `log tail` tells it."""
    items = recent(world.log)
    return [item.outcome for item in items if item.entry and item.entry.event.startswith("exec")]


def test_a_request_that_is_cut_off_at_any_byte_has_its_record(daemon: Daemon) -> None:
    """Once, as no whole request; whoever says nothing has none, and the log is whole."""
    for cut in range(len(SHORT)):
        with daemon.connect() as connection:
            connection.sendall(SHORT[:cut])
    found = wait_for_records(daemon.world, len(SHORT) - 1, "invalid")
    assert daemon.ask("sh", "-c", "true").exit_code == 0
    daemon.stop()
    assert len(records(daemon.world, "invalid")) == len(SHORT) - 1
    assert {record["outcome"] for record in found} == {"invalid"}
    assert all("ended before its newline" in record["reason"] for record in found)
    assert len(records(daemon.world, "exec", "exec-start")) == 2
    assert verify(daemon.world.log).is_whole


def test_a_daemon_that_is_killed_amid_a_request_starts_nothing(world: World) -> None:
    """The next one goes on in the same chain, each time, and no command ran."""
    steps = [*range(1, len(SHORT) - 1, 12), len(SHORT) - 1]
    for sent in steps:
        with Daemon(world) as daemon, daemon.connect() as connection:
            connection.sendall(SHORT[:sent])
            wait_until_read(connection)
            daemon.kill()
    verified = verify(world.log)
    assert verified.is_whole, verified.faults
    assert verified.records == len(records(world, "daemon-start")) == len(steps)


@pytest.mark.timeout(180)
def test_a_daemon_that_is_killed_at_any_moment_of_a_request_has_told_of_it(world: World) -> None:
    """Nothing has run that has no `exec-start`, and what has no end is told as cut off."""
    marks: list[Path] = []
    for moment in range(0, 30, 3):
        mark = world.workspace / f"mark{moment}"
        with Daemon(world) as daemon, daemon.connect() as connection:
            connection.sendall(request("sh", "-c", f": > {mark}; echo {mark}"))
            for _ in range(moment * 60):
                os.sched_yield()
            daemon.kill()
        marks += [mark] if mark.exists() else []
    with Daemon(world) as daemon:
        daemon.stop()
    verified = verify(world.log)
    assert verified.is_whole, verified.faults
    begun = {str(record["args"]) for record in records(world, "exec-start")}
    assert all(any(f"{mark};" in args for args in begun) for mark in marks)
    ended = len(records(world, "exec"))
    assert outcomes(world).count("cut-off") == len(begun) - ended


@pytest.mark.parametrize("step", ["connected", "begun", "streaming", "ended"])
def test_a_daemon_that_is_killed_at_a_step_has_told_of_it(world: World, step: str) -> None:
    """Up to that step and no further; the next daemon's log is whole, and says what was cut off."""
    os.mkfifo(world.workspace / "never")
    with Daemon(world) as daemon, daemon.connect() as connection:
        if step == "begun":
            connection.sendall(request("sh", "-c", "read line < never"))
            wait_for_records(world, 1, "exec-start")
        elif step == "streaming":
            connection.sendall(request("sh", "-c", "while :; do echo much; done"))
            read_until(connection, "much\nmuch")
        elif step == "ended":
            connection.sendall(request("sh", "-c", "exit 7"))
            wait_for_records(world, 1, "exec")
        daemon.kill()
    with Daemon(world) as daemon:
        assert daemon.shell("true").exit_code == 0
        daemon.stop()
    verified = verify(world.log)
    assert verified.is_whole, verified.faults
    assert (
        outcomes(world)
        == {
            "connected": ["allowed"],
            "begun": ["cut-off", "allowed"],
            "streaming": ["cut-off", "allowed"],
            "ended": ["allowed", "allowed"],
        }[step]
    )
