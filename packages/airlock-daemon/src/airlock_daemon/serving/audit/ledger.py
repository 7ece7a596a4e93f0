"""Writing records within the allowance of the agent that they are about.

Nobody may push the records of others out of the log. What an agent is over its allowance with is
counted: one record stands for all of a kind within a second, by its `count`. Never counted are
`exec-start` and the record of what was started; whoever has spent all of its allowance waits with
the next command instead (`Gate.take`). What cannot be written is kept for later, and counted where
that gets too much.
"""

import logging
import math
from collections import deque
from typing import NamedTuple

import trio
from trio.lowlevel import ParkingLot

from airlock_daemon.boundary.fairness.allowance import Allowance
from airlock_daemon.errors import Failed
from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Event, Outcome, Record
from airlock_daemon.setup.config import LogConfig

# How often what was counted is written, for each agent. A daemon that is killed loses so much.
EVERY_S = 1.0

# So many records of each agent are kept whole while the log cannot be written; a megabyte.
LATE = 256

# What an agent may save up: so many seconds of its rate, and no more than lets all agents together
# fill a quarter of the log at once.
SAVED_S = 600
AT_ONCE = 0.25

# How often a person is told that an agent is held up.
TELL_S = 60

_log = logging.getLogger("airlock")


# The events that something begins with, and those that it ends with.
_BEGINNINGS = ("exec-start", "broker-start")
_ENDS = ("exec", "broker")


class Kind(NamedTuple):
    """What records have in common of which one stands for all. `rule` is of limits alone."""

    event: Event
    outcome: Outcome | None
    layer: str | None
    rule: object | None = None


class Ledger:
    """An audit log that agents share. A task must `run` it, and its owner must `close` it."""

    def __init__(self, log: AuditLog, *, agents: int) -> None:
        """`log` belongs to the ledger; `agents` is how many there will be."""
        self._log = log
        self._burst = self._share_burst(agents)
        self._accounts: dict[str | None, _Account] = {}
        self._begun: set[object] = set()
        self._idle = ParkingLot()

    def adopt(self, config: LogConfig, *, agents: int) -> None:
        """Go by other settings of the log, but for its path, and another number of agents.

        The account of each agent is then to be opened anew.
        """
        self._log.adopt(config)
        self._burst = self._share_burst(agents)

    def open_account(self, agent: str, bytes_s: float) -> Allowance:
        """The allowance of an agent, whose records count against it from now on.

        Where it has an account, that one goes on with this rate.
        """
        burst = min(SAVED_S * bytes_s, self._burst)
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = _Account(agent, bytes_s=bytes_s, burst=burst)
        else:
            account.adopt(bytes_s=bytes_s, burst=burst)
        return account.allowance

    def close_account(self, agent: str) -> None:
        """Forget an agent of which no more records will come, once what was counted is written."""
        self._accounts[agent].is_closed = True
        self._flush_all()

    @property
    def must_deny(self) -> bool:
        """As `AuditLog.must_deny`."""
        return self._log.must_deny

    def settle(self) -> None:
        """As `AuditLog.settle`."""
        self._log.settle()

    def write(self, record: Record) -> None:
        """Write a record, or count it; raises Failed where it cannot be written.

        That something ended is then kept, or counted, and written as soon as the log can be.
        """
        account = self._accounts.get(record.profile)
        if account is None:
            self._log.write(record)
            return
        if record.event == "broker-start" and not account.allowance.has_plenty:
            # Its end is counted.
            return
        if not (self._note_begun(record) or account.allowance.has_plenty):
            self.count(account.agent, _kind_of(record), record.peer)
            return
        try:
            account.allowance.spend(self._log.write(record))
        except Failed:
            if record.event not in _BEGINNINGS:
                self._keep(account, record)
            elif self.must_deny and (record.event == "exec-start" or record.request is None):
                # Nothing begins, and an end of it may never come.
                self._begun.discard(_name(record))
            raise

    def _keep(self, account: "_Account", record: Record) -> None:
        if len(account.late) < LATE:
            account.late.append(record)
            self._idle.unpark()
        else:
            self._add(account, _kind_of(record), record.peer)

    def count(self, agent: str, kind: Kind, peer: dict[str, int] | None) -> None:
        """Count one more of a kind that comes in floods; of several, `peer` is the first's."""
        account = self._accounts[agent]
        self._add(account, kind, peer)
        # What does not come in a flood is written at once.
        if trio.current_time() - account.written >= EVERY_S:
            self._flush(account)

    def _add(self, account: "_Account", kind: Kind, peer: dict[str, int] | None) -> None:
        if kind not in account.counted:
            account.counted[kind] = Record(
                **kind._asdict(), profile=account.agent, peer=peer, count=0
            )
            self._idle.unpark()
        record = account.counted[kind]
        record.count = (record.count or 0) + 1

    async def run(self) -> None:
        """Write what was counted, when it is time, until cancelled; and then what is left."""
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
        self._log.close()

    def _note_begun(self, record: Record) -> bool:
        """Whether a record is of something that begins, or has begun."""
        name = _name(record)
        if record.event in _BEGINNINGS:
            self._begun.add(name)
            return True
        is_begun = record.event in _ENDS and name in self._begun
        if is_begun and (record.event == "exec" or record.request is None):
            self._begun.discard(name)
        return is_begun

    def _share_burst(self, agents: int) -> float:
        return self._log.capacity * AT_ONCE / max(agents, 1)

    def _flush_all(self) -> None:
        for account in list(self._accounts.values()):
            self._flush(account)
            if account.is_closed and not (account.counted or account.late):
                del self._accounts[account.agent]

    def _flush(self, account: "_Account") -> None:
        account.written = trio.current_time()
        try:
            while account.late:
                account.allowance.spend(self._log.write(account.late[0]))
                account.late.popleft()
            for kind, record in list(account.counted.items()):
                record.ts = ""
                account.allowance.spend(self._log.write(record))
                del account.counted[kind]
        except Failed as error:
            # What is left is tried again.
            _log.error("%s; %s", error.message, error.hint)


def _name(record: Record) -> object:
    """What is common to the records of one request, or of one operation that belongs to none."""
    return record.id if record.request is None else record.request


def _kind_of(record: Record) -> Kind:
    rule = record.rule if record.layer == "limit" else None
    return Kind(record.event, record.outcome, record.layer, rule)


class _Account:
    """The allowance of one agent for records, and counts of those not written."""

    def __init__(self, agent: str, *, bytes_s: float, burst: float) -> None:
        self.agent = agent
        self.allowance = Allowance(bytes_s=bytes_s, burst=burst, on_wait=self._tell)
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

    def _tell(self) -> None:
        if trio.current_time() - self._told >= TELL_S:
            self._told = trio.current_time()
            _log.warning(
                "agent %s: its commands wait, since their audit records come faster than "
                "[limits] log_bytes_s = %g; raise that, and run: airlock reload",
                *(self.agent, self._bytes_s),
            )
