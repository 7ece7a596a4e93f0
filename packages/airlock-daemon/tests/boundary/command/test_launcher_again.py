"""Supervisors that run one command after the other."""

import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trio

from airlock_daemon.boundary.command.launcher import (
    IDLE,
    MESSAGE,
    CommandLine,
    Ended,
    NativeLauncher,
)
from launching import Launch, Service, encode_order, launcher_path, make_file, shell, wait_ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")

PARENT = shell("echo $PPID")


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that runs."""
    with Service() as service:
        yield service


def order_again(launch: Launch, header: bytes, strings: bytes, *, file: int | None = None) -> bytes:
    """Send a second order over the control socket of a command that has ended; its output."""
    reading, writing = os.pipe()
    directory = os.open("/", os.O_RDONLY)
    descriptors = [directory, writing, writing, writing]
    launch.is_ready = False
    message = header if file is not None else header + strings
    socket.send_fds(
        launch.control, [message], descriptors if file is None else [*descriptors, file]
    )
    for descriptor in (directory, writing):
        os.close(descriptor)
    with open(reading, "rb") as reader:
        return reader.read()


def test_a_supervisor_takes_another_order(service: Service) -> None:
    """Where nothing is left of its command; the descriptors of the first are gone by then."""
    with Launch("/bin/sh", *PARENT, service=service) as launch:
        supervisor = launch.read_line()
        assert launch.read_report() == ("X", 0)
        words = [b"/bin/sh", b"sh", b"-c", b'echo $PPID $A; ls -l "/proc/$PPID/fd" 2>&1; exit 4']
        output = order_again(launch, *encode_order(words, [b"A=1"]))
        assert output.splitlines()[0] == supervisor + b" 1"
        assert launch.read_report() == ("X", 4 << 8)
        assert launch.read_output() == b""


def test_what_was_said_of_the_command_before_is_not_heard(service: Service) -> None:
    """A signal or an end that comes too late for one does nothing to the next."""
    with Launch("/bin/sh", *PARENT, service=service) as launch:
        assert launch.read_report() == ("X", 0)
        for letter in ("S", "E"):
            launch.order(letter, signal.SIGTERM)
        order_again(launch, *encode_order([b"/bin/sh", b"sh", b"-c", b"exit 5"]))
        assert launch.read_report() == ("X", 5 << 8)


def test_another_order_that_is_malformed_is_refused(service: Service) -> None:
    """It is told, and the supervisor ends, since its daemon speaks another language."""
    header, strings = encode_order([b"/bin/echo", b"echo", b"x"])
    for broken in (strings[:-1], strings + b"\0"):
        with Launch("/bin/true", service=service) as launch:
            assert launch.read_report() == ("X", 0)
            assert order_again(launch, header, broken) == b""
            assert launch.read_reports() == [("N", errno.EINVAL)]


def test_a_supervisor_with_something_left_to_end_takes_no_other(service: Service) -> None:
    """It is gone when that is."""
    script = "setsid sleep 1000 & read x"
    with Launch("/bin/sh", *shell(script), service=service) as launch:
        os.write(launch.stdin, b"\n")
        assert launch.read_reports() == [("X", 0)]
        assert not launch.left_nothing


def test_long_strings_are_not_kept(service: Service) -> None:
    """The memory that they took goes with the supervisor."""
    header, strings = encode_order([b"/bin/echo", b"echo", b"x"])
    with Launch("/bin/true", service=service) as launch:
        assert launch.read_report() == ("X", 0)
        file = make_file(strings)
        assert order_again(launch, header, strings, file=file) == b"x\n"
        os.close(file)
        assert launch.read_reports() == [("X", 0)]
        assert launch.left_nothing


@contextmanager
def run_launcher() -> Iterator[NativeLauncher]:
    """The daemon's side of a launcher."""
    with closing(NativeLauncher(launcher_path(), nofile=256)) as launcher:
        yield launcher


