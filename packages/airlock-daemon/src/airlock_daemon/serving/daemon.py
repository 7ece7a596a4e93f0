"""Serving: sockets, signals, and stopping in order."""

import gc
import signal
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack

import trio

from airlock_daemon._version import __version__
from airlock_daemon.audit.record import Record
from airlock_daemon.command.launcher import descriptor_limit, find_launcher, raise_descriptor_limit
from airlock_daemon.connection.ending import Ending
from airlock_daemon.request.state import Host, Service, log
from airlock_daemon.serving.listener import Listener
from airlock_daemon.serving.sockets import SocketsDirectory
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.limits import Limits, share_descriptors
from airlock_daemon.setup.load import Setup

_STOPS = (signal.SIGTERM, signal.SIGINT)


def run_daemon(setup: Setup) -> None:
    """Serve `setup` until SIGTERM or SIGINT.

    Raises AirlockError when something that serving needs is not there or belongs to another daemon.
    """
    launcher = find_launcher()
    with ExitStack() as stack:
        sockets = SocketsDirectory(
            setup.locations.sockets_dir,
            mode=setup.config.socket_mode,
            gid=setup.config.socket_gid,
        )
        stack.callback(sockets.close)
        host = Host(setup, launcher=launcher, nofile=raise_descriptor_limit())
        stack.callback(host.close)
        listening = {name: sockets.listen(name) for name in setup.agents}
        host.record(Record(event="daemon-start", detail=__version__))
        # What was loaded stays: no collection needs to look at it again.
        gc.freeze()
        try:
            trio.run(_serve, host, sockets, listening, instruments=[host.rounds])
        finally:
            host.record(Record(event="daemon-stop"))


def announce(setup: Setup) -> None:
    """Say on the log what is enabled, who is served where, and what is odd."""
    for warning in setup.warnings:
        log.warning("warning: %s", warning)
    log.info("enabled commands: %s", ", ".join(setup.config.enable))
    for name in setup.agents:
        log.info("agent %s: %s/%s/airlock.sock", name, setup.locations.sockets_dir, name)
    if not setup.agents:
        log.info("no agents registered (--agents FILE)")


async def _serve(
    host: Host, sockets: SocketsDirectory, listening: dict[str, socket.socket]
) -> None:
    # Three nurseries, since they end one after the other: what accepts, what is accepted, and what
    # watches over both.
    with trio.open_signal_receiver(*_STOPS, signal.SIGHUP) as signals:
        announce(host.setup)
        async with trio.open_nursery() as watching:
            watching.start_soon(host.watch.run)
            watching.start_soon(host.rounds.run)
            watching.start_soon(host.starts.run)
            async with trio.open_nursery() as requests, trio.open_nursery() as accepting:
                watching.start_soon(_stop_in_order, host, sockets, signals, accepting.cancel_scope)
                # Also with no agent the daemon stays until it is told to stop.
                accepting.start_soon(trio.sleep_forever)
                for name, agent in host.setup.agents.items():
                    limits = _fit(agent, agents=len(host.setup.agents))
                    service = Service(agent, host.setup.grant(agent), limits, host)
                    listener = Listener(host, service, listening[name])
                    accepting.start_soon(listener.run, requests)
            watching.cancel_scope.cancel()


def _fit(agent: Agent, *, agents: int) -> Limits:
    """The limits of `agent` as far as the table of descriptors can bear them."""
    table = descriptor_limit()
    limits = share_descriptors(agent.profile.limits, table=table, agents=agents)
    if limits != agent.profile.limits:
        log.warning(
            "agent %s: at most %d connections and %d running commands, "
            "as only %d files may be open (ulimit -n)",
            *(agent.name, limits.connections, limits.running, table),
        )
    return limits


async def _stop_in_order(
    host: Host,
    sockets: SocketsDirectory,
    signals: AsyncIterator[int],
    accepting: trio.CancelScope,
) -> None:
    await _wait_stop(signals)
    grace = host.setup.config.shutdown_grace_s
    log.info("stopping: %d running, %g s to end", len(host.running), grace)
    accepting.cancel()
    sockets.remove()
    _end(host.idle)
    with trio.move_on_after(grace):
        # Whoever asks a second time does not want to wait.
        await _wait_stop(signals)
    # New ones may still come from what was accepted just before.
    while True:
        _end(host.idle)
        _end(host.running)
        await trio.sleep(1)


async def _wait_stop(signals: AsyncIterator[int]) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            return
        log.warning("SIGHUP: this release does not reload; restart it to apply changes")


def _end(endings: Iterable[Ending]) -> None:
    for ending in list(endings):
        ending.end("stop")
