"""Running a tool and relaying its output, for the reference daemon."""

import codecs
import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Sequence

_CHUNK = 65_536
_MARK = "AIRLOCK_CONTROL_RUN"
_STREAMS = ("stdout", "stderr")

Send = Callable[[str, str], None]


class ClientGoneError(Exception):
    """The client hung up while its command ran."""


class Run:
    """One run of a tool. `send(stream, text)` is called with output as it comes."""

    def __init__(self, argv: Sequence[bytes], *, send: Send, client: socket.socket) -> None:
        self._argv = argv
        self._send = send
        self._client = client
        self._mark = uuid.uuid4().hex
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in _STREAMS
        }

    def complete(self) -> int:
        """Run to the end and return the exit status, 128+n for a signal.

        Raises `OSError` where the tool cannot be started and `ClientGoneError` on a hang-up; all
        that the tool started has been ended in every case.
        """
        with tempfile.TemporaryDirectory(prefix="airlock-") as directory:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=directory,
                env={"PATH": os.environ.get("PATH", ""), _MARK: self._mark},
            )
            try:
                self._relay(process)
            finally:
                self._end_descendants()
                code = process.wait()
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()
        return 128 - code if code < 0 else code

    def decode(self, stream: str, data: bytes, *, final: bool = False) -> str:
        """Return the text of some output, a character that is not whole yet held back."""
        return self._decoders[stream].decode(data, final)

    def _relay(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"}
        poll, exited = select.poll(), os.pidfd_open(process.pid)
        client = self._client.fileno()
        for descriptor in (*pipes, exited, client):
            poll.register(descriptor, select.POLLIN)
        try:
            ended = False
            while not ended:
                for descriptor, events in poll.poll():
                    if descriptor == exited:
                        ended = True
                    elif descriptor == client:
                        self._heed_client(poll, events)
                    elif not self._relay_once(pipes[descriptor], descriptor):
                        poll.unregister(descriptor)
            for descriptor, stream in pipes.items():
                os.set_blocking(descriptor, False)
                with contextlib.suppress(BlockingIOError):
                    while self._relay_once(stream, descriptor):
                        pass
                self._emit(stream, self.decode(stream, b"", final=True))
        finally:
            os.close(exited)

    def _relay_once(self, stream: str, descriptor: int) -> bool:
        data = os.read(descriptor, _CHUNK)
        self._emit(stream, self.decode(stream, data))
        return bool(data)

    def _emit(self, stream: str, text: str) -> None:
        if text:
            self._send(stream, text)

    def _heed_client(self, poll: select.poll, events: int) -> None:
        if events & (select.POLLHUP | select.POLLERR):
            raise ClientGoneError
        if not self._client.recv(_CHUNK):  # half-closed: still there, but with nothing more to say
            poll.modify(self._client.fileno(), 0)

    def _end_descendants(self) -> None:
        """Kill every process that has this run's mark in its environment."""
        mark = f"{_MARK}={self._mark}".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    is_ours = mark in environment.read().split(b"\0")
                if is_ours:
                    os.kill(int(pid), signal.SIGKILL)
