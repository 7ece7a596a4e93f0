"""State that requests share, of the daemon and of each agent."""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec
import trio

from airlock_daemon.boundary.brokers.requester import ANSWER_S, run_program
from airlock_daemon.boundary.command import CommandLine, Group, Groups, Launcher, select_inherited
from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import Allowance, Gate, Rounds, Share, Starts, TurnQueue
from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import Ancestry
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.serving.session import Cancellation, ClientWatch
from airlock_daemon.setup.generation import Generation, Setup
from airlock_modules import Module

if TYPE_CHECKING:
    from airlock_daemon.boundary.box import Boxes, BoxPool, Templates
    from airlock_daemon.boundary.identity.containers import Containers
    from airlock_daemon.serving.request.approvals import Approvals
    from airlock_daemon.serving.request.egress import Apis, Engines

log = logging.getLogger("airlock")

# Each takes a thread and disk time.
_REMOVALS = 2
# Each takes a thread, as long as the resolver needs.
_LOOKUPS = 2


class DaemonState:
    """State that all requests of a running daemon share. Its owner must `close` it."""

    def __init__(
        self, audit: Ledger, launcher: Launcher, *, groups: Groups | str, search_path: str
    ) -> None:
        """Take ownership of all three; `groups` is a reason if there are none.

        `search_path` is where a container engine is found.
        """
        self.environment = dict(os.environ)
        self._inherited: dict[tuple[str, ...], dict[str, str]] = {}
        self.audit = audit
        self.launcher = launcher
        self.groups = groups
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.search_path = search_path
        self._containers: Containers | None = None
        self.ancestry = Ancestry(os.getpid())
        self.watch = ClientWatch()
        self.rounds = Rounds()
        self.starts = Starts()
        # Prewarmed boxes; None while no agent has a boxed command.
        self.boxes: Boxes | None = None
        self._approvals: Approvals | None = None
        self.running: set[Cancellation] = set()
        self._alone: dict[str, trio.CapacityLimiter] = {}

    def adopt(self, setup: Setup) -> None:
        """Adopt reloaded files, except what belongs to one agent.

        The caller then calls `AgentState.adopt` for each agent.
        """
        self.search_path = setup.search_path
        if self._containers is not None:
            self._containers.adopt(setup.search_path)
        self.audit.adopt(setup.config.log, agents=len(setup.generations))

    @property
    def containers(self) -> "Containers":
        """The known containers; loaded for the first client in one."""
        if self._containers is None:
            from airlock_daemon.boundary.identity.containers import Containers  # noqa: PLC0415

            self._containers = Containers(self.search_path)
        return self._containers

    @property
    def approvals(self) -> "Approvals":
        """The questions for a person; loaded for the first profile that requires approvals."""
        if self._approvals is None:
            from airlock_daemon.serving.request.approvals import Approvals  # noqa: PLC0415

            self._approvals = Approvals(self.environment)
        return self._approvals

    def find_inherited(self, module: Module) -> dict[str, str]:
        """The part of `environment` that a command of `module` may have."""
        found = self._inherited.get(module.inherit)
        if found is None:
            found = self._inherited[module.inherit] = select_inherited(self.environment, module)
        return found

    def alone(self, command: str) -> trio.CapacityLimiter:
        """The one slot of a non-concurrent command, across agents."""
        return self._alone.setdefault(command, trio.CapacityLimiter(1))

    def record(self, record: Record, *, is_ahead: bool = False) -> None:
        """Write a record; logs an error if it cannot be written.

        One that `is_ahead` of an action then raises Failed if the action must not happen.
        """
        try:
            self.audit.write(record)
        except Failed as error:
            log.error("%s; %s", error.message, error.hint)
            if is_ahead and self.audit.log.must_deny:
                raise

    def close(self) -> None:
        """Close everything shared."""
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


class Bridging(Protocol):
    """Carries one agent's sockets to where its containers run."""

    def renew(self) -> None:
        """The files that its containers need beside the sockets have changed."""


