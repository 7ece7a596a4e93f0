"""What a broker is given: the agent, programs of the host that run for it, its client's streams."""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
import trio

from airlock_daemon.boundary.command import PIECE, Command, CommandLine, Emit, Launcher, Piped
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, Closer
from airlock_daemon.boundary.fairness import Gate, TurnQueue
from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import enlarge_pipe
from airlock_daemon.setup.generation import Generation
from airlock_modules import RemoteError
from airlock_wire import Resize, Signal, StdinData, StdinEnd, Stream

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest

ANSWER_S = 10.0
# Limit of the output's bytes; the rest is dropped.
MAX_OUTPUT = 1 << 20


async def run_program(
    line: CommandLine,
    launcher: Launcher,
    turns: TurnQueue,
    *,
    said: bytes = b"",
    seconds: float = ANSWER_S,
) -> tuple[int, bytes]:
    """Run `line` with `said` as its stdin; returns its exit status and stdout.

    Raises Failed if it cannot be started or does not end in time. In any case none of its processes
    is left.
    """
    answer = bytearray()

    async def keep(stream: Stream, data: bytes) -> None:
        if stream == "stdout":
            answer.extend(data[: MAX_OUTPUT - len(answer)])

    with closing(Piped(has_input=bool(said))) as stdio:
        launch = await launcher.launch(line, stdio.standard)
        command = Command(launch, stdio, turns, ahead=0, credit=0)
        if said:
            command.handle(StdinData(data=said))
            command.handle(StdinEnd())
        try:
            with trio.move_on_after(seconds):
                ended = await command.relay(keep, _grant_none)
                return ended.exit_code, bytes(answer)
        finally:
            await command.finish()
    raise Failed(
        f"{line.program} did not answer in {seconds:g} s",
        hint=f"a person on the host can run it there as the user of the daemon: {line.argv[0]}",
    )


async def _grant_none(count: int) -> None:
    """Grant nothing: all input was sent at the start."""


class ServedAgent(Protocol):
    """An agent: its current generation, and its shares of the daemon."""

    generation: Generation
    gate: Gate
    turns: TurnQueue
    lookups: trio.CapacityLimiter

    async def run_program(
        self, line: CommandLine, *, said: bytes = b"", seconds: float = ANSWER_S
    ) -> tuple[int, bytes]:
        """Run a program of the host; returns its exit status and output."""


Approve = Callable[["ApprovalRequest", Emit], Awaitable[None]]
"""Waits for a person's approval where a profile requires one. Raises Denied.

The client is told on stderr what it waits for.
"""


class Requester(msgspec.Struct, frozen=True, kw_only=True):
    """One request of `agent` to a broker, admitted by `generation`.

    Programs of the host run for it in `directory`, open and empty, with `variables`.
    """

    agent: ServedAgent
    generation: Generation
    directory: int
    variables: Mapping[str, str]
    approve: Approve

    @property
    def has_approvals(self) -> bool:
        """Whether a person may have to approve what the agent does."""
        return any(
            each.agent.profile.approve is not None for each in (self.generation, self.current)
        )

    def requires_approval(self, forms: Iterable[Sequence[str]]) -> bool:
        """Whether a person has to approve an operation that may amount to one of `forms`."""
        listed, generations = tuple(forms), (self.generation, self.current)
        return any(each.agent.profile.find_approval(listed) is not None for each in generations)

    def may_require_approval(self, beginnings: Iterable[Sequence[str]]) -> bool:
        """Whether a person may have to approve an operation that begins like one of these."""
        listed = tuple(beginnings)
        rules = [each.agent.profile.approve for each in (self.generation, self.current)]
        return any(each is not None and each.may_find(listed) for each in rules)

    @property
    def current(self) -> Generation:
        """The current generation: it may grant less than that of the request."""
        return self.agent.generation

    @property
    def turns(self) -> TurnQueue:
        """The agent's turns."""
        return self.agent.turns

    @property
    def gate(self) -> Gate:
        """Limits the bytes buffered for the agent's clients."""
        return self.agent.gate

    @property
    def lookups(self) -> trio.CapacityLimiter:
        """Limits the threads for name lookups."""
        return self.agent.lookups

    @property
    def home(self) -> str:
        """The home of the daemon's user."""
        return self.variables.get("HOME", "/")

    async def run_program(
        self,
        program: str,
        argv: tuple[str, ...],
        /,
        *,
        said: bytes = b"",
        more: Mapping[str, str] = {},
        seconds: float = ANSWER_S,
    ) -> tuple[int, bytes]:
        """Run a program of the host; returns its exit status and output.

        `said` is its stdin, `more` adds variables, `seconds` bounds its time. Raises Denied if too
        many programs of the agent wait, Failed if it does not answer.
        """
        line = CommandLine(program, argv, {**self.variables, **more}, self.directory)
        return await self.agent.run_program(line, said=said, seconds=seconds)


