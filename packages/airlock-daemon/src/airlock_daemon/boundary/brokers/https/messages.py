"""Messages between the daemon, the parent of the workers, and a worker of the HTTPS broker.

Each message is JSON after a HEAD on a pair of stream sockets; a few carry one file descriptor
(SCM_RIGHTS), sent with the first byte of their HEAD. Closing the pair ends the worker.

    daemon -> parent   Fork, with the worker's end of a new pair
    parent -> daemon   the same Fork, once it has that end
    daemon -> parent   Kill, for a worker whose pair the daemon has closed
    daemon -> worker   Settings first, and again after each reload; Connection, with the client's
                       socket; Reachable if a reload changes what a connection may reach; Over
                       for a connection that the daemon has ended; Answer to each Question
    worker -> daemon   Ready or Unready for each Settings; Question for each request, again with
                       its content and the body's file if the answer wants them, and one
                       Finished for each that was granted; Refused, Spliced, Spent; Ended once for
                       each Connection, as the last message about it
"""

import array
import os
import socket
import stat
import struct
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar, cast

import msgspec
import trio

from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import CLOSED_AT_EXEC, is_sealed, make_sealed
from airlock_modules.apis import Api, GraphQlField
from airlock_modules.apis.aws import Call

MAX_BYTES = 160_000
"""Maximum bytes of a message's JSON."""

HEAD = struct.Struct("<I")
"""What precedes a message: the bytes of its JSON, plus CARRIES if a descriptor comes with it."""

CARRIES = 1 << 31

# For the kernel's limit of descriptors per message (SCM_MAX_FD). It closes those without room,
# in the process that receives, which a lingering socket (SO_LINGER) would block.
_ALL_DESCRIPTORS = socket.CMSG_SPACE(253 * array.array("i").itemsize)