class AgentState:
    """One agent's state; `generation` decides its next request.

    The rest counts what is open and running, under any generation.
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
        # The note is sent once per reload.
        self.is_signing_note_due = generation.signs_commits
        # Serves its APIs; None until it is granted one.
        self.apis: Apis | None = None
        # Serves its calls of a docker engine; None until it is granted docker.
        self.engines: Engines | None = None
        # Its bridge; None without one.
        self.bridge: Bridging | None = None
        # The templates of its boxes, and its prewarmed boxes.
        self.templates: Templates | None = None
        self.pool: BoxPool | None = None
        # By path, when to next measure the homes that its boxes keep.
        self.homes_due: dict[str, float] = {}
        self._adopt_room(generation)

    def adopt(self, generation: Generation) -> None:
        """Use another generation from the next request on."""
        self.generation = generation
        self.is_signing_note_due = generation.signs_commits
        self._open_account()
        self.gate.adopt(generation.limits)
        self._adopt_room(generation)

    def discard_boxes(self) -> None:
        """Drop its prewarmed boxes: the agent was removed."""
        if self.pool is not None:
            self.pool.adopt(None)

    async def run_program(
        self, line: CommandLine, *, said: bytes = b"", seconds: float = ANSWER_S
    ) -> tuple[int, bytes]:
        """Run a program of the host, as `requester.run_program`, within the agent's limits.

        Raises Denied if too many of its programs wait, and Failed.
        """
        place = await self.gate.acquire_for_hook()
        try:
            await self.share.acquire(place)
            return await run_program(
                line, self._shared.launcher, self.turns, said=said, seconds=seconds
            )
        finally:
            self.share.release(place)
            place.release()

    def open_group(self) -> Group | None:
        """Open a cgroup for a box, within the agent's present limits; the caller closes it.

        None without cgroups. Raises Failed.
        """
        groups = self._shared.groups
        if isinstance(groups, str):
            return None
        try:
            return groups.open(self.generation.agent.name, self.generation.limits)
        except OSError as error:
            raise Failed(
                f"the box of the command gets no cgroup of its own: {error}",
                hint="a person on the host can restart the daemon",
            ) from error

    def plan_boxes(self, generation: Generation) -> "Templates":
        """The templates of boxes for a request that `generation` decides."""
        from airlock_daemon.boundary.box import Templates  # noqa: PLC0415

        if self.templates is None or self.templates.generation is not generation:
            templates = Templates(generation, self._shared.environment)
            if generation is not self.generation:
                # A reload happened meanwhile; no later request uses this generation.
                return templates
            self.templates = templates
        return self.templates

    def _adopt_room(self, generation: Generation) -> None:
        if self.pool is None and self._shared.boxes is not None:
            from airlock_daemon.boundary.box import BoxPool  # noqa: PLC0415

            self.pool = BoxPool(self._shared.boxes, self.open_group)
        if self.pool is not None:
            self.pool.adopt(generation.reserved)

    def _open_account(self) -> Allowance:
        name, limits = self.generation.agent.name, self.generation.limits
        return self._shared.audit.open_account(name, limits.log_bytes_s)


MAX_RECORDS = 1000
EVERY_S = 60.0
"""The most records of an agent's operations in EVERY_S seconds.

Further reads and refusals are only counted; what may change something always has a record.
"""


class RecordQuota:
    """How many records of its operations an agent may still cause: `MAX_RECORDS` in `EVERY_S`."""

    def __init__(self) -> None:
        self._since = -EVERY_S
        self._left = 0

    @property
    def has_room(self) -> bool:
        """Whether the next record is written rather than counted."""
        now = trio.current_time()
        if now - self._since >= EVERY_S:
            self._since, self._left = now, MAX_RECORDS
        return self._left > 0

    def spend(self) -> None:
        """Note that a record is written."""
        self._left -= 1


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The process at the other end of a connection, for records.

    `request` is the log's id of the command whose box it comes from, None for a container's.
    `spend_record` returns whether one more record of that command's connections may be written.
    """

    peer: dict[str, int] | None
    request: str | None = None
    spend_record: Callable[[], bool] | None = None
    container: str | None = None
    container_proven: bool | None = None
