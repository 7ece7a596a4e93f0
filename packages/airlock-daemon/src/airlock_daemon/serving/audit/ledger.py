"""Writes records within the allowance of the agent that they are about.

No agent may push another's records out of the log. An agent's records beyond its allowance are
counted: one record per kind and second, with a `count`. Never counted are `exec-start` and the end
of a recorded start; an agent without allowance waits with its next command instead
(`Gate.acquire`). Records that cannot be written are stored for later, and counted if there are too
many.
"""

import logging
import math
from collections import deque

import trio
from msgspec.structs import replace
from trio.lowlevel import ParkingLot

from airlock_daemon.boundary.fairness import Allowance
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Kind, Record
from airlock_daemon.setup.generation import LogConfig

# Seconds between writes of each agent's counts. A daemon that is killed loses that much.
EVERY_S = 1.0

# Records per agent that are stored while the log cannot be written: about a megabyte.
MAX_DEFERRED = 256

# The most allowance that an agent can accumulate: this many seconds of its rate, but all agents
# together at most a quarter of the log.
SAVED_S = 600
AT_ONCE = 0.25

# Seconds between warnings that an agent's commands wait.
WARNING_INTERVAL_S = 60

_log = logging.getLogger("airlock")


# The events of a start, and those of an end.
_BEGINNINGS = ("exec-start", "broker-start")
_ENDS = ("exec", "broker")


class Ledger:
    """An audit log that agents share. A task must `run` it; its owner must `close` it."""

    def __init__(self, config: LogConfig, *, agents: int) -> None:
        """Open the log for this number of agents; raises AirlockError as `AuditLog` does."""
        self.log = AuditLog(config)
        self._burst = self._share_burst(agents)
        self._accounts: dict[str | None, _Account] = {}
        self._begun: set[object] = set()
        self._idle = ParkingLot()

    def adopt(self, config: LogConfig, *, agents: int) -> None:
        """Use other settings of the log, except its path, and another number of agents.

        Each agent's account must then be opened again.
        """
        self.log.adopt(config)
        self._burst = self._share_burst(agents)

    def open_account(self, agent: str, bytes_s: float) -> Allowance:
        """Return the allowance of an agent, whose records count against it from now on.

        An existing account continues at this rate.
        """
        burst = min(SAVED_S * bytes_s, self._burst)
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = _Account(agent, bytes_s=bytes_s, burst=burst)
        else:
            account.adopt(bytes_s=bytes_s, burst=burst)
        return account.allowance

    def close_account(self, agent: str) -> None:
        """Forget a removed agent once its counts are written."""
        self._accounts[agent].is_closed = True
        self._flush_all()

    def write(self, record: Record) -> None:
        """Write a record, or count it; raises Failed if it cannot be written.

        An end is then stored or counted, and written once the log can be.
        """
        account = self._accounts.get(record.profile)
        if account is None:
            self.log.write(record)
            return
        event, allowance = record.event, account.allowance
        # What is common to the records of one request, or of one operation that belongs to none.
        name = record.id if record.request is None else record.request
        if event in _BEGINNINGS:
            if event == "broker-start" and not allowance.has_plenty:
                # Its end is counted instead.
                return
            self._begun.add(name)
        elif event in _ENDS and name in self._begun:
            if event == "exec" or record.request is None:
                self._begun.discard(name)
        elif not allowance.has_plenty:
            self.count(account.agent, _kind_of(record), record.peer)
            return
        try:
            allowance.spend(self.log.write(record))
        except Failed:
            if event not in _BEGINNINGS:
                self._defer(account, record)
            elif self.log.must_deny and (event == "exec-start" or record.request is None):
                # Nothing begins, and an end of it may never come.
                self._begun.discard(name)
            raise

    def _defer(self, account: "_Account", record: Record) -> None:
        if len(account.late) < MAX_DEFERRED:
            account.late.append(replace(record, ts=self.log.tell_time()))
            self._idle.unpark()
        else:
            self._add(account, _kind_of(record), record.peer)

    def count(self, agent: str, kind: Kind, peer: dict[str, int] | None) -> None:
        """Count one event of a kind that may flood; `peer` is recorded for the first only."""
        account = self._accounts[agent]
        self._add(account, kind, peer)
        # A single event is written at once.
        if trio.current_time() - account.written >= EVERY_S:
            self._flush(account)

    def _add(self, account: "_Account", kind: Kind, peer: dict[str, int] | None) -> None:
        counted = account.counted.get(kind)
        if counted is None:
            counted = Record(**kind._asdict(), profile=account.agent, peer=peer)
            self._idle.unpark()
        account.counted[kind] = replace(counted, count=(counted.count or 0) + 1)

    async def run(self) -> None:
        """Write counts every EVERY_S until cancelled, then the rest."""
        try:
            while True:
                while any(each.counted or each.late for each in self._accounts.values()):
                    await trio.sleep(EVERY_S)
                    self._flush_all()
                await self._idle.park()
        finally:
            self._flush_all()

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def _share_burst(self, agents: int) -> float:
        return self.log.capacity * AT_ONCE / max(agents, 1)

    def _flush_all(self) -> None:
        for account in list(self._accounts.values()):
            self._flush(account)
            if account.is_closed and not (account.counted or account.late):
                del self._accounts[account.agent]

    def _flush(self, account: "_Account") -> None:
        account.written = trio.current_time()
        try:
            while account.late:
                account.allowance.spend(self.log.write(account.late[0]))
                account.late.popleft()
            for kind, record in list(account.counted.items()):
                account.allowance.spend(self.log.write(record))
                del account.counted[kind]
        except Failed as error:
            # Retried later.
            _log.error("%s; %s", error.message, error.hint)


def _kind_of(record: Record) -> Kind:
    rule = record.rule if record.layer == "limit" else None
    return Kind(record.event, record.outcome, record.layer, rule)


class _Account:
    """One agent's allowance for records, and its counts and stored records."""

    def __init__(self, agent: str, *, bytes_s: float, burst: float) -> None:
        self.agent = agent
        self.allowance = Allowance(bytes_s=bytes_s, burst=burst, on_wait=self._warn)
        self.counted: dict[Kind, Record] = {}
        self.late: deque[Record] = deque()
        self.written = -math.inf
        self.is_closed = False
        self._bytes_s = bytes_s
        self._told = -math.inf

    def adopt(self, *, bytes_s: float, burst: float) -> None:
        self.allowance.adopt(bytes_s=bytes_s, burst=burst)
        self.is_closed = False
        self._bytes_s = bytes_s

    def _warn(self) -> None:
        if trio.current_time() - self._told >= WARNING_INTERVAL_S:
            self._told = trio.current_time()
            _log.warning(
                "agent %s: its commands wait, since their audit records come faster than "
                "[limits] log_bytes_s = %g; raise that, and run: airlock reload",
                *(self.agent, self._bytes_s),
            )