class Fork(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Fork a worker for an agent, with a new number. Carries the worker's end of its pair."""

    agent: str
    worker: int


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Kill the worker of this number, unless it has ended."""

    worker: int


class Settings(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's entire knowledge of its agent.

    `network` has HOST:PORT patterns that need no credential; `placeholders` maps each API with a
    credential to its placeholder. `keys` is the path of the CA's private key, `published` the
    directory that the container sees. `variables` come from the daemon's environment: proxies,
    SSL_CERT_FILE, SSL_CERT_DIR, HOME.
    """

    agent: str
    apis: tuple[Api, ...]
    network: tuple[str, ...] = ()
    placeholders: Mapping[str, str] = {}
    keys: str
    published: str
    variables: Mapping[str, str] = {}


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A connection of the agent, with its descriptor. Its number is never reused.

    It may reach the destinations of `network` in addition to those of `Settings`.
    """

    number: int
    network: tuple[str, ...] = ()


class Reachable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Replaces a connection's `network`."""

    connection: int
    network: tuple[str, ...]


class Over(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The daemon has ended a connection, and answers no more questions about it."""

    connection: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Why a request is refused. The worker phrases it as an answer of the service."""

    message: str
    hint: str = ""
    rule: str = ""
    status: int = 403


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to a question: a refusal, or the credential if the question needs it.

    With `wants_content` it has neither: a person has to see the whole request, so that it must be
    asked again, as a new question with its content. `version` names the credential in `Spent`. A
    `certificate` includes its key, in PEM, for client authentication in TLS; `secret` is "" if that
    is the whole credential.
    """

    question: int
    refusal: Refusal | None = None
    wants_content: bool = False
    secret: str | None = None
    certificate: str = ""
    version: int = 0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The CA's files are published for the latest settings. SHA-256 of its public key."""

    fingerprint: str


class Unready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The latest settings cannot be served, for this reason."""

    message: str
    hint: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a request sends besides method and path; with the placeholder, not the credential.

    `port` is that of the host. Its body comes in a sealed file with the message.
    """

    port: int
    query: str
    headers: tuple[tuple[str, str], ...]


class Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asks whether a request is allowed. `query_names` omit the values.

    `fingerprint` is that of the API for which the connection to `host` was opened. `needs_secret`:
    the request has the placeholder, so the answer must have the credential. `content` is set if an
    answer wanted it.
    """

    question: int
    connection: int
    api: str
    fingerprint: str
    host: str
    method: str
    path: str
    query_names: tuple[str, ...] = ()
    graphql: tuple[GraphQlField, ...] | None = None
    upgrade: str | None = None
    has_form: bool = False
    aws: Call | None = None
    content: Content | None = None
    needs_secret: bool


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A granted request has ended. `status` is 0 if the tool got no answer.

    `sent` and `received` count bytes of bodies; `fault` is why it was cut short. `dropped` names
    headers that were not forwarded.
    """

    question: int
    status: int
    sent: int
    received: int
    duration_ms: int
    fault: str | None = None
    dropped: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker refused a request without asking."""

    connection: int
    host: str
    port: int
    method: str = ""
    path: str = ""
    rule: str
    reason: str


class Spliced(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A spliced connection to a host of `network` has ended."""

    connection: int
    host: str
    port: int
    sent: int
    received: int


class Spent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The service answered 401 to this version of the API's credential."""

    api: str
    version: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A connection is closed."""

    connection: int


ToParent = Fork | Kill
ToWorker = Settings | Connection | Reachable | Over | Answer
ToDaemon = Ready | Unready | Question | Finished | Refused | Spliced | Spent | Ended

In = TypeVar("In")
Out = TypeVar("Out", bound=msgspec.Struct)


class Channel(Generic[In, Out]):
    """One end of a pair. It owns the socket; one task may receive while any number send."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        receives: object,
        close_all: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        """Take a stream socket; `receives` is the union of the messages that come.

        `close_all` closes what an untrusted other end has sent, which may take forever.
        """
        connection.setblocking(False)
        self._close_all = close_all or _close_now
        self._raw = connection
        self._socket = trio.socket.from_stdlib_socket(connection)
        self._encoder = msgspec.json.Encoder()
        self._decoder = cast("msgspec.json.Decoder[In]", msgspec.json.Decoder(receives))
        # What has come and is not decoded yet is between `begin` and `end`.
        self._room = memoryview(bytearray(HEAD.size + MAX_BYTES))
        self._begin = self._end = 0
        self._descriptors = deque[int]()
        self._turn = trio.Lock()
        # The rest of a message that is sent in part: it goes before all others.
        self._rest = b""
        # Those that `send_now` has begun, for `send`.
        self._begun: list[Out] = []

    async def send(self, message: Out, descriptor: int | None = None) -> None:
        """Send a message, and a descriptor that stays the caller's.

        Raises Failed for one that is too long, and BrokenResourceError if either end is closed.
        """
        data = self._encode(message, carries=descriptor is not None)
        rights = [] if descriptor is None else [_pass(descriptor)]
        is_begun = any(each is message for each in self._begun)
        self._begun = [each for each in self._begun if each is not message]
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            if not is_begun and self._is_free:
                is_begun = self._send_some(data, rights)
                if is_begun and not self._rest:
                    return
            async with self._turn:
                await self._send_rest()
                while not is_begun and not self._send_some(data, rights):
                    await trio.lowlevel.wait_writable(self._raw)
                await self._send_rest()
        except (OSError, trio.ClosedResourceError) as error:
            raise trio.BrokenResourceError from error

    def send_now(self, message: Out) -> bool:
        """Send a message unless that would block; False if `send` has to do it, or its rest."""
        try:
            data = self._encode(message, carries=False)
            if not self._is_free or not self._send_some(data, []):
                return False
        except (Failed, OSError):
            return False
        if self._rest:
            self._begun.append(message)
        return not self._rest

    def _encode(self, message: Out, *, carries: bool) -> bytes:
        data = self._encoder.encode(message)
        if len(data) > MAX_BYTES:
            raise Failed(
                f"a message of the HTTPS broker has {len(data)} bytes, of at most {MAX_BYTES}",
                hint="grant this agent fewer APIs, or write shorter lists of rules",
            )
        return HEAD.pack(len(data) | CARRIES if carries else len(data)) + data

    @property
    def _is_free(self) -> bool:
        """Whether no other message waits."""
        return not (self._rest or self._turn.locked())

    def _send_some(self, data: bytes, rights: list[tuple[int, int, bytes]]) -> bool:
        """Begin a message, most often the whole; False if that would block."""
        try:
            sent = self._raw.sendmsg([data], rights)
        except BlockingIOError:
            return False
        self._rest = data[sent:]
        return True

    async def _send_rest(self) -> None:
        """Complete the message that is begun. If cancelled, the next one to send goes on."""
        while self._rest:
            try:
                self._rest = self._rest[self._raw.send(self._rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._raw)

    async def receive(self) -> tuple[In, int | None] | None:
        """The next message, and the descriptor that it carries, which becomes the caller's.

        None if either end is closed. Raises msgspec.MsgspecError for a malformed message.
        """
        while (found := self._find_message()) is None:
            if self._begin:
                left = self._end - self._begin
                self._room[:left] = self._room[self._begin : self._end]
                self._begin, self._end = 0, left
            try:
                size, ancillary, flags, _ = await self._socket.recvmsg_into(
                    [self._room[self._end :]], _ALL_DESCRIPTORS, CLOSED_AT_EXEC
                )
            except (OSError, trio.ClosedResourceError):
                return None
            come = _list_descriptors(ancillary)
            self._descriptors += come
            # That of a message that has not come in whole, and one that came with its rest.
            if len(come) > 1 or len(self._descriptors) > 2:
                raise msgspec.DecodeError("more descriptors come than messages")
            if flags & socket.MSG_CTRUNC:
                raise msgspec.DecodeError("a descriptor is lost: the table is full")
            if size == 0:
                return None
            self._end += size
        data, carries = found
        descriptor = None
        if carries:
            if not self._descriptors:
                raise msgspec.DecodeError("a message comes without its descriptor")
            descriptor = self._descriptors.popleft()
        try:
            return decode_message(self._decoder, data), descriptor
        except BaseException:
            if descriptor is not None:
                self._close_all((descriptor,))
            raise

    def _find_message(self) -> tuple[memoryview, bool] | None:
        """The JSON that has come in whole, and whether it carries a descriptor."""
        begin = self._begin + HEAD.size
        if self._end < begin:
            return None
        (head,) = HEAD.unpack_from(self._room, self._begin)
        size = head & ~CARRIES
        if size > MAX_BYTES:
            raise msgspec.DecodeError(f"a message has {size} bytes, of at most {MAX_BYTES}")
        end = begin + size
        if self._end < end:
            return None
        self._begin = end
        if end == self._end:
            self._begin = self._end = 0
        return self._room[begin:end], bool(head & CARRIES)

    def close(self) -> None:
        """Close this end, which ends the other one's `receive`."""
        if self._raw.fileno() < 0:
            return
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)
        trio.lowlevel.notify_closing(self._raw)
        # Descriptors that nobody has received are closed with the socket.
        self._close_all((*self._descriptors, self._raw.detach()))
        self._descriptors.clear()


def decode_message(decoder: "msgspec.json.Decoder[In]", data: bytes | memoryview) -> In:
    """Decode a message. Raises msgspec.MsgspecError, also for text that is not UTF-8."""
    try:
        return decoder.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def receive_message(connection: socket.socket) -> tuple[bytes, int | None] | None:
    """As `Channel.receive`, undecoded, on a blocking socket without an event loop."""
    head, ancillary, _, _ = connection.recvmsg(HEAD.size, _ALL_DESCRIPTORS, CLOSED_AT_EXEC)
    descriptor = next(iter(_list_descriptors(ancillary)), None)
    size = HEAD.unpack(head)[0] & ~CARRIES if len(head) == HEAD.size else 0
    data = connection.recv(size, socket.MSG_WAITALL) if size else b""
    return (data, descriptor) if data else None


def answer_message(connection: socket.socket, data: bytes) -> None:
    """Send a message as it is encoded, and no descriptor; the other end may be closed."""
    with suppress(OSError):
        connection.sendall(HEAD.pack(len(data)) + data)


MAX_BODY = 1 << 20
"""The most bytes of a body that a person can be shown."""


def seal_body(body: bytes) -> int:
    """A file with these bytes; the caller closes it.

    On Linux it is in memory, and nobody can change it. Elsewhere nobody can open it.
    """
    if sys.platform == "linux":
        return make_sealed("body", body)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(body)
        return os.dup(file.fileno())


def read_sealed(file: int) -> bytes:
    """The bytes of `seal_body`. Raises OSError and ValueError for any other file.

    On Linux such a file is in memory, so that reading it cannot block.
    """
    if sys.platform == "linux" and not is_sealed(file):
        raise ValueError("it is not sealed")
    status = os.fstat(file)
    if sys.platform != "linux" and (not stat.S_ISREG(status.st_mode) or status.st_nlink):
        raise ValueError("others can open it")
    if status.st_size > MAX_BODY:
        raise ValueError(f"it has {status.st_size} bytes, of at most {MAX_BODY}")
    return os.pread(file, status.st_size, 0)


def _pass(descriptor: int) -> tuple[int, int, bytes]:
    return (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]).tobytes())


def _list_descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in recvmsg(2)'s ancillary data."""
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    if not CLOSED_AT_EXEC:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    return descriptors.tolist()


def _close_now(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