class BufferedBytes:
    """Counts the bytes buffered for a client; its owner must `release` it."""

    def __init__(self, gate: Gate) -> None:
        """`gate` is the agent's, which limits the total of all its buffers."""
        self._gate = gate
        self._count = 0

    def add(self, count: int) -> None:
        """Reserve `count` more bytes. Raises RemoteError if the agent exceeds its limit."""
        if not self._gate.reserve(count):
            raise RemoteError("too much of this agent's requests is under way", rule="size")
        self._count += count

    def release(self) -> None:
        """Release all reserved bytes."""
        self._gate.release(self._count)
        self._count = 0


# No call on a client's pipe blocks the event loop: a reader or writer of the pipe may hold its lock
# forever, so splice(2) moves the bytes through the daemon's own pipes in a thread. It moves pages,
# whose lock a client may hold too, so they are also copied there, and go no further.

WIDTH = 1 << 18
"""Requested pipe capacity in bytes; one step of the event loop moves as many."""
# Bytes dropped in one step.
_DROPPED = 1 << 20

T = TypeVar("T")


class OwnPipe:
    """A pipe between the daemon and a client's; `by` splices. The caller owns both ends.

    Writes do not block: a pipe holds as little as two pages if its user has many (pipe(7)).
    """

    def __init__(self, reading: int, writing: int, *, by: Closer) -> None:
        self.reading, self.writing = reading, writing
        self._by = by
        os.set_blocking(writing, False)
        enlarge_pipe(writing, WIDTH)

    async def read(self, client: int, turns: TurnQueue) -> bytes:
        """Read at most WIDTH bytes from the client's pipe, b"" at its end. Raises OSError."""
        own = self.reading, self.writing
        return await _when_readable(client, turns, partial(self._by.read, client, own, WIDTH))

    async def write(self, client: int, data: bytes, turns: TurnQueue) -> None:
        """Write all of `data` to the client's pipe; data that fits takes no turn of its own.

        Raises OSError if the pipe is closed.
        """
        view = memoryview(data)
        while view:
            # The pipe is empty here, so this writes at least one byte.
            left = os.write(self.writing, view[:WIDTH])
            view = view[left:]
            while left:
                try:
                    left -= await self._by.splice(self.reading, client, left)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(client)
                    await turns.take()


async def drop(client: int, null: int, turns: TurnQueue, *, by: Closer) -> None:
    """Discard the bytes of a client's pipe up to EOF. `null` is open /dev/null. Raises OSError."""
    while await _when_readable(client, turns, partial(by.splice, client, null, _DROPPED)):
        pass


async def _when_readable(pipe: int, turns: TurnQueue, act: Callable[[], Awaitable[T]]) -> T:
    while True:
        await trio.lowlevel.wait_readable(pipe)
        await turns.take()
        # Another process may have read it.
        with suppress(BlockingIOError):
            return await act()


@contextmanager
def of_its_stdin() -> Iterator[None]:
    """Raise an OSError of the client's stdin as RemoteError: the fault is the client's."""
    try:
        yield
    except OSError as error:
        problem = f"what it passed as its stdin cannot be read: {error.strerror}"
        raise RemoteError(problem, rule="stdin") from error


