"""What all requests of one daemon share."""

import logging
import os

import trio

from airlock_daemon.audit.log import AuditLog
from airlock_daemon.audit.record import Record
from airlock_daemon.command.launcher import Launcher
from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.watch import ClientWatch
from airlock_daemon.errors import Failed
from airlock_daemon.fairness.gate import Gate
from airlock_daemon.fairness.starts import Share, Starts
from airlock_daemon.fairness.turns import Rounds, Turns
from airlock_daemon.identity.ancestry import Ancestry
from airlock_daemon.identity.containers import Containers
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.load import Setup
from airlock_daemon.setup.programs import Programs
from airlock_modules import Grant

log = logging.getLogger("airlock")

# Each takes a thread and time of the disk.
_REMOVALS = 2


class Service:
    """One agent as it is served: its rules and what it has open and running."""

    def __init__(self, agent: Agent, grant: Grant, limits: Limits, host: "Host") -> None:
        self.agent = agent
        self.grant = grant
        self.gate = Gate(limits)
        self.closer = Closer()
        self.turns = Turns(host.rounds)
        self.share = Share(host.starts)
        self.removals = trio.CapacityLimiter(_REMOVALS)


class Host:
    """The state of a running daemon. Its owner must `close` it."""

    def __init__(self, setup: Setup, *, launcher: str, nofile: int) -> None:
        """`launcher` is an executable's path, `nofile` the soft limit of open files for tools.

        Raises AirlockError when the launcher or the audit log is not to be had.
        """
        self.setup = setup
        self.environment = dict(os.environ)
        self.audit = AuditLog(setup.config.log)
        self.launcher = Launcher(launcher, nofile=nofile)
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.containers = Containers()
        self.programs = Programs(setup.search_path)
        self.ancestry = Ancestry(os.getpid())
        self.watch = ClientWatch()
        self.rounds = Rounds()
        self.starts = Starts()
        self.idle: set[Ending] = set()
        self.running: set[Ending] = set()
        self._alone: dict[str, trio.CapacityLimiter] = {}

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
        self.containers.close()
        self.launcher.close()
        os.close(self.null)
        self.audit.close()
