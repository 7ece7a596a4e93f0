"""The launcher's resident process: what it takes, what it refuses, and what outlives it."""

import errno
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launching import (
    MESSAGE,
    PATIENCE_S,
    SAME,
    Launch,
    Service,
    encode_order,
    launcher_path,
    make_file,
    shell,
    wait_ended,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")

HEADER, STRINGS = encode_order([b"/bin/echo", b"echo", b"x"], [b"A=1"])

# At the end of a header: no further descriptor, and the launcher's own user and group.
REST = (0, SAME, SAME, SAME, 0, 0, 0)

# Of a message that is refused.
REFUSED = ([("N", errno.EINVAL)], b"")


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that runs."""
    with Service() as service:
        yield service


@pytest.fixture
def unprivileged() -> Iterator[list[str]]:
    """The command line of a launcher that does not run as root."""
    if os.geteuid() != 0:
        yield [launcher_path()]
        return
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv, to be somebody else than root")
    # Others than root may have no way to where the launcher is.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(launcher_path(), folder)
        yield ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy]


def send_raw(
    service: Service, message: bytes, *, count: int = 5, file: int | None = None
) -> tuple[list[tuple[str, int]], bytes]:
    """Send a message with `count` descriptors, or five and a file: the reports and the output.

    The output is read to its end, so that whoever holds any of the descriptors is waited for.
    """
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(PATIENCE_S)
    stdout, writing = os.pipe()
    directory = os.open("/", os.O_RDONLY)
    descriptors = [theirs.fileno(), directory, *[writing] * 5][:count]
    service.send(message, descriptors if file is None else [*descriptors, file])
    theirs.close()
    for descriptor in (writing, directory):
        os.close(descriptor)
    reports: list[tuple[str, int]] = []
    while (not reports or reports[-1][0] != "R") and (report := control.recv(64)):
        kind, value = struct.unpack("<cxxxi", report)
        reports.append((kind.decode(), value))
    with control, open(stdout, "rb") as reader:
        return reports, reader.read()


def test_an_order_may_be_written_by_hand(service: Service) -> None:
    """The raw message that the other tests spoil is one that is obeyed."""
    assert send_raw(service, HEADER + STRINGS) == ([("R", 0)], b"x\n")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEADER[:-1],
        HEADER,
        HEADER + STRINGS[:-1],
        HEADER + STRINGS + b"\0",
        HEADER + STRINGS[:-1] + b"x",
        HEADER + STRINGS.replace(b"\0", b"x", 1),
        HEADER + STRINGS.replace(b"x", b"\0", 1),
        struct.pack("<IIQIIIIIIIII", 0, 1, 256, 0, len(STRINGS), *REST) + STRINGS,
        struct.pack("<IIQIIIIIIIII", 2, 1, 256, 8, len(STRINGS), *REST) + STRINGS,
        struct.pack("<IIQIIIIIIIII", 0xFFFFFFFF, 0xFFFFFFFF, 256, 0, 0xFFFFFFFF, *REST) + STRINGS,
        b"x" * (MESSAGE + 1),
    ],
)
def test_a_malformed_message_is_refused(service: Service, message: bytes) -> None:
    """Nothing runs, nothing stays open, and the service takes the next order."""
    assert send_raw(service, message) == REFUSED
    assert send_raw(service, HEADER + STRINGS) == ([("R", 0)], b"x\n")


def test_a_message_that_is_too_long_is_refused(service: Service) -> None:
    """What was cut off could have been anything."""
    header, strings = encode_order([b"/bin/echo", b"echo", b"x" * MESSAGE])
    assert send_raw(service, header + strings) == REFUSED


@pytest.mark.parametrize("count", [1, 2, 4, 6, 65])
def test_other_descriptors_are_refused(service: Service, count: int) -> None:
    """Too few, one too many that is no file of strings, and more than can be received."""
    assert send_raw(service, HEADER + STRINGS, count=count) == REFUSED
    assert send_raw(service, HEADER, count=count) == REFUSED


def test_a_message_without_descriptors_goes_unanswered(service: Service) -> None:
    """There is nowhere to report to; the next order is taken."""
    service.send(HEADER + STRINGS, [])
    assert send_raw(service, HEADER + STRINGS) == ([("R", 0)], b"x\n")


def test_strings_in_a_file_are_taken(service: Service) -> None:
    """A sealed file holds what did not fit into the message; it may be longer than needed."""
    for content in (STRINGS, STRINGS + b"more"):
        file = make_file(content)
        assert send_raw(service, HEADER, file=file) == ([("O", 0)], b"x\n")
        os.close(file)


def test_strings_in_a_file_that_is_not_right_are_refused(service: Service) -> None:
    """One that could still change, one that is short, one beside other strings, a pipe."""
    for message, file in [
        (HEADER, make_file(STRINGS, sealed=False)),
        (HEADER, make_file(STRINGS[:-1])),
        (HEADER + STRINGS, make_file(STRINGS)),
        (HEADER, os.open(__file__, os.O_RDONLY)),
    ]:
        assert send_raw(service, message, file=file) == REFUSED
        os.close(file)


def test_a_fork_that_fails_is_reported(unprivileged: list[str]) -> None:
    """The command is told of, and the service stays."""
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit")
    launcher = [*unprivileged[:-1], "prlimit", "--nproc=1", unprivileged[-1]]
    with Service(launcher=launcher) as service:
        for _ in range(2):
            assert send_raw(service, HEADER + STRINGS) == ([("N", errno.EAGAIN)], b"")


def test_many_commands_run_at_once(service: Service) -> None:
    """Each has a supervisor of its own, and its own report."""
    launches = [Launch("/bin/sh", *shell(f"read x; exit {i}"), service=service) for i in range(50)]
    for launch in reversed(launches):
        os.write(launch.stdin, b"\n")
    for i, launch in enumerate(launches):
        with launch:
            assert launch.read_reports() == [("X", i << 8)]


def test_a_command_holds_nothing_of_another(service: Service) -> None:
    """The ends of one are seen while commands that began before and after it still run."""
    waiting = shell("read x")
    with (
        Launch("/bin/sh", *waiting, service=service),
        Launch("/bin/sh", *waiting, service=service) as launch,
        Launch("/bin/sh", *waiting, service=service),
    ):
        os.write(launch.stdin, b"\n")
        assert launch.read_output() == b""
        assert launch.read_reports() == [("X", 0)]


def test_the_end_of_a_command_is_not_that_of_another(service: Service) -> None:
    """All of one is killed, whatever sessions it is in; the others do not notice."""
    strays = shell("setsid sh -c 'echo up; exec sleep 1000' & read x")
    with (
        Launch("/bin/sh", *strays, service=service) as first,
        Launch("/bin/sh", *strays, service=service) as second,
    ):
        for launch in (first, second):
            assert launch.read_line() == b"up"
        first.order("E", signal.SIGKILL)
        assert first.read_reports() == [("X", signal.SIGKILL)]
        os.write(second.stdin, b"\n")
        assert second.read_report() == ("X", 0)


def test_the_service_ends_with_the_daemon_and_the_last_command() -> None:
    """A command that still runs when the daemon is gone ends as it should, and then the service."""
    with Service() as service:
        launch = Launch("/bin/sh", *shell("echo up; read x; exit 3"), service=service)
        assert launch.read_line() == b"up"
        service.socket.close()
        with launch:
            os.write(launch.stdin, b"\n")
            assert launch.read_reports() == [("X", 3 << 8)]
        assert service.wait() == 0


def test_commands_outlive_a_service_that_is_killed(service: Service) -> None:
    """Their supervisors obey and report as before, and the daemon sees that the service is gone."""
    waiting = shell("echo up; read x; exit 3")
    with (
        Launch("/bin/sh", *waiting, service=service) as first,
        Launch("/bin/sh", *waiting, service=service) as second,
    ):
        for launch in (first, second):
            assert launch.read_line() == b"up"
        os.kill(service.pid, signal.SIGKILL)
        assert service.wait() == -signal.SIGKILL
        assert service.socket.recv(1) == b""
        os.write(first.stdin, b"\n")
        assert first.read_reports() == [("X", 3 << 8)]
        second.order("E", signal.SIGTERM)
        assert second.read_reports() == [("X", signal.SIGTERM)]


def test_supervisors_are_reaped(service: Service) -> None:
    """No process of a command that has ended stays in the table."""
    with Launch("/bin/sh", *shell("echo $PPID; read x"), service=service) as launch:
        supervisor = int(launch.read_line())
        pidfd = os.pidfd_open(supervisor)
        os.write(launch.stdin, b"\n")
    wait_ended(pidfd)
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{supervisor}").exists():
        assert time.monotonic() < deadline, "the supervisor is a zombie"
        os.sched_yield()


def test_tools_cannot_reach_into_the_launcher(unprivileged: list[str]) -> None:
    """Neither service nor supervisor is dumpable, so that no tool of the same user traces them."""
    script = 'for pid in $$ $PPID "$1"; do readlink /proc/$pid/fd/0 >/dev/null; echo $?; done'
    with (
        Service(launcher=unprivileged) as service,
        Launch("/bin/sh", *shell(script, str(service.pid)), service=service) as launch,
    ):
        assert launch.read_output() == b"0\n1\n1\n"


def test_the_service_keeps_nothing_that_the_daemon_forgot() -> None:
    """A descriptor that is not close-on-exec would otherwise be open as long as the service."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    with Service(), open(reading, "rb") as reader:
        os.close(writing)
        assert select.select([reader], [], [], PATIENCE_S)[0], "somebody holds the other end"


def test_closed_standard_descriptors_are_filled() -> None:
    """Those of a command never get the numbers that the tool's own three must have."""
    for closed in [[0], [2], [0, 2], [0, 1, 2]]:
        with Service(closed=closed) as service:
            assert send_raw(service, HEADER + STRINGS) == ([("R", 0)], b"x\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], b"one argument is needed, or seven and pairs"),
        (["3", "4"], b"one argument is needed, or seven and pairs"),
        (["2"], b"FD must be a number above 2"),
        (["x"], b"FD must be a number above 2"),
        (["1000"], b"SERVICE_FD cannot be read"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], words: bytes) -> None:
    """A person who runs the launcher by hand is told what it is for; the status is 70."""
    done = subprocess.run([launcher_path(), *arguments], capture_output=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith(b"airlock: airlock-launch: ")
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1
