"""The launcher, up to the moment in which the tool runs, and what it reports."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launching import Launch, Service, shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")


@pytest.fixture
def ignored_sigint() -> Iterator[None]:
    """SIGINT is ignored, as in a daemon that a shell started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def read_status(output: bytes) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    fields = (line.split(":", 1) for line in output.decode().splitlines())
    return {name: value.strip() for name, value in fields}


@pytest.mark.parametrize("status", [0, 1, 70, 127, 255])
def test_the_tools_exit_status_is_reported(status: int) -> None:
    """Every exit status comes back, also those that the launcher uses itself."""
    with Launch("/bin/sh", *shell(f"exit {status}")) as launch:
        assert launch.read_reports() == [("X", status << 8)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE])
def test_the_signal_that_ended_the_tool_is_reported(number: int) -> None:
    """A tool that died of a signal is told from one that exited."""
    with Launch("/bin/sh", *shell(f"kill -{number:d} $$")) as launch:
        assert launch.read_reports() == [("X", number)]


def test_a_program_that_cannot_be_executed_is_reported(tmp_path: Path) -> None:
    """The errno of execve(2) comes back, and no exit status."""
    script = tmp_path / "script"
    script.write_text("#!/nowhere/interpreter\n")
    with Launch(str(script)) as launch:
        assert launch.read_reports() == [("F", errno.EACCES)]
    script.chmod(0o755)
    with Launch(str(script)) as launch:
        assert launch.read_reports() == [("F", errno.ENOENT)]
    script.write_text("no program\n")
    with Launch(str(script)) as launch:
        assert launch.read_reports() == [("F", errno.ENOEXEC)]


def test_the_tool_starts_in_the_directory_that_was_passed(tmp_path: Path) -> None:
    """The descriptor decides, wherever the directory has been moved since it was opened."""
    with Launch("/bin/sh", *shell("pwd -P"), directory=tmp_path) as launch:
        assert launch.read_output().decode() == f"{tmp_path}\n"


def test_a_directory_that_cannot_be_entered_is_reported() -> None:
    """A descriptor that is no directory stops the tool before it starts."""
    with Launch("/bin/echo", "x", directory="/dev/null") as launch:
        assert launch.read_reports() == [("D", errno.ENOTDIR)]
        assert launch.read_output() == b""


def test_the_environment_is_exactly_what_was_passed() -> None:
    """Nothing is added, removed, sorted or decoded."""
    environment = {b"Z": b"1", b"A": b"x=y", b"BYTES": b"\xff\xfe", b"EMPTY": b""}
    with Launch("/usr/bin/env", environment=environment) as launch:
        assert launch.read_output() == b"Z=1\nA=x=y\nBYTES=\xff\xfe\nEMPTY=\n"


def test_arguments_are_passed_as_they_are() -> None:
    """Empty words, bytes that are not UTF-8 and newlines reach the tool."""
    words = [b"", b"\xff", b"a b", b"-x\n", b"*"]
    with Launch("/bin/sh", *shell('printf "%s\\0" "$@"', *words)) as launch:
        assert launch.read_output() == b"".join(word + b"\0" for word in words)


def test_arguments_near_the_kernels_limit_are_passed() -> None:
    """They are longer than a message, and come in a file."""
    words = ["x" * 131_000] * 14
    with Launch("/bin/sh", *shell('echo $#; printf %s "$@" | wc -c', *words)) as launch:
        assert launch.read_output().split() == [b"14", str(14 * 131_000).encode()]


def test_arguments_above_the_kernels_limit_are_reported() -> None:
    """It is the kernel's limit, and the kernel's errno."""
    with Launch("/bin/true", "x" * 3_000_000) as launch:
        assert launch.read_reports() == [("F", errno.E2BIG)]
    with Launch("/bin/true", *[""] * 1_000_000) as launch:
        assert launch.read_reports() == [("F", errno.E2BIG)]


def test_the_tool_can_gain_no_privileges(ignored_sigint: None) -> None:
    """no_new_privs is set; no signal is blocked or ignored that the daemon blocks or ignores."""
    blocked = [signal.SIGCHLD, signal.SIGTERM, signal.SIGRTMAX]
    with (
        Service(blocked=blocked) as service,
        Launch("/bin/cat", "/proc/self/status", service=service) as launch,
    ):
        status = read_status(launch.read_output())
    assert status["NoNewPrivs"] == "1"
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) == 0


