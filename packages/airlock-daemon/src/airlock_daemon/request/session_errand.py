"""A request to ssh: from its words to the plan by which it is run."""

from functools import partial

import trio

from airlock_daemon.brokers.ssh.session import Admitted, admit
from airlock_daemon.brokers.ssh.telling import tell_verbosely
from airlock_daemon.command.environment import build_environment
from airlock_daemon.command.launcher import CommandLine
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.errand import Asked, Planner
from airlock_daemon.request.negotiation import Terms, agree, find_term
from airlock_daemon.request.plan import Plan
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module
from airlock_wire import Request


class AskedSession:
    """One request to ssh, which has an empty directory. Its owner must `leave` it."""

    def __init__(
        self,
        request: Request,
        module: Module,
        *,
        generation: Generation,
        agent: AgentState,
        shared: DaemonState,
    ) -> None:
        """Make the directory, and the environment in which the human's programs are asked."""
        self._request = request
        self._module = module
        self._generation = generation
        self._daemon_environment = shared.environment
        self._around = Asked(request, module, generation=generation, agent=agent, shared=shared)

    async def admit(self) -> Planner:
        """As the broker's `admit`; returns what makes the plan."""
        admitted = await admit(
            self._request.args, self._module, self._generation, self._around.means
        )
        return partial(self._plan, admitted)

    def _plan(self, admitted: Admitted, *, peer: Peer, passed: Passed) -> Plan:
        """As for a tool, but that only pipes of the client's are passed, and never its stderr."""
        is_captured = self._generation.agent.hooks.post_exec is not None
        may_pass = not is_captured and self._around.may_pass(peer, passed)
        terms = agree(self._request, may_pass=may_pass, is_captured=is_captured)
        environment = self._build_environment(terms, passed)
        line = CommandLine(admitted.program, admitted.argv, environment, self._around.directory)
        notice = tell_verbosely(admitted)
        # A terminal that ssh has in hand makes no line ends of its own.
        end = "\r\n" if terms.terminal is not None else "\n"
        return Plan(
            command_line=line,
            terms=terms,
            session=admitted,
            notice=f"{notice}{end}".encode() if notice else b"",
        )

    def _build_environment(self, terms: Terms, passed: Passed) -> dict[str, str]:
        built = build_environment(
            self._module,
            self._generation.agent.profile,
            daemon=self._daemon_environment,
            search_path=self._generation.programs.path,
            client=self._request.env if terms.uses("env") else {},
            term=find_term(self._request, terms, passed),
        )
        return {**self._around.environment, **built}

    async def leave(self, removals: trio.CapacityLimiter) -> None:
        """Remove the directory."""
        await self._around.leave(removals)
