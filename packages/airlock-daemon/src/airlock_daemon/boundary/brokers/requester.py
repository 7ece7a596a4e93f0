"""The agent behind a request to a broker, as far as a broker may use it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from airlock_daemon.boundary.brokers.asking import ANSWER_S
from airlock_daemon.boundary.command.order import CommandLine
from airlock_daemon.boundary.fairness.gate import Gate
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.setup.generation import Generation

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import Asked


class ServedAgent(Protocol):
    """An agent: its current generation, and its shares of the daemon."""

    generation: Generation
    gate: Gate
    turns: TurnQueue
    lookups: trio.CapacityLimiter

    async def ask(
        self, line: CommandLine, *, said: bytes = b"", seconds: float = ANSWER_S
    ) -> tuple[int, bytes]:
        """Run a program of the host; returns its exit status and output."""


Approve = Callable[["Asked", Callable[[str], Awaitable[None]]], Awaitable[None]]
"""Waits for a person's approval where a profile requires one. Raises Denied.

The function that it is given gets the line that tells the client what it waits for.
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
    def asks(self) -> bool:
        """Whether a person may have to approve what the agent does."""
        return any(
            each.agent.profile.approve is not None for each in (self.generation, self.current)
        )

    def must_ask(self, forms: Iterable[Sequence[str]]) -> bool:
        """Whether a person has to approve an operation that may amount to one of `forms`."""
        listed, generations = tuple(forms), (self.generation, self.current)
        return any(each.agent.profile.find_approval(listed) is not None for each in generations)

    def may_ask(self, beginnings: Iterable[Sequence[str]]) -> bool:
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

    async def ask(
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
        return await self.agent.ask(line, said=said, seconds=seconds)
