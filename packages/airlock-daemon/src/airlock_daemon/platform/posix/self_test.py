"""Tries on this machine what serving without Linux's own calls relies on.

Each check makes its own files, sockets and processes, and compares what the kernel says with what
is known. `airlock doctor --self-test` prints them all; a daemon on macOS refuses to serve if one
fails.
"""

import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import msgspec

from airlock_daemon.platform.posix import is_darwin
from airlock_daemon.platform.posix.calls import splice, step
from airlock_daemon.platform.posix.poll_set import is_gone
from airlock_daemon.platform.posix.spawner import HEADER, REPORT
from airlock_daemon.platform.system import find_holder

_OFFSET = 1 << 61

_HOLD = f"""
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX, 1, {_OFFSET})
print(flush=True)
sys.stdin.read()
"""

_WAIT_S = 10.0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its name, what it is about, and what is wrong, None if nothing is."""

    name: str
    what: str
    problem: str | None


class WrongAnswer(Exception):
    """The kernel's answer is not the known one."""


Check = tuple[str, str, Callable[[], None]]


def run_self_test() -> Iterator[Tried]:
    """As `system.run_self_test`."""
    for name, what, check in _list_checks():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the call cannot be relied on
            problem = f"{type(error).__name__}: {error}"
            yield Tried(name=name, what=what, problem=problem)
        else:
            yield Tried(name=name, what=what, problem=None)


def _list_checks() -> Iterator[Check]:
    yield from CHECKS
    if is_darwin():
        from airlock_daemon.platform.darwin.self_test import LEAVES  # noqa: PLC0415

        yield from LEAVES


def expect(found: object, wanted: object, what: str) -> None:
    """Raise WrongAnswer if they differ."""
    if found != wanted:
        raise WrongAnswer(f"{what} is {found!r}, and should be {wanted!r}")


def _try_hangups() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        expect(is_gone(ours.fileno()), False, "a connected peer's absence")
        theirs.shutdown(socket.SHUT_WR)
        expect(is_gone(ours.fileno()), False, "the absence of a peer that still reads")
        theirs.close()
        expect(is_gone(ours.fileno()), True, "a closed peer's absence")


def _try_poll() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asked = select.poll()
        asked.register(ours, 0)
        theirs.send(b"x")
        expect(asked.poll(0), [], "what is reported to one who waits for a hangup")
        theirs.close()
        events = asked.poll(_WAIT_S * 1000)[0][1]
        expect(bool(events & select.POLLHUP), True, "a closed peer's hangup")


def _try_walk() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "directory"))
        os.symlink("directory", os.path.join(folder, "link"))
        os.mkfifo(os.path.join(folder, "fifo"))
        # It may be searched, and not listed.
        os.chmod(os.path.join(folder, "directory"), 0o300)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            expect(step("link", root), "directory", "a symlink's target")
            expect(step("fifo", root), None, "what is opened of a fifo")
            found = step("directory", root)
            expect(type(found), int, "what is opened of a directory")
            if isinstance(found, int):
                os.close(found)
        finally:
            os.close(root)
            os.chmod(os.path.join(folder, "directory"), 0o700)


def _try_copying() -> None:
    reading, writing = os.pipe()
    taking, giving = os.pipe()
    try:
        data = os.urandom(8000)
        os.write(writing, data)
        got = b""
        while len(got) < len(data):
            got += os.read(taking, splice(reading, giving, len(data)))
        expect(got == data, True, "the sameness of copied bytes")
    finally:
        for end in (reading, writing, taking, giving):
            os.close(end)


def _try_lock() -> None:
    with (
        tempfile.NamedTemporaryFile() as file,
        subprocess.Popen(
            [sys.executable, "-I", "-c", _HOLD, file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
    ):
        assert holder.stdout is not None  # noqa: S101 - it is a pipe
        holder.stdout.readline()
        expect(find_holder(file.fileno(), _OFFSET), holder.pid, "a lock's holder")
        expect(find_holder(file.fileno(), _OFFSET + 1), None, "the holder of a free byte")


def _try_session() -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        expect(os.getsid(child.pid), child.pid, "the session of its leader")
        expect(os.getpgid(child.pid), child.pid, "the group of its leader")
        child.communicate(timeout=_WAIT_S)


def _try_descriptors() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "rb") as file:
        socket.send_fds(ours, [b"x"], [file.fileno()] * 5)
        data, received, _, _ = socket.recv_fds(theirs, 1, 62)
        for descriptor in received:
            os.close(descriptor)
        expect((data, len(received)), (b"x", 5), "what arrives with a byte")


def _try_terminal() -> None:
    ours, theirs = os.openpty()
    try:
        asked = select.poll()
        asked.register(ours, select.POLLIN)
        expect(asked.poll(0), [], "what a silent terminal has")
        os.write(theirs, b"x")
        found = [number for number, _ in asked.poll(_WAIT_S * 1000)]
        expect(found, [ours], "the terminal that has something to read")
    finally:
        os.close(ours)
        os.close(theirs)


def _try_launcher() -> None:
    """A shell that leaves a process behind: both end, and the launcher says so."""
    service, its_service = socket.socketpair()
    control, its_control = socket.socketpair()
    number = its_service.fileno()
    words = [sys.executable, "-I", "-m", "airlock_daemon.platform.posix.spawner", str(number)]
    argv = (b"/bin/sh", b"/bin/sh", b"-c", b"sleep 60 & exit 3", b"PATH=/bin:/usr/bin", b"")
    strings = b"\0".join(argv)
    # It ends when these are closed, whatever was found.
    with subprocess.Popen(words, pass_fds=(number,)) as launcher, service, control, its_control:
        its_service.close()
        control.settimeout(_WAIT_S)
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            socket.send_fds(service, [b"c"], [its_control.fileno(), root, null, null, null])
            expect(REPORT.unpack(control.recv(REPORT.size)), (b"A", 0), "the first report")
        finally:
            os.close(root)
            os.close(null)
        its_control.close()
        control.sendall(HEADER.pack(len(strings), 3, 1, 0, 0, 256) + strings)
        expect(REPORT.unpack(control.recv(REPORT.size))[0], b"P", "the kind of the second report")
        expect(REPORT.unpack(control.recv(REPORT.size)), (b"X", 3 << 8), "the report of the end")
        expect(REPORT.unpack(control.recv(REPORT.size)), (b"G", 0), "the report of the last end")
        expect(control.recv(REPORT.size), b"", "what comes when all processes have ended")
        service.close()
        expect(launcher.wait(_WAIT_S), 0, "the launcher's own exit status")


CHECKS: tuple[Check, ...] = (
    ("terminals", "waiting for a terminal's output (poll(2))", _try_terminal),
    ("launcher", "a tool, and a process that it leaves behind (setsid(2))", _try_launcher),
    ("hangups", "a client that is gone, and one that still reads (send(2))", _try_hangups),
    ("poll", "waiting for a hangup alone (poll(2))", _try_poll),
    ("walk", "directories, symlinks and fifos, opened one by one (openat(2))", _try_walk),
    ("copying", "bytes between pipes (read(2), write(2))", _try_copying),
    ("locks", "the process that holds a lock (F_GETLK of fcntl(2))", _try_lock),
    ("sessions", "the session of another process (getsid(2))", _try_session),
    ("descriptors", "descriptors between processes (SCM_RIGHTS of unix(4))", _try_descriptors),
)