async def run(launcher: NativeLauncher, script: str, *arguments: str) -> tuple[Ended, str]:
    """Run a shell, and return how it ended and what it printed."""
    reading, writing = os.pipe()
    directory = os.open("/", os.O_PATH | os.O_DIRECTORY)
    argv = tuple(os.fsdecode(word) for word in ("sh", *shell(script, *arguments)))
    line = CommandLine(program="/bin/sh", argv=argv, environment={}, directory=directory)
    launch = await launcher.launch(line, (writing, writing, writing))
    for descriptor in (directory, writing):
        os.close(descriptor)
    while (report := launch.read_report()) is None:
        await trio.lowlevel.wait_readable(launch.control)
    await launch.wait_gone()
    launch.close()
    assert isinstance(report, Ended)
    return report, await trio.to_thread.run_sync(_read_all, reading)


def _read_all(descriptor: int) -> str:
    with open(descriptor) as reader:
        return reader.read()


async def test_commands_in_turn_have_one_supervisor() -> None:
    """The launcher makes another one where all that there are have something to do."""
    with run_launcher() as launcher:
        ((_, first), (_, second)) = [await run(launcher, "echo $PPID") for _ in range(2)]
        assert first == second
        found: list[str] = []

        async def run_slowly() -> None:
            found.append((await run(launcher, "sleep 0.2; echo $PPID"))[1])

        async with trio.open_nursery() as nursery:
            for _ in range(IDLE + 2):
                nursery.start_soon(run_slowly)
        assert len(set(found)) == IDLE + 2
        # So many are kept.
        again = {(await run(launcher, "echo $PPID"))[1] for _ in range(IDLE)}
        assert again < set(found)


async def test_a_supervisor_that_was_killed_is_replaced() -> None:
    """A tool can kill one that waits; no command is lost by that."""
    with run_launcher() as launcher:
        pid = int((await run(launcher, "echo $PPID"))[1])
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        wait_ended(pidfd)
        os.close(pidfd)
        ended, output = await run(launcher, "echo $PPID; exit 3")
        assert ended == Ended(3, None)
        assert int(output) != pid


async def test_supervisors_that_wait_end_with_the_launcher() -> None:
    """When the daemon has no more commands there is nothing left of it."""
    with run_launcher() as launcher:
        pidfd = os.pidfd_open(int((await run(launcher, "echo $PPID"))[1]))
    wait_ended(pidfd)
    os.close(pidfd)


async def test_a_long_command_leaves_the_next_ones_unharmed() -> None:
    """Its supervisor goes, and is not missed."""
    with run_launcher() as launcher:
        for _ in range(2):
            _, output = await run(launcher, "echo ${#1}", "x" * MESSAGE)
            assert output == f"{MESSAGE}\n"
            assert (await run(launcher, "exit 6"))[0] == Ended(6, None)


async def test_a_command_that_was_ended_leaves_its_supervisor() -> None:
    """As one that ended by itself; to wait for what was told to end takes no time then."""
    with run_launcher() as launcher:
        reading, writing = os.pipe()
        directory = os.open("/", os.O_PATH | os.O_DIRECTORY)
        argv = ("sh", "-c", "echo $PPID; exec sleep 600")
        line = CommandLine("/bin/sh", argv, {}, directory)
        launch = await launcher.launch(line, (writing,) * 3)
        for descriptor in (directory, writing):
            os.close(descriptor)
        supervisor = await trio.to_thread.run_sync(os.read, reading, 64)
        os.close(reading)
        launch.end(signal.SIGKILL)
        await launch.wait_gone()
        launch.close()
        assert (await run(launcher, "echo $PPID"))[1] == supervisor.decode()


async def test_a_signal_that_comes_late_reaches_no_other_command() -> None:
    """What is said to a command that has ended is not said to the next one of its supervisor."""
    with run_launcher() as launcher:
        directory, null = os.open("/", os.O_PATH | os.O_DIRECTORY), os.open(os.devnull, os.O_RDWR)
        first, second = (
            CommandLine("/bin/sh", ("sh", "-c", script), {}, directory)
            for script in ("exit 0", "sleep 0.2; exit 4")
        )
        ended = await launcher.launch(first, (null,) * 3)
        await ended.wait_gone()
        ended.close()
        launch = await launcher.launch(second, (null,) * 3)
        assert launch.control is ended.control
        ended.signal(signal.SIGTERM)
        while (report := launch.read_report()) is None:
            await trio.lowlevel.wait_readable(launch.control)
        assert report == Ended(4, None)
        await launch.wait_gone()
        launch.close()
        for descriptor in (directory, null):
            os.close(descriptor)
