"""Serving: sockets, signals, and an orderly stop."""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

import trio

from airlock_daemon._version import __version__
from airlock_daemon.boundary.command import Groups, open_launcher
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.platform.system import (
    ask_for_short_slices,
    find_fault,
    forbid_core_dumps,
    forbid_tracing,
    raise_open_files,
)
from airlock_daemon.serving.audit.ledger import Ledger
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.serving.daemon.reload import Reloader, warn_unkept
from airlock_daemon.serving.daemon.served_agents import ServedAgents, settle_granted
from airlock_daemon.serving.daemon.sockets import SocketsDirectory
from airlock_daemon.serving.daemon.store import ServiceManager, SocketStore
from airlock_daemon.serving.request import DaemonState, log
from airlock_daemon.setup.generation import HTTPS, Setup
from airlock_daemon.setup.status import DaemonStatus
from airlock_daemon.threads import run_in_thread

_STOPS = (signal.SIGTERM, signal.SIGINT)

EXIT_S = 30
"""Seconds until a stopped daemon is killed, so that another can start."""


def run_daemon(setup: Setup) -> None:
    """Serve `setup` until SIGTERM or SIGINT.

    Raises AirlockError if something that serving needs is missing or belongs to another daemon.
    """
    if (fault := find_fault()) is not None:
        raise AirlockError(
            f"this macOS does not do what the daemon relies on: {fault}",
            hint="please report what this prints: airlock doctor --self-test",
        )
    forbid_core_dumps()
    if not forbid_tracing():
        log.warning(
            "other processes of this user can trace the daemon on a kernel before Linux 5.14; "
            "run it as a user of its own"
        )
    ask_for_short_slices()
    with ExitStack() as stack:
        manager = ServiceManager(os.environ)
        # First, so that no program inherits the stored sockets.
        store = SocketStore(manager, os.environ)
        stack.callback(store.close)
        sockets = SocketsDirectory(
            setup.locations.sockets_dir,
            mode=setup.config.socket_mode,
            gid=setup.config.socket_gid,
            store=store,
        )
        stack.callback(sockets.close)
        shared = _open_state(setup)
        stack.callback(shared.close)
        # Loaded code stays, so the garbage collector need not visit it.
        gc.freeze()
        trio.run(_serve, setup, shared, sockets, manager, instruments=[shared.rounds])


def announce(setup: Setup) -> None:
    """Log what is enabled, where each agent is served, and warnings."""
    for warning in setup.warnings:
        log.warning("warning: %s", warning)
    log.info("enabled commands: %s", ", ".join(setup.config.enable))
    for line in setup.describe_unserved():
        log.error("%s", line)
    for name, generation in setup.generations.items():
        more = f" and {HTTPS}" if generation.apis else ""
        log.info("agent %s: %s/%s/airlock.sock%s", name, setup.locations.sockets_dir, name, more)
    for note in setup.find_exposures():
        log.info("%s", note.problem)
    if not setup.generations and not setup.unserved:
        unread = setup.locations.registration_file
        if setup.locations.agents is None and os.path.lexists(unread):
            log.warning(
                "warning: no agents registered; to serve those of %s: --agents %s", unread, unread
            )
        else:
            log.info("no agents registered (--agents FILE)")


async def _serve(
    setup: Setup, shared: DaemonState, sockets: SocketsDirectory, manager: ServiceManager
) -> None:
    # From here on, signals stop it in order; before, no client can have connected.
    with trio.open_signal_receiver(*_STOPS, signal.SIGHUP) as signals:
        # First, so that other commands find it as soon as clients can connect.
        sockets.post(DaemonStatus.of(setup.locations))
        warn_unkept(setup)
        setup, boxes = await settle_granted(setup, shared)
        served_agents = ServedAgents(shared, sockets)
        served_agents.adopt(setup)
        sockets.remove_unclaimed()
        shared.record(Record(event="daemon-start", detail=__version__, sandbox=boxes))
        announce(setup)
        reloader = Reloader(setup, shared, sockets, served_agents, manager)
        manager.ready()
        log.info("ready")
        try:
            await _serve_until_stopped(shared, sockets, served_agents, reloader, manager, signals)
        finally:
            shared.record(Record(event="daemon-stop"))
            # The kernel kills it if it hangs, even without memory.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(EXIT_S)


async def _serve_until_stopped(
    shared: DaemonState,
    sockets: SocketsDirectory,
    served_agents: ServedAgents,
    reloader: Reloader,
    manager: ServiceManager,
    signals: AsyncIterator[int],
) -> None:
    # Three nurseries that end in turn: accepting, requests, and watching over both. No socket is
    # closed under a task that waits for it.
    async with trio.open_nursery() as watching:
        watching.start_soon(shared.watch.run)
        watching.start_soon(shared.rounds.run)
        watching.start_soon(shared.starts.run)
        watching.start_soon(shared.audit.run)
        watching.start_soon(_clear_up)
        async with trio.open_nursery() as requests, trio.open_nursery() as accepting:
            accepting.start_soon(served_agents.run, requests, watching)
            accepting.start_soon(reloader.run)
            await _wait_stop(signals, on_hangup=reloader.request)
            grace = reloader.setup.config.shutdown_grace_s
            log.info("stopping: %d running, %g s to end", len(shared.running), grace)
            manager.stopping(grace)
            sockets.withdraw()
            served_agents.stop()
            if shared.boxes is not None:
                shared.boxes.stop()
            watching.start_soon(_end_after, grace, shared, signals)
            accepting.cancel_scope.cancel()
        watching.cancel_scope.cancel()


async def _clear_up() -> None:
    try:
        await run_in_thread(Workspace.remove_stale)
    except Failed as error:
        log.warning("warning: what earlier daemons have left stays: %s; %s", error, error.hint)


def _open_state(setup: Setup) -> DaemonState:
    ledger = Ledger(setup.config.log, agents=len(setup.generations))
    # Before the launcher exists, which would otherwise stay in the daemon's old cgroup.
    groups = Groups.claim(os.environ) if sys.platform == "linux" else "macOS has no cgroups"
    try:
        launcher = open_launcher(nofile=raise_open_files())
    except BaseException:
        if isinstance(groups, Groups):
            groups.close()
        ledger.close()
        raise
    return DaemonState(ledger, launcher, groups=groups, search_path=setup.search_path)


async def _end_after(grace: float, shared: DaemonState, signals: AsyncIterator[int]) -> None:
    with trio.move_on_after(grace):
        # A second signal skips the grace period.
        await _wait_stop(
            signals,
            on_hangup=lambda: log.warning("SIGHUP: not reloaded, since the daemon is stopping"),
        )
    for cancellation in list(shared.running):
        cancellation.end("stop")


async def _wait_stop(signals: AsyncIterator[int], *, on_hangup: Callable[[], None]) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            return
        on_hangup()
