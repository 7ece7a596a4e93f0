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

from launching import Launch, launcher_path, shell

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
        assert launch.wait() == 0


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
    """The launcher needs no memory of the size of the arguments."""
    words = ["x" * 131_000] * 14
    with Launch("/bin/sh", *shell('echo $#; printf %s "$@" | wc -c', *words)) as launch:
        assert launch.read_output().split() == [b"14", str(14 * 131_000).encode()]


def test_the_tool_can_gain_no_privileges(ignored_sigint: None) -> None:
    """no_new_privs is set; no signal is blocked or ignored that the daemon blocks or ignores."""
    blocked = [signal.SIGCHLD, signal.SIGTERM, signal.SIGRTMAX]
    with Launch("/bin/cat", "/proc/self/status", blocked=blocked) as launch:
        status = read_status(launch.read_output())
    assert status["NoNewPrivs"] == "1"
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) == 0


def test_the_tool_leads_a_session_of_its_own() -> None:
    """Tool and launcher are in different sessions, and neither is in the daemon's."""
    with Launch("/bin/sh", *shell("echo $$; read x")) as launch:
        tool = int(launch.read_line())
        assert os.getsid(tool) == os.getpgid(tool) == tool
        assert os.getsid(launch.pid) == launch.pid


def test_the_tool_gets_no_descriptor_but_its_three() -> None:
    """Not even one that the daemon forgot to make close-on-exec."""
    forgotten = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(forgotten, True)
    program = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    with Launch(sys.executable, "-IS", "-c", program) as launch:
        os.close(forgotten)
        # The fourth is the one with which the directory is read.
        assert launch.read_output() == b"[0, 1, 2, 3]\n"


def test_closed_standard_descriptors_are_filled(tmp_path: Path) -> None:
    """A tool never finds one of its three free, or its first file would become its stderr."""
    script = 'for i in 0 1 2; do readlink /proc/$$/fd/$i; done >"$1.part"; mv "$1.part" "$1"'
    for closed in [[0], [2], [0, 2], [0, 1, 2]]:
        output = tmp_path / "-".join(map(str, closed))
        with Launch("/bin/sh", *shell(script, str(output)), closed=closed) as launch:
            assert launch.read_reports() == [("X", 0)]
        links = output.read_text().splitlines()
        # The shell's redirection of the loop stands at 1 while it runs.
        assert links[1] == f"{output}.part"
        assert [i for i in (0, 2) if links[i] == "/dev/null"] == [i for i in closed if i != 1]


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root owns these files in any case")
def test_the_launcher_cannot_be_traced_by_the_tool() -> None:
    """It is not dumpable, so that the tool cannot take the control socket from it."""
    with Launch("/bin/sh", *shell("echo started; read x")) as launch:
        launch.read_line()
        # The kernel gives the files of a process that is not dumpable to root.
        assert os.stat(f"/proc/{launch.pid}/environ").st_uid == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], b"too few arguments"),
        (["3", "4", "256", "/bin/true"], b"too few arguments"),
        (["2", "4", "256", "/bin/true", "true"], b"CONTROL_FD must be a number above 2"),
        (["3", "x", "256", "/bin/true", "true"], b"DIR_FD must be a number above 2"),
        (["3", "3", "256", "/bin/true", "true"], b"not CONTROL_FD"),
        (["3", "4", "-1", "/bin/true", "true"], b"NOFILE must be a number"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], words: bytes) -> None:
    """A person who runs the launcher by hand is told what it is for; the status is 70."""
    done = subprocess.run([launcher_path(), *arguments], capture_output=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith(b"airlock: ")
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1
