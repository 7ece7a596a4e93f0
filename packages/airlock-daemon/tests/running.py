"""A real daemon process, and clients that send it raw JSON."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import elsewhere
import prepared
from worlds import World

Message = dict[str, Any]


def connect_to(path: str | Path) -> socket.socket:
    """A new connection to a socket, with a timeout of half a minute."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30)
    try:
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def repeated(action: Callable[[], object], *, pause: Callable[[], float]) -> Iterator[None]:
    """Call `action` in a thread until the block ends, as another process would that means harm.

    `pause` gives the seconds before each call.
    """
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(pause()):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class Daemon:
    """`airlock start` on a world, ready when the constructor returns."""

    def __init__(
        self,
        world: World,
        *,
        program: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """Start it: forked from a process that has imported it, or executed.

        `program` are Python's options in place of `-m airlock_daemon`, `before` is a command prefix
        that executes it.
        """
        self.world = world
        self.stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        args = ["--config", str(world.config), "start", "--agents", str(world.agents_file)]
        env = {**os.environ, **(environment or {})}
        self.process: prepared.Process | subprocess.Popen[bytes]
        if elsewhere.is_wanted() and not program:
            argv = [*before, elsewhere.find_daemon(), *args]
            self.process = subprocess.Popen(argv, env=env, stderr=self.stderr, cwd=world.root)
        elif not program and not before and prepared.can_fork(env):
            self.process = prepared.Process(
                args, env=env, cwd=world.root, stderr=self.stderr.fileno()
            )
        else:
            argv = [*before, sys.executable, *(program or ("-m", "airlock_daemon")), *args]
            self.process = subprocess.Popen(argv, env=env, stderr=self.stderr, cwd=world.root)
        try:
            self._wait_until_up()
        except BaseException:
            self.kill()
            self.stderr.close()
            raise

    def _wait_until_up(self) -> None:
        # Waiting for its end in between yields the processor to it.
        while True:
            try:
                self.connect().close()
            except (FileNotFoundError, ConnectionRefusedError):
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.002)
                if self.process.returncode is not None:
                    raise AssertionError(f"the daemon ended: {self.messages()}") from None
            else:
                return

    def connect(self) -> socket.socket:
        """A new connection to the agent's socket."""
        return connect_to(self.world.socket)

    def ask(self, command: str, *args: str, **more: Any) -> "Answer":
        """Send one request and read everything until the daemon closes."""
        with self.connect() as connection:
            with suppress(BrokenPipeError):
                connection.sendall(request(command, *args, **more))
            return read_answer(connection)

    def shell(self, script: str, **more: Any) -> "Answer":
        """Run a script with the world's `sh`."""
        return self.ask("sh", "-c", script, **more)

    def messages(self) -> str:
        """The daemon's stderr so far."""
        # Opened anew: the daemon shares the file position of our own descriptor.
        return Path(f"/proc/self/fd/{self.stderr.fileno()}").read_text()

    def records(self, event: str = "exec") -> list[Message]:
        """The audit records of one event."""
        lines = self.world.log.read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` returns true; fails if the daemon ends before."""
        while not holds():
            # Waiting for its end yields the processor to it.
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
            assert self.process.returncode is None, self.messages()

    def wait_for_records(self, count: int, event: str = "exec") -> list[Message]:
        """The audit records of one event, as soon as there are so many."""
        self.wait_until(lambda: len(self.records(event)) >= count)
        return self.records(event)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stop the daemon by SIGSTOP for the length of the block."""
        self.process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self.process.pid}/status")
        self.wait_until(lambda: "State:\tT" in status.read_text())
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Stop it gracefully, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """Kill it by SIGKILL, and wait for its end."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.stderr.close()


class Answer:
    """All messages that a daemon sent for one request."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.last = messages[-1] if messages else {}

    def text(self, stream: str = "stdout") -> str:
        """The output on one stream."""
        outputs = [m["params"] for m in self.messages if m.get("method") == "output"]
        return "".join(o["data"] for o in outputs if o["stream"] == stream)

    @property
    def exit_code(self) -> int:
        """The exit code of a result."""
        code = self.last["result"]["exit_code"]
        assert isinstance(code, int)
        return code

    @property
    def error(self) -> Message:
        """The error of a refusal."""
        error = self.last.get("error")
        assert isinstance(error, dict), f"no refusal: {self.messages}"
        return error


def request(command: str, *args: str, method: str = "exec", **more: Any) -> bytes:
    """One request as a line; `more` are further params, without those that are None."""
    if elsewhere.is_wanted():
        more.setdefault("cwd", os.getcwd())
    given = {name: value for name, value in more.items() if value is not None}
    params = {"command": command, "args": list(args), **given}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"


def read_answer(connection: socket.socket) -> Answer:
    """Read lines until the daemon closes, with a reset if it left something unread."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return Answer([json.loads(line) for line in data.splitlines()])


def read_until(connection: socket.socket, text: str) -> str:
    """Read output until it contains `text`; return all output so far."""
    data = b""
    while True:
        chunk = connection.recv(65536)
        assert chunk, f"closed before {text!r}: {data!r}"
        data += chunk
        lines = data.split(b"\n")[:-1]
        answer = Answer([json.loads(line) for line in lines])
        if text in answer.text():
            return answer.text()


@contextmanager
def watching(pid: int) -> Iterator[Callable[[], bool]]:
    """Watch a process that is no child; yields a function that waits up to 20 s for its end."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        yield lambda: bool(poll.poll(20_000))
    finally:
        os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Whether a process has ended. It may be a zombie, whose new parent is slow to learn of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def resident_kib(pid: int, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1])
