"""The launcher as a real process, used as the daemon does."""

import contextlib
import fcntl
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

from airlock_daemon.boundary.command import find_launcher

PACKAGE = Path(__file__).parents[1]

# So that a broken launcher fails a test instead of hanging it.
PATIENCE_S = 60

# As uid or gid of an order: the launcher's own.
SAME = 0xFFFFFFFF

# The longest message that the service accepts.
MESSAGE = 65536


@functools.cache
def launcher_path() -> str:
    """The launcher's path; builds it first if the build tools are installed."""
    if can_build():
        # hatchling creates a folder for the wheel, although the hook alone makes no wheel.
        nothing = ["--hooks-only", "--directory", ".zig-cache/dist"]
        run_hatchling("--target", "wheel", *nothing, folder=PACKAGE)
    return find_launcher()


def can_build() -> bool:
    """Whether this environment has the build backend and the compiler."""
    return all(map(importlib.util.find_spec, ["hatchling", "ziglang"]))


def run_hatchling(*arguments: str, folder: Path, target: str = "") -> None:
    """Build the package in `folder` for a platform (AIRLOCK_TARGET); "" is this machine."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *arguments],
        cwd=folder,
        env={**os.environ, "AIRLOCK_TARGET": target},
        check=True,
    )


class Service:
    """The resident process of the launcher; it ends when the block does."""

    def __init__(
        self,
        *,
        launcher: Sequence[str] = (),
        closed: Sequence[int] = (),
        blocked: Sequence[int] = (),
    ) -> None:
        """Start it.

        `launcher` is the command line of a launcher other than this package's, `closed` are
        standard descriptors and `blocked` signals that are closed or blocked at its start.
        """
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE_S)
        argv = [*(launcher or [launcher_path()]), str(theirs.fileno())]
        os.set_inheritable(theirs.fileno(), True)
        actions: list[tuple[int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_RDWR, 0),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in closed),
        ]
        self.pid = os.posix_spawnp(argv[0], argv, {}, file_actions=actions, setsigmask=blocked)
        theirs.close()

    def __enter__(self) -> Self:
        """Return the running service."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the service; running commands continue."""
        self.close()

    def close(self) -> None:
        """Close the socket and wait for the end."""
        self.socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def order(self, header: bytes, strings: bytes, descriptors: Sequence[int]) -> None:
        """Send an order; strings too long for a message go in a file."""
        if len(header) + len(strings) <= MESSAGE:
            self.send(header + strings, descriptors)
            return
        file = make_file(strings)
        self.send(header, [*descriptors, file])
        os.close(file)

    def send(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Send one message with any descriptors."""
        socket.send_fds(self.socket, [message], descriptors)

    def wait(self) -> int:
        """Wait for the service's end; return its exit status, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def encode_order(
    words: Sequence[bytes],
    environment: Sequence[bytes] = (),
    *,
    nofile: int = 256,
    terminal: int = 0,
    kept: int = 0,
    identity: tuple[int, int] = (SAME, SAME),
) -> tuple[bytes, bytes]:
    """The header and the strings of an order; `words` are the program and the arguments."""
    strings = b"".join(string + b"\0" for string in (*words, *environment))
    counts = (len(words) - 1, len(environment))
    header = struct.pack("<IIQII", *counts, nofile, terminal, len(strings))
    return header + struct.pack("<10I4Q", kept, *identity, SAME, *(0,) * 10), strings


def make_file(content: bytes, *, sealed: bool = True) -> int:
    """Return the descriptor of a memfd with the content."""
    file = os.memfd_create("strings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(file, "wb", closefd=False) as writer:
        writer.write(content)
    if sealed:
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


class Launch:
    """One command with pipes as stdin and stdout; the block's end kills all its processes."""

    def __init__(
        self,
        program: str,
        *arguments: str | bytes,
        directory: str | Path = "/",
        environment: Mapping[bytes, bytes] | Mapping[str, str] | None = None,
        nofile: int = 256,
        terminal: int = 0,
        standard: Sequence[int] = (),
        service: Service | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """Start `program` by its absolute path, which is also its argv[0].

        `standard` are descriptors to use instead of pipes, `terminal` says which are a terminal.
        Without a `service` the command gets its own, with the command line `launcher`.
        """
        self.is_ready = self.left_nothing = False
        self._owns_service = service is None
        self.service = Service(launcher=launcher) if service is None else service
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(PATIENCE_S)
        tool_stdin, self.stdin = os.pipe()
        self.stdout, tool_stdout = os.pipe()
        opened = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        variables = os.environ if environment is None else environment
        header, strings = encode_order(
            [os.fsencode(word) for word in (program, program, *arguments)],
            [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in variables.items()],
            nofile=nofile,
            terminal=terminal,
        )
        self.service.order(
            header, strings, [theirs.fileno(), opened, *(standard or (tool_stdin, tool_stdout, 2))]
        )
        theirs.close()
        for descriptor in (opened, tool_stdin, tool_stdout):
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Return the launch, which was ordered already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the command's remaining processes, and end its own service."""
        with contextlib.suppress(OSError):
            self.order("E", signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.read_reports()
        self.control.close()
        for descriptor in (self.stdin, self.stdout):
            os.close(descriptor)
        if self._owns_service:
            self.service.close()

    def order(self, letter: str, number: int) -> None:
        """Send the supervisor a signal to deliver (`S`) or to end with (`E`)."""
        self.control.send(letter.encode() + bytes([number]))

    def read_report(self) -> tuple[str, int] | None:
        """The supervisor's next message; None once all the command's processes have ended.

        `X` is the tool's end. It sets `left_nothing`, whether that was the last process, and
        `is_ready`, whether the supervisor waits for another order.
        """
        message = b"" if self.is_ready else self.control.recv(64)
        if not message:
            return None
        kind, value = struct.unpack("<cxxxi", message)
        self.is_ready = kind == b"R"
        self.left_nothing = kind in (b"O", b"R")
        return "X" if self.left_nothing else kind.decode(), value

    def read_reports(self) -> list[tuple[str, int]]:
        """All messages until all the command's processes have ended."""
        return list(iter(self.read_report, None))

    def read_output(self) -> bytes:
        """The tool's stdout, to its end."""
        return b"".join(iter(lambda: os.read(self.stdout, 65536), b""))

    def read_line(self) -> bytes:
        """One line of the tool's stdout, without its newline."""
        line = b""
        while (byte := os.read(self.stdout, 1)) != b"\n":
            assert byte, f"the output ends in the middle of a line: {line!r}"
            line += byte
        return line


def shell(script: str, *arguments: str | bytes) -> tuple[str | bytes, ...]:
    """The arguments of a shell that runs `script`."""
    return ("-c", script, "sh", *arguments)


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended by now."""
    return bool(select.select([pidfd], [], [], 0)[0])


def wait_ended(pidfd: int) -> None:
    """Wait until the process has ended."""
    assert select.select([pidfd], [], [], PATIENCE_S)[0], "the process still runs"


# A child in its own session, and one whose parent and grandparent are gone. Each prints its pid
# once it will not change any more.
STRAYS = """
    setsid sh -c 'echo $$; exec sleep 1000' &
    setsid sh -c "(setsid sh -c 'echo \\$\\$; exec sleep 1000' &)"
"""


def open_strays(launch: Launch) -> list[int]:
    """The pidfds of the two strays, once both have started."""
    return [os.pidfd_open(int(launch.read_line())) for _ in range(2)]
