"""State that requests share: of the daemon, and of each agent."""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from airlock_daemon.boundary.box.groups import Group, Groups, open_group
from airlock_daemon.boundary.brokers.asking import ANSWER_S, ask
from airlock_daemon.boundary.command.launcher import Launcher
from airlock_daemon.boundary.command.order import CommandLine
from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.fairness.allowance import Allowance
from airlock_daemon.boundary.fairness.gate import Gate, Share, Starts
from airlock_daemon.boundary.fairness.turns import Rounds, TurnQueue
from airlock_daemon.boundary.identity.peer import Ancestry
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.serving.session import Cancellation, ClientWatch
from airlock_daemon.setup.generation import Generation, Setup

if TYPE_CHECKING:
    from airlock_daemon.boundary.box.choice import Templates
    from airlock_daemon.boundary.box.prewarmed import Boxes, BoxPool
    from airlock_daemon.boundary.box.system import ApiAccess
    from airlock_daemon.boundary.identity.containers import Containers
    from airlock_daemon.serving.request.recording import Recording

log = logging.getLogger("airlock")

# Each takes a thread and time of the disk.
_REMOVALS = 2
# Each takes a thread, for as long as the resolver wants.
_LOOKUPS = 2


class DaemonState:
    """State that all requests of a running daemon share. Its owner must `close` it."""

    def __init__(
        self, audit: Ledger, launcher: Launcher, *, groups: Groups | str, search_path: str
    ) -> None:
        """Take over all three: `groups` may say why there are none.

        `search_path` is where a container engine is found.
        """
        self.environment = dict(os.environ)
        self.audit = audit
        self.launcher = launcher
        self.groups = groups
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._search_path = search_path
        self._containers: Containers | None = None
        self.ancestry = Ancestry(os.getpid())
        self.watch = ClientWatch()
        self.rounds = Rounds()
        self.starts = Starts()
        # The boxes that are made ahead, None before a command is to have one.
        self.boxes: Boxes | None = None
        self.running: set[Cancellation] = set()
        self._alone: dict[str, trio.CapacityLimiter] = {}

    def adopt(self, setup: Setup) -> None:
        """Go by another reading of the files in all that is not of one agent.

        Each agent is then to `adopt` its own generation.
        """
        self._search_path = setup.search_path
        if self._containers is not None:
            self._containers.adopt(setup.search_path)
        self.audit.adopt(setup.config.log, agents=len(setup.generations))

    @property
    def containers(self) -> "Containers":
        """The containers that were asked about; loaded for the first client in one."""
        if self._containers is None:
            from airlock_daemon.boundary.identity.containers import Containers  # noqa: PLC0415

            self._containers = Containers(self._search_path)
        return self._containers

    def alone(self, command: str) -> trio.CapacityLimiter:
        """The one place of a command that runs one at a time, across agents."""
        return self._alone.setdefault(command, trio.CapacityLimiter(1))

    def record(self, record: Record) -> None:
        """Write a record after the fact: what cannot be written is told on stderr."""
        try:
            self.audit.write(record)
        except Failed as error:
            log.error("%s; %s", error.message, error.hint)

    def record_ahead(self, record: Record) -> None:
        """Write a record before something happens; raises Failed where it then must not."""
        try:
            self.audit.write(record)
        except Failed as error:
            log.error("%s; %s", error.message, error.hint)
            if self.audit.must_deny:
                raise

    def close(self) -> None:
        """Close what is shared."""
        if self._containers is not None:
            self._containers.close()
        self.ancestry.close()
        if self.boxes is not None:
            self.boxes.close()
        self.launcher.close()
        if isinstance(self.groups, Groups):
            self.groups.close()
        os.close(self.null)
        self.audit.close()


class Apis(Protocol):
    """Serves the APIs of one agent, to its containers and to its boxes."""

    async def prepare(self) -> "ApiAccess":
        """What a box is given, once what it needs of that is published; raises AirlockError."""

    async def carry(
        self,
        connection: trio.SocketStream,
        recording: "Recording",
        network: Callable[[], tuple[str, ...]],
        tell: Callable[[str], None],
    ) -> None:
        """Serve a connection out of a box to its end; it stays the caller's to close.

        `recording` is that of the request that has the box. Beside what the agent may reach
        without a credential, this connection may reach what `network` returns, which is asked
        again after each reload. Why it was refused is told. Raises nothing but for cancellation,
        which ends it.
        """


class AgentState:
    """One agent as it is served: `generation` decides for its next request.

    The rest counts what it has open and running, under whatever generation that began.
    """

    def __init__(self, generation: Generation, shared: DaemonState) -> None:
        self.generation = generation
        self._shared = shared
        self.gate = Gate(generation.limits, self._open_account())
        self.closer = Closer(shared.rounds.defer)
        self.turns = TurnQueue(shared.rounds)
        self.share = Share(shared.starts)
        self.removals = trio.CapacityLimiter(_REMOVALS)
        self.lookups = trio.CapacityLimiter(_LOOKUPS)
        # Told once for each reading of the files.
        self.owes_word_of_signing = generation.signs_commits
        # What serves its APIs, None before it was granted one.
        self.apis: Apis | None = None
        # What its boxes are made of, and where those wait that were made ahead.
        self.templates: Templates | None = None
        self.pool: BoxPool | None = None
        # When the homes that its boxes keep are to be measured, by their paths.
        self.homes_due: dict[str, float] = {}
        self._adopt_room(generation)

    def adopt(self, generation: Generation) -> None:
        """Decide by another generation from the next request on."""
        self.generation = generation
        self.owes_word_of_signing = generation.signs_commits
        self._open_account()
        self.gate.adopt(generation.limits)
        self._adopt_room(generation)

    def leave(self) -> None:
        """Have no box made ahead any more: the agent was removed."""
        if self.pool is not None:
            self.pool.adopt(None)

    async def ask(
        self, line: CommandLine, *, said: bytes = b"", seconds: float = ANSWER_S
    ) -> tuple[int, bytes]:
        """Ask a program of the host, as `asking.ask`, within the agent's share of what may run.

        Raises Denied where too many of its programs wait, and Failed.
        """
        place = await self.gate.take_for_hook()
        try:
            await self.share.take(place)
            return await ask(line, self._shared.launcher, self.turns, said=said, seconds=seconds)
        finally:
            self.share.give_back(place)
            place.give_back()

    def open_group(self) -> Group | None:
        """A cgroup for a box, within the agent's limits of now, for the caller to close."""
        return open_group(self._shared.groups, self.generation.agent.name, self.generation.limits)

    def plan_boxes(self, generation: Generation) -> "Templates":
        """What the boxes of a request are made of that is decided by `generation`."""
        from airlock_daemon.boundary.box.choice import Templates  # noqa: PLC0415

        if self.templates is None or self.templates.generation is not generation:
            templates = Templates(generation, self._shared.environment)
            if generation is not self.generation:
                # A reload has come in between, and nothing more is planned by it.
                return templates
            self.templates = templates
        return self.templates

    def _adopt_room(self, generation: Generation) -> None:
        if self.pool is None and self._shared.boxes is not None:
            from airlock_daemon.boundary.box.prewarmed import BoxPool  # noqa: PLC0415

            self.pool = BoxPool(self._shared.boxes, self.open_group)
        if self.pool is not None:
            self.pool.adopt(generation.reserved)

    def _open_account(self) -> Allowance:
        name, limits = self.generation.agent.name, self.generation.limits
        return self._shared.audit.open_account(name, limits.log_bytes_s)
