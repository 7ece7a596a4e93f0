"""The launcher as a real process, spoken to as the daemon does."""

import functools
import importlib.util
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from airlock_daemon.launcher import find_launcher

PACKAGE = Path(__file__).parents[1]

# Only there so that a broken launcher fails a test instead of hanging it.
PATIENCE_S = 60


@functools.cache
def launcher_path() -> str:
    """Where the launcher is; built from the sources first if the build tools are installed."""
    if can_build():
        # hatchling makes a folder for the wheel, though the hook alone makes none.
        nothing = ["--hooks-only", "--directory", ".zig-cache/dist"]
        run_hatchling("--target", "wheel", *nothing, folder=PACKAGE)
    return find_launcher()


def can_build() -> bool:
    """Whether this environment has the build backend and the compiler."""
    return all(map(importlib.util.find_spec, ["hatchling", "ziglang"]))


def run_hatchling(*arguments: str, folder: Path, target: str = "") -> None:
    """Build the package in `folder`, for a platform as in AIRLOCK_TARGET; "" is this machine."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *arguments],
        cwd=folder,
        env={**os.environ, "AIRLOCK_TARGET": target},
        check=True,
    )


class Launch:
    """One launcher with pipes at the tool's stdin and stdout; killed when the block ends."""

    def __init__(
        self,
        program: str,
        *arguments: str | bytes,
        directory: str | Path = "/",
        environment: Mapping[bytes, bytes] | Mapping[str, str] | None = None,
        nofile: int = 256,
        launcher: Sequence[str] = (),
        closed: Sequence[int] = (),
        blocked: Sequence[int] = (),
    ) -> None:
        """Start `program` by its absolute path; its ARGV0 is the same.

        `launcher` is the command line of another launcher than this package's own, `closed`
        standard descriptors that it finds closed, `blocked` signals that it finds blocked.
        """
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(PATIENCE_S)
        tool_stdin, self.stdin = os.pipe()
        self.stdout, tool_stdout = os.pipe()
        opened = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        passed = [theirs.fileno(), opened]
        for descriptor in passed:
            os.set_inheritable(descriptor, True)
        argv = [*(launcher or [launcher_path()]), *map(str, passed), str(nofile)]
        actions: list[tuple[int, int] | tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, tool_stdin, 0),
            (os.POSIX_SPAWN_DUP2, tool_stdout, 1),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in closed),
        ]
        self.pid = os.posix_spawnp(
            argv[0],
            [*argv, program, program, *arguments],
            os.environ if environment is None else environment,
            file_actions=actions,
            setsigmask=blocked,
        )
        theirs.close()
        for descriptor in (opened, tool_stdin, tool_stdout):
            os.close(descriptor)
        self._pidfd = os.pidfd_open(self.pid)

    def __enter__(self) -> Self:
        """The launcher runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the launcher, and with it the tool, if it has not ended yet."""
        if not has_ended(self._pidfd):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.control.close()
        for descriptor in (self._pidfd, self.stdin, self.stdout):
            os.close(descriptor)

    def order(self, letter: str, number: int) -> None:
        """Send the launcher a signal to deliver (`S`) or to end with (`E`)."""
        self.control.send(letter.encode() + bytes([number]))

    def read_report(self) -> tuple[str, int] | None:
        """The launcher's next message; None once it has ended."""
        message = self.control.recv(64)
        if not message:
            return None
        kind, value = struct.unpack("<cxxxi", message)
        return kind.decode(), value

    def read_reports(self) -> list[tuple[str, int]]:
        """All messages until the launcher has ended."""
        return list(iter(self.read_report, None))

    def read_output(self) -> bytes:
        """The tool's stdout until nobody holds it open any more."""
        return b"".join(iter(lambda: os.read(self.stdout, 65536), b""))

    def read_line(self) -> bytes:
        """One line of the tool's stdout, without its newline."""
        line = b""
        while (byte := os.read(self.stdout, 1)) != b"\n":
            assert byte, f"the output ends in the middle of a line: {line!r}"
            line += byte
        return line

    def wait(self) -> int:
        """Wait for the launcher's own end; its exit status, negative for a signal."""
        wait_ended(self._pidfd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def shell(script: str, *arguments: str | bytes) -> tuple[str | bytes, ...]:
    """The arguments after the program for a shell that runs `script`."""
    return ("-c", script, "sh", *arguments)


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended by now."""
    return bool(select.select([pidfd], [], [], 0)[0])


def wait_ended(pidfd: int) -> None:
    """Wait until the process has ended."""
    assert select.select([pidfd], [], [], PATIENCE_S)[0], "the process still runs"
