"""The agent behind a request to a broker, and the programs of the host that run for it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from airlock_daemon.boundary.command.launcher import CommandLine, Launcher
from airlock_daemon.boundary.command.process import Command, Emit, Piped
from airlock_daemon.boundary.fairness.gate import Gate
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import Failed
from airlock_daemon.setup.generation import Generation
from airlock_wire import StdinData, StdinEnd, Stream

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest

ANSWER_S = 10.0
# Limit of the output's bytes; the rest is dropped.
MAX_OUTPUT = 1 << 20


class RunProgram(Protocol):
    """Runs a program of the host."""

    async def __call__(
        self,
        program: str,
        argv: tuple[str, ...],
        /,
        *,
        said: bytes = b"",
        more: Mapping[str, str] = {},
    ) -> tuple[int, bytes]:
        """Return exit status and output. `said` is its stdin, `more` adds variables."""


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
