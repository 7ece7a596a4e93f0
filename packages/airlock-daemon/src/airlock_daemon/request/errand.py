"""A request to a broker: from its words to what is run for it."""

import re

import trio

from airlock_daemon.brokers.asking import ask
from airlock_daemon.brokers.git.admission import admit
from airlock_daemon.brokers.git.errand import Errand
from airlock_daemon.brokers.means import Means
from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.launcher import CommandLine
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.plan import Plan, plan_errand
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_daemon.workspace.directory import Workspace, make_empty
from airlock_modules import Module
from airlock_wire import Request

_PROTOCOL = re.compile(r"version=[0-9]")


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
        self._environment = build_environment(
            module,
            generation.agent.profile,
            daemon=shared.environment,
            search_path=generation.programs.path,
        )
        if _PROTOCOL.fullmatch(protocol):
            self._environment["GIT_PROTOCOL"] = protocol
        self._agent = agent
        self._launcher = shared.launcher

    async def admit(self) -> Errand:
        """As the broker's `admit`. Raises Denied also where too many of the agent's wait for it."""
        means = Means(
            ask=self._ask, lookups=self._agent.lookups, home=self._environment.get("HOME", "/")
        )
        return await admit(self._request.args, self._generation, means)

    async def _ask(self, program: str, argv: tuple[str, ...]) -> tuple[int, bytes]:
        line = CommandLine(program, argv, self._environment, self._workspace.descriptor)
        place = await self._agent.gate.take_for_hook()
        try:
            await self._agent.share.take(place)
            return await ask(line, self._launcher, self._agent.turns)
        finally:
            self._agent.share.give_back(place)
            place.give_back()

    def plan(self, errand: Errand, *, peer: Peer, passed: Passed) -> Plan:
        """As `plan_errand`. Descriptors are used where stdin and stdout are pipes."""
        may_pass = self._generation.pass_descriptors and bool(passed.numbers)
        may_pass = may_pass and passed.kinds[:2] == ("pipe", "pipe") and passed.are_usable(peer)
        return plan_errand(
            self._request,
            errand,
            environment=self._environment,
            directory=self._workspace.descriptor,
            may_pass=may_pass,
        )

    async def leave(self, removals: trio.CapacityLimiter) -> None:
        """Remove the directory."""
        await self._workspace.leave(removals)
