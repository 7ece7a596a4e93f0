"""Running a tool and relaying its output, for the reference daemon."""

import codecs
import contextlib
import os
import select
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from typing import Any

from reference_channel import MAX_QUEUED, Channel
from reference_descriptors import count_unread
from reference_messages import Resize, Signal, Stdin, read_message
from reference_requests import Refusal
from reference_stdio import Stdio

_CHUNK = 65_536
_MARK = "AIRLOCK_CONTROL_RUN"
_STREAMS = ("stdout", "stderr")
_MAX_LINE = 4_194_304

Relay = Callable[[str, bytes | str], None]


class ClientGoneError(Exception):
    """The client hung up while its command ran."""


class Run:
    """One run of a tool, with the features that are in use.

    `relay(stream, data)` is called with output as it comes, `grant(count)` when stdin was taken.
    `credit` is how many bytes of stdin the client may send at first.
    """

    stdio_type = Stdio

    def __init__(
        self,
        argv: Sequence[bytes],
        *,
        channel: Channel,
        in_use: frozenset[str],
        tty: Mapping[str, Any] | None,
        environment: Mapping[str, str | bytes],
        relay: Relay,
        grant: Callable[[int], None],
        credit: int,
    ) -> None:
        self._argv = argv
        self._channel = channel
        self._in_use = in_use
        self._relay = relay
        self._grant = grant
        self._outstanding = credit
        self._mark = uuid.uuid4().hex
        self._environment = {**environment, _MARK: self._mark}
        self._stdio = self.stdio_type(
            feeds="stdin" in in_use,
            terminal=tty if "tty" in in_use else None,
            passed=channel if "fds" in in_use else None,
        )
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in _STREAMS
        }
        self._pid = 0

    def complete(self, started: Callable[[], None]) -> int:
        """Run to the end and return the exit status, negative for a signal.

        `started` is called once the tool runs. Raises `OSError` where it cannot be started,
        `ClientGoneError` on a hang-up and `Refusal` for what the client must not send; all that the
        tool started has been ended in every case.
        """
        with tempfile.TemporaryDirectory(prefix="airlock-") as directory, closing(self._stdio):
            process = self._stdio.spawn(
                self._argv, directory=directory, environment=self._environment
            )
            self._pid = process.pid
            try:
                started()
                self._attend(process)
            finally:
                self._end_descendants()
                code = process.wait()
        return code

    def decode(self, stream: str, data: bytes, *, final: bool = False) -> bytes | str:
        """Return output as it is relayed: bytes, or text with a half character held back."""
        if "base64" in self._in_use:
            return data
        return self._decoders[stream].decode(data, final)

    def heed(self, message: Stdin | Signal | Resize) -> None:
        """Do what the client asks for."""
        match message:
            case Stdin(data=data, eof=eof):
                self._outstanding -= len(data)
                if self._outstanding < 0:
                    raise Refusal(-32600, "more stdin than was granted", kind="invalid-request")
                self._stdio.feed(data)
                if eof:
                    self._stdio.end()
            case Signal(name=name):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.Signals[name])
            case Resize(rows=rows, cols=cols):
                self._stdio.resize(rows, cols)

    def read(self, line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
        """Return what a line says."""
        return read_message(line, in_use)

    def end_stdin(self) -> None:
        """Take the end of the client's half for the end of stdin."""
        if self._in_use and self._channel.buffered:
            raise Refusal(-32700, "the line is cut off", kind="parse-error")
        self._stdio.end()

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        exited = os.pidfd_open(process.pid)
        try:
            while not self._attend_once(exited):
                pass
        finally:
            os.close(exited)
        for descriptor, stream in tuple(self._stdio.outputs.items()):
            self._drain(stream, descriptor)
        for stream in _STREAMS:
            self._emit(stream, self.decode(stream, b"", final=True))

    def _attend_once(self, exited: int) -> bool:
        client = self._channel.connection.fileno()
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        poll.register(client, self._client_events())
        writable = self._stdio.waiting
        readable = self._stdio.outputs if self._channel.queued < MAX_QUEUED else {}
        for descriptor in {*readable, writable} - {-1}:
            wanted = select.POLLIN if descriptor in readable else 0
            poll.register(descriptor, wanted | (select.POLLOUT if descriptor == writable else 0))
        ended = False
        for descriptor, events in poll.poll():
            if descriptor == exited:
                ended = True
            elif descriptor == client:
                self._heed_client(events)
            else:
                self._attend_stream(descriptor, events, writable)
        return ended

    def _client_events(self) -> int:
        listening = 0 if self._channel.ended else select.POLLIN
        return listening | (select.POLLOUT if self._channel.queued else 0)

    def _attend_stream(self, descriptor: int, events: int, writable: int) -> None:
        if descriptor == writable and events & (select.POLLOUT | select.POLLERR):
            count = self._stdio.write()
            if count:
                self._outstanding += count
                self._grant(count)
        stream = self._stdio.outputs.get(descriptor)
        if stream is None or not events & (select.POLLIN | select.POLLHUP):
            return
        if not self._relay_once(stream, descriptor):
            self._stdio.forget(descriptor)

    def _relay_once(self, stream: str, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # EIO: no process has the terminal any more
            return False
        self._emit(stream, self.decode(stream, data))
        return bool(data)

    def _drain(self, stream: str, descriptor: int) -> None:
        """Relay what the tool left: of a pipe what is there, of a terminal all to its end."""
        if os.isatty(descriptor):
            self._end_descendants()
            os.set_blocking(descriptor, True)
        while os.isatty(descriptor) or count_unread(descriptor):
            if not self._relay_once(stream, descriptor):
                return

    def _emit(self, stream: str, data: bytes | str) -> None:
        if data:
            self._relay(stream, data)

    def _heed_client(self, events: int) -> None:
        if events & (select.POLLHUP | select.POLLERR):
            raise ClientGoneError
        if events & select.POLLOUT:
            self._channel.flush(blocking=False)
        if events & select.POLLIN:
            # A half-closed client is still there, but has nothing more to say.
            if not self._channel.receive():
                self.end_stdin()
            if self._channel.strays:
                raise Refusal(-32600, "descriptors came late", kind="invalid-request")
            self.heed_lines()

    def heed_lines(self) -> None:
        """Do what the lines say that have come whole."""
        if not self._in_use:
            self._channel.drop_received()
        while (line := self._channel.next_line()) is not None:
            message = self.read(line, self._in_use)
            if message is not None:
                self.heed(message)
        if self._channel.buffered > _MAX_LINE:
            raise Refusal(-32700, "the line is too long", kind="parse-error")

    def _end_descendants(self) -> None:
        """Kill the process group, and every process with this run's mark in its environment."""
        # A process that is just being made, or is becoming another program, shows no mark: it is
        # looked for until two searches in a row found none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        fruitless = 0
        while fruitless < 2:
            fruitless = 0 if self._kill_marked() else fruitless + 1

    def _kill_marked(self) -> bool:
        mark, found = f"{_MARK}={self._mark}".encode(), False
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    is_ours = mark in environment.read().split(b"\0")
                if is_ours:
                    os.kill(int(pid), signal.SIGKILL)
                    found = True
        return found