def test_the_tool_leads_a_session_of_its_own() -> None:
    """Tool, supervisor and service are in different sessions, and none is in the daemon's."""
    script = "trap 'echo got' USR1; echo $PPID; echo $$; while :; do read x; done"
    with Launch("/bin/sh", *shell(script)) as launch:
        # Once it has obeyed an order, the supervisor has done all that it does at first.
        supervisor, tool = int(launch.read_line()), int(launch.read_line())
        launch.order("S", signal.SIGUSR1)
        assert launch.read_line() == b"got"
        assert os.getsid(tool) == os.getpgid(tool) == tool
        assert os.getsid(supervisor) == supervisor
        assert os.getsid(launch.service.pid) == launch.service.pid


def test_the_tool_gets_no_descriptor_but_its_three() -> None:
    """Not even one that the daemon forgot to make close-on-exec."""
    forgotten = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(forgotten, True)
    program = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    with Launch(sys.executable, "-IS", "-c", program) as launch:
        os.close(forgotten)
        # The fourth is the one with which the directory is read.
        assert launch.read_output() == b"[0, 1, 2, 3]\n"


def test_the_soft_limit_of_open_files_is_restored() -> None:
    """The tool gets the limit that it was given; the hard limit and the stack are left alone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    stack = subprocess.check_output(["sh", "-c", "ulimit -Ss; ulimit -Hs"])
    script = "ulimit -Sn; ulimit -Hn; ulimit -Ss; ulimit -Hs"
    with Launch("/bin/sh", *shell(script), nofile=100) as launch:
        assert launch.read_output() == f"100\n{hard}\n".encode() + stack


def test_a_limit_above_the_hard_one_is_reported() -> None:
    """A limit that cannot be had is no reason to run with another one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Launch("/bin/true", nofile=hard + 1) as launch:
        assert launch.read_reports() == [("N", errno.EINVAL)]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal, the tool's second."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.parametrize("descriptors", [{0, 1, 2}, {0}, {1}, {2}])
def test_a_terminal_becomes_the_tools_own(terminal: tuple[int, int], descriptors: set[int]) -> None:
    """By whichever descriptor it has it; what is typed there reaches its foreground group."""
    ours, theirs = terminal
    with open(os.devnull, "r+b") as nothing:
        standard = [theirs if number in descriptors else nothing.fileno() for number in range(3)]
        bits = sum(1 << number for number in descriptors)
        script = shell("echo up >/dev/tty; exec sleep 1000")
        with Launch("/bin/sh", *script, standard=standard, terminal=bits) as launch:
            assert os.read(ours, 100) == b"up\r\n"
            os.write(ours, b"\x03")
            assert launch.read_reports() == [("X", signal.SIGINT)]


def test_a_terminal_is_not_the_tools_own_without_being_named(terminal: tuple[int, int]) -> None:
    """A terminal that a client passed is no controlling terminal: nobody can type a password."""
    script = shell("(echo up >/dev/tty) 2>/dev/null; exit $?")
    with Launch("/bin/sh", *script, standard=[terminal[1]] * 3) as launch:
        [(kind, status)] = launch.read_reports()
        assert (kind, status != 0) == ("X", True)


def test_what_is_no_terminal_cannot_become_one() -> None:
    """The tool does not run without the terminal that it should have."""
    with Launch("/bin/echo", "x", terminal=2) as launch:
        assert launch.read_reports() == [("N", errno.ENOTTY)]
        assert launch.read_output() == b""


@pytest.mark.parametrize("call", ["splice(0, None, 1, None, 1, 0)", "tee(0, 1, 1, 0)"])
def test_no_page_of_a_pipe_is_moved_on_to_the_daemon(call: str) -> None:
    """A client may hold the lock of a page in a fifo, and the daemon reads the tool's stdout."""
    script = "import ctypes, errno, os, sys; libc = ctypes.CDLL(None, use_errno=True)\n"
    script += f"result = libc.{call}; sys.exit(ctypes.get_errno() if result < 0 else 0)"
    with Launch(sys.executable, "-c", script) as launch:
        os.write(launch.stdin, b"x")
        assert launch.read_reports() == [("X", errno.EINVAL << 8)]
        assert launch.read_output() == b""
