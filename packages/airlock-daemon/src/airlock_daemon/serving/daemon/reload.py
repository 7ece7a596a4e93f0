"""Reloads all files while the daemon serves: all changes take effect, or none."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.errors import AirlockError, SetupError, own_fault
from airlock_daemon.serving.audit.record import DETAIL, Record
from airlock_daemon.serving.daemon.served_agents import ServedAgents, settle_granted
from airlock_daemon.serving.daemon.sockets import SocketsDirectory
from airlock_daemon.serving.daemon.store import ServiceManager
from airlock_daemon.serving.request import DaemonState, log
from airlock_daemon.setup.generation import Generation, Setup
from airlock_daemon.setup.status import DaemonStatus, Reload
from airlock_daemon.threads import run_in_thread
from airlock_modules import Fault

# Fields that do not count as an agent's change: each load makes the paths of Airlock's files and
# programs anew, and `workspaces` are those of all profiles.
_NOT_THE_AGENTS = ("reserved", "programs", "workspaces")

# The most faults that are reported; `check` prints all.
_MAX_FAULTS = 100


class Reloader:
    """Reloads on request. A task must `run` it. `setup` is the one in use."""

    def __init__(
        self,
        setup: Setup,
        shared: DaemonState,
        sockets: SocketsDirectory,
        served_agents: ServedAgents,
        manager: ServiceManager,
    ) -> None:
        self.setup = setup
        self._shared = shared
        self._sockets = sockets
        self._served_agents = served_agents
        self._manager = manager
        self._asked = trio.Event()

    def request(self) -> None:
        """Request a reload, after one that may be in progress."""
        self._asked.set()

    async def run(self) -> None:
        """Serve until cancelled; a reload in progress then changes nothing."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            began = time.monotonic()
            self._manager.reloading()
            try:
                outcome = await self._reload(began)
            except SetupError as error:
                outcome = _fail(began, [str(fault) for fault in error.faults])
            except AirlockError as error:
                outcome = _fail(began, [f"{error.message}; {error.hint}"])
            except Exception as error:  # noqa: BLE001 - whatever went wrong, serving goes on
                log.exception("a fault of the daemon ended a reload; please report it")
                fault = own_fault(error)
                outcome = _fail(began, [f"{fault.message}; {fault.hint}"])
            try:
                self._report(outcome)
            except Exception:  # noqa: BLE001 - serving goes on
                log.exception(
                    "a fault of the daemon kept it from reporting a reload; please report it"
                )
            self._manager.ready()

    async def _reload(self, began: float) -> Reload:
        # The disk may be slow; a stop does not wait for it.
        before = self.setup
        load = partial(
            Setup.load, before.locations, noted=before.noted, variables=self._shared.environment
        )
        setup = await run_in_thread(load)
        await trio.lowlevel.checkpoint_if_cancelled()
        _refuse_moved(self.setup, setup)
        await run_in_thread(partial(warn_unkept, setup))
        setup, _ = await settle_granted(setup, self._shared)
        try:
            self._set_access(setup)
            self._served_agents.adopt(setup)
        except Exception:
            # Also where code that an agent is now granted cannot be loaded.
            self._set_access(before)
            raise
        log.setLevel(setup.config.log_level)
        self.setup = setup
        for warning in setup.warnings:
            log.warning("warning: %s", warning)
        for line in setup.describe_unserved():
            log.error("%s", line)
        return compare(before, setup, began=began)

    def _set_access(self, setup: Setup) -> None:
        self._sockets.set_access(mode=setup.config.socket_mode, gid=setup.config.socket_gid)

    def _report(self, outcome: Reload) -> None:
        """Report the outcome: to the log, the audit log and the other commands."""
        if outcome.faults:
            for line in "\n".join(outcome.faults).split("\n"):
                log.error("%s", line)
            log.error("not reloaded: the daemon goes on with what it had")
            reason = shorten(outcome.faults[0])
            self._shared.record(Record(event="reload", outcome="failed", reason=reason))
        else:
            changes = describe_changes(outcome)
            log.info("reloaded: %s", changes)
            detail = shorten(changes, limit=DETAIL)
            why = [fault for faults in outcome.unserved.values() for fault in faults]
            reason = shorten("; ".join(why)) if why else None
            record = Record(event="reload", outcome="allowed", detail=detail, reason=reason)
            self._shared.record(record)
        try:
            self._sockets.post(replace(DaemonStatus.of(self.setup.locations), reload=outcome))
        except AirlockError as error:
            log.error("%s; %s", error.message, error.hint)


def warn_unkept(setup: Setup) -> None:
    """Note which directories the workspaces are; warn if the note cannot be written."""
    warning = setup.state.write_notes(setup.noted)
    if warning is not None:
        log.warning("warning: %s", warning)


def compare(before: Setup, after: Setup, *, began: float) -> Reload:
    """List the agents added, changed and removed between two setups."""
    old, new = before.generations, after.generations
    is_moved = before.search_path != after.search_path
    return Reload(
        began=began,
        ended=time.time(),
        added=tuple(name for name in new if name not in old),
        changed=tuple(
            name for name in new if name in old and (is_moved or _differs(name, old, new))
        ),
        removed=tuple(name for name in old if name not in new),
        unserved={
            name: tuple(_escape(str(fault)) for fault in each.faults)
            for name, each in after.unserved.items()
        },
    )


def describe_changes(reload: Reload) -> str:
    """One line: the agents added, changed, removed and not served."""
    kinds = {"added": reload.added, "changed": reload.changed, "removed": reload.removed}
    said = [f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names]
    said += [f"not served {', '.join(reload.unserved)}"] if reload.unserved else []
    return "; ".join(said) or "no agent has changed"


def _differs(name: str, old: Mapping[str, Generation], new: Mapping[str, Generation]) -> bool:
    return any(
        getattr(old[name], field) != getattr(new[name], field)
        for field in Generation.__struct_fields__
        if field not in _NOT_THE_AGENTS
    )


def _refuse_moved(before: Setup, after: Setup) -> None:
    """Raise SetupError if a path changed that the daemon uses until its end.

    It writes one chain of records, and commands find its control socket in the state directory.
    """
    paths = (
        ("log.path", before.config.log.path, after.config.log.path),
        ("daemon.state", before.state.directory, after.state.directory),
    )
    faults = [
        Fault(
            after.locations.config_file,
            key,
            f"cannot change while the daemon runs, which uses {old}",
            f'restart the daemon, or write {key.rpartition(".")[2]} = "{old}" again',
        )
        for key, old, new in paths
        if new != old
    ]
    if faults:
        raise SetupError(tuple(faults))


def _fail(began: float, faults: Sequence[str]) -> Reload:
    told = [_escape(fault) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        told.append(f"and {len(faults) - _MAX_FAULTS} more: airlock check")
    return Reload(began=began, ended=time.time(), faults=tuple(told))


def _escape(text: str) -> str:
    """`text` with escapes for characters that UTF-8 cannot encode."""
    return text.encode(errors="backslashreplace").decode()