class Streams(Protocol):
    """A pair of streams; each may wait independently. The owner must `close` them.

    `bytes_read` counts the bytes read from the client, None if that is unknown.
    """

    @property
    def bytes_read(self) -> int | None:
        """The number of bytes that were read."""

    async def read(self) -> bytes:
        """Read the client's next bytes, b"" at EOF. Raises RemoteError."""

    async def write(self, data: bytes) -> None:
        """Write to the client's stdout. Raises OSError if it is closed."""

    async def drop(self) -> None:
        """Discard the client's input up to EOF. Raises RemoteError."""

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """Take a message of the client, without waiting."""

    def close(self) -> None:
        """Close what was opened."""


class ClientStreams:
    """Pipes that the client passed; their bytes bypass its connection."""

    def __init__(self, passed: ClientDescriptors, turns: TurnQueue, *, null: int) -> None:
        """Take them over. `null` is open /dev/null. Raises OSError if no descriptors are left."""
        self._turns = turns
        self._null = null
        self._closer = passed.closer
        self._open: list[int] = []
        self.bytes_read = None
        try:
            self._client, self._answers = (
                self._keep(os.dup(number)) for number in passed.numbers[:2]
            )
            # Large pipes let one splice move more.
            for each in (self._client, self._answers):
                self._closer.enlarge_pipe(each, WIDTH)
            # One per direction: both may fill at the same time.
            self._in, self._out = (
                OwnPipe(*map(self._keep, os.pipe()), by=self._closer) for _ in range(2)
            )
        except BaseException:
            self.close()
            raise
        passed.close(is_usable=True)

    def _keep(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    async def read(self) -> bytes:
        """As `Streams.read`."""
        with of_its_stdin():
            return await self._in.read(self._client, self._turns)

    async def write(self, data: bytes) -> None:
        """As `Streams.write`."""
        await self._out.write(self._answers, data, self._turns)

    async def drop(self) -> None:
        """As `Streams.drop`."""
        with of_its_stdin():
            await drop(self._client, self._null, self._turns, by=self._closer)

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """Ignored: no stream data arrives in messages."""

    def close(self) -> None:
        """Close the copies of the client's pipes; the client sees EOF."""
        # A cancelled move may hold the locks of the daemon's pipes too.
        self._closer.close(self._open, is_usual=True)
        self._open.clear()


class SentStreams:
    """Streams in messages: the client sends stdin within its credit, and receives stdout."""

    def __init__(
        self, emit: Emit, grant: Callable[[int], Awaitable[None]], turns: TurnQueue, *, credit: int
    ) -> None:
        """`credit` is the client's initial credit in bytes; `grant` adds to it."""
        self._emit = emit
        self._grant = grant
        self._turns = turns
        self._credit = credit
        self._owed = 0
        self._waiting: deque[bytes] = deque()
        self._is_ended = False
        self._come = trio.Event()
        self.bytes_read = 0

    async def read(self) -> bytes:
        """As `Streams.read`."""
        while not self._waiting and not self._is_ended:
            self._come = trio.Event()
            await self._come.wait()
        await self._turns.take()
        if not self._waiting:
            return b""
        data = self._waiting.popleft()
        self.bytes_read += len(data)
        self._owed += len(data)
        # Grant large portions: a message per piece would wake the client each time.
        if self._owed * 4 >= self._credit and not self._is_ended:
            owed, self._owed = self._owed, 0
            await self._grant(owed)
        return data

    async def write(self, data: bytes) -> None:
        """As `Streams.write`."""
        for at in range(0, len(data), PIECE):
            await self._emit("stdout", data[at : at + PIECE])

    async def drop(self) -> None:
        """As `Streams.drop`."""
        while await self.read():
            pass

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """As `Streams.handle`."""
        match message:
            case StdinData(data=data) if data and not self._is_ended:
                self._waiting.append(data)
            case StdinEnd():
                self._is_ended = True
        self._come.set()

    def close(self) -> None:
        """Nothing was opened."""
