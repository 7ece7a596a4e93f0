"""A request to a broker: from its words to what is run or held for it."""

import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Protocol

import trio

from airlock_daemon.brokers.git.admission import admit
from airlock_daemon.brokers.git.errand import Errand
from airlock_daemon.brokers.means import Means
from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.order import CommandLine
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.plan import Plan, Talk, plan_errand
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_daemon.workspace.directory import Workspace, make_empty
from airlock_modules import Module
from airlock_wire import Request

_PROTOCOL = re.compile(r"version=[0-9]")


class Planner(Protocol):
    """Makes the plan of what was admitted, for the client's descriptors."""

    def __call__(self, *, peer: Peer, passed: Passed) -> Plan | Talk:
        """Raises Denied for a client that cannot take part."""


class Asked:
    """One request to a broker, which has an empty directory. Its owner must `leave` it."""

    def __init__(
        self,
        request: Request,
        module: Module,
        *,
        generation: Generation,
        agent: AgentState,
        shared: DaemonState,
    ) -> None:
        """Make the directory, and the environment in which the human's programs run."""
        self._request = request
        self._generation = generation
        self._workspace: Workspace = make_empty(None)
        client = request.env if "env" in (request.features or ()) else {}
        protocol = client.get("GIT_PROTOCOL", "")
        environment = build_environment(
            module,
            generation.agent.profile,
            daemon=shared.environment,
            search_path=generation.programs.path,
        )
        # No repository above the directory is looked for.
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(self._workspace.path)
        if _PROTOCOL.fullmatch(protocol):
            environment["GIT_PROTOCOL"] = protocol
        self._agent = agent
        self._means = Means(
            ask=self._ask,
            lookups=agent.lookups,
            home=environment.get("HOME", "/"),
            variables=environment,
        )

    @property
    def means(self) -> Means:
        """How a broker asks the world here. Raises Denied where too many of the agent's wait."""
        return self._means

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the human's programs."""
        return self._means.variables

    @property
    def directory(self) -> int:
        """The empty directory, in which they run."""
        return self._workspace.descriptor

    async def admit(self) -> Planner:
        """As the broker's `admit`; returns what makes the plan."""
        errand = await admit(self._request.args, self._generation, self.means)
        return partial(self._plan, errand)

    async def _ask(
        self,
        program: str,
        argv: tuple[str, ...],
        /,
        *,
        said: bytes = b"",
        more: Mapping[str, str] = {},
    ) -> tuple[int, bytes]:
        variables = {**self._means.variables, **more}
        line = CommandLine(program, argv, variables, self._workspace.descriptor)
        return await self._agent.ask(line, said=said)

    def may_pass(self, peer: Peer, passed: Passed) -> bool:
        """Whether the client's stdin and stdout, which must be pipes, may be a program's."""
        may_pass = self._generation.pass_descriptors and bool(passed.numbers)
        return may_pass and passed.kinds[:2] == ("pipe", "pipe") and passed.are_usable(peer)

    def _plan(self, errand: Errand, *, peer: Peer, passed: Passed) -> Plan | Talk:
        return plan_errand(
            self._request,
            errand,
            means=self._means,
            directory=self.directory,
            may_pass=self.may_pass(peer, passed),
        )

    async def leave(self, removals: trio.CapacityLimiter) -> None:
        """Remove the directory."""
        await self._workspace.leave(removals)
