"""Serving: sockets, signals, and stopping in order."""

import gc
import signal
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack

import msgspec
import trio

from airlock_daemon._version import __version__
from airlock_daemon.audit.log import AuditLog
from airlock_daemon.audit.record import Record
from airlock_daemon.command.launcher import (
    Launcher,
    descriptor_limit,
    find_launcher,
    raise_descriptor_limit,
)
from airlock_daemon.connection.ending import Ending
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.serving.listener import Listener
from airlock_daemon.serving.sockets import SocketsDirectory
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.limits import share_descriptors
from airlock_daemon.setup.load import Setup
from airlock_daemon.setup.programs import search_path

_STOPS = (signal.SIGTERM, signal.SIGINT)


def run_daemon(setup: Setup) -> None:
    """Serve `setup` until SIGTERM or SIGINT.

    Raises AirlockError when something that serving needs is not there or belongs to another daemon.
    """
    with ExitStack() as stack:
        sockets = SocketsDirectory(
            setup.locations.sockets_dir,
            mode=setup.config.socket_mode,
            gid=setup.config.socket_gid,
        )
        stack.callback(sockets.close)
        shared = _open_state(setup)
        stack.callback(shared.close)
        listening = {name: sockets.listen(name) for name in setup.generations}
        shared.record(Record(event="daemon-start", detail=__version__))
        # What was loaded stays: no collection needs to look at it again.
        gc.freeze()
        try:
            trio.run(_serve, setup, shared, sockets, listening, instruments=[shared.rounds])
        finally:
            shared.record(Record(event="daemon-stop"))


def announce(setup: Setup) -> None:
    """Say on the log what is enabled, who is served where, and what is odd."""
    for warning in setup.warnings:
        log.warning("warning: %s", warning)
    log.info("enabled commands: %s", ", ".join(setup.config.enable))
    for name in setup.generations:
        log.info("agent %s: %s/%s/airlock.sock", name, setup.locations.sockets_dir, name)
    if not setup.generations:
        log.info("no agents registered (--agents FILE)")


async def _serve(
    setup: Setup,
    shared: DaemonState,
    sockets: SocketsDirectory,
    listening: dict[str, socket.socket],
) -> None:
    # Three nurseries, since they end one after the other: what accepts, what is accepted, and what
    # watches over both.
    with trio.open_signal_receiver(*_STOPS, signal.SIGHUP) as signals:
        announce(setup)
        async with trio.open_nursery() as watching:
            watching.start_soon(shared.watch.run)
            watching.start_soon(shared.rounds.run)
            watching.start_soon(shared.starts.run)
            async with trio.open_nursery() as requests, trio.open_nursery() as accepting:
                watching.start_soon(
                    _stop_in_order, setup, shared, sockets, signals, accepting.cancel_scope
                )
                # Also with no agent the daemon stays until it is told to stop.
                accepting.start_soon(trio.sleep_forever)
                for name, generation in setup.generations.items():
                    fitting = _fit(generation, agents=len(setup.generations))
                    listener = Listener(shared, AgentState(fitting, shared), listening[name])
                    accepting.start_soon(listener.run, requests)
            watching.cancel_scope.cancel()


def _open_state(setup: Setup) -> DaemonState:
    audit = AuditLog(setup.config.log)
    try:
        launcher = Launcher(find_launcher(), nofile=raise_descriptor_limit())
    except BaseException:
        audit.close()
        raise
    return DaemonState(audit, launcher, search_path=search_path(setup.config.path))


def _fit(generation: Generation, *, agents: int) -> Generation:
    """Lower the limits of an agent as far as the table of descriptors can bear them."""
    table = descriptor_limit()
    limits = share_descriptors(generation.limits, table=table, agents=agents)
    if limits != generation.limits:
        log.warning(
            "agent %s: at most %d connections and %d running commands, "
            "as only %d files may be open (ulimit -n)",
            *(generation.agent.name, limits.connections, limits.running, table),
        )
    return msgspec.structs.replace(generation, limits=limits)


async def _stop_in_order(
    setup: Setup,
    shared: DaemonState,
    sockets: SocketsDirectory,
    signals: AsyncIterator[int],
    accepting: trio.CancelScope,
) -> None:
    await _wait_stop(signals)
    grace = setup.config.shutdown_grace_s
    log.info("stopping: %d running, %g s to end", len(shared.running), grace)
    accepting.cancel()
    sockets.remove()
    _end(shared.idle)
    with trio.move_on_after(grace):
        # Whoever asks a second time does not want to wait.
        await _wait_stop(signals)
    # New ones may still come from what was accepted just before.
    while True:
        _end(shared.idle)
        _end(shared.running)
        await trio.sleep(1)


async def _wait_stop(signals: AsyncIterator[int]) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            return
        log.warning("SIGHUP: this release does not reload; restart it to apply changes")


def _end(endings: Iterable[Ending]) -> None:
    for ending in list(endings):
        ending.end("stop")
