"""Runs a command in a box and serves its relay and network."""

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.kept_home import HomeInUse
from airlock_daemon.boundary.box.launch import BoxBuilder, BoxedLaunch, Leftover
from airlock_daemon.boundary.box.prewarmed import start_boxed
from airlock_daemon.boundary.command.launcher import Ended, Launch
from airlock_daemon.boundary.command.process import Begin, Command, Emit, Stdio
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Failed
from airlock_daemon.platform.linux.procfs import read_process_file
from airlock_daemon.serving.request.closing_notes import UNSIGNED, find_notes, makes_commit
from airlock_daemon.serving.request.command import Steps, run_command
from airlock_daemon.serving.request.egress import Egress
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.relay import Origin, Relay
from airlock_daemon.serving.request.tool import Boxed
from airlock_modules import GIT_SIGN

if TYPE_CHECKING:
    from airlock_daemon.boundary.box.landlock import LandlockRunner

_Result = TypeVar("_Result")


async def run_boxed(job: Job, boxed: Boxed, call: Call, emit: Emit, *, answers: bool) -> Finished:
    """Run a job's command in its box; the contract of `execution.run_command`."""
    agent = call.agent
    async with AsyncExitStack() as undo:
        runner = relay = None
        if boxed.maker.bubblewrap is None:
            from airlock_daemon.boundary.box.landlock import (  # noqa: PLC0415
                LandlockRunner,
                private_directory,
            )

            identity = boxed.maker.identity
            private = await undo.enter_async_context(private_directory(identity, agent.removals))
            group = agent.open_group()
            if group is not None:
                undo.callback(group.close)
            runner = LandlockRunner(
                launcher=call.shared.launcher,
                identity=identity,
                reserved=boxed.reserved,
                lookups=agent.lookups,
                private=private,
                group=group,
            )
        if boxed.box.asks:
            relay = undo.enter_context(closing(_open_relay(boxed.box.asks, job.peer, call)))
        steps = _BoxedSteps(job, call, emit, boxed, runner=runner, relay=relay)
        undo.push_async_callback(steps.leave_home)
        return await run_command(steps, answers=answers)


class _BoxedSteps(Steps):
    """The steps of a command in a box.

    Without bubblewrap, `runner` starts it. Its tools reach brokers over `relay`.
    """

    def __init__(
        self,
        job: Job,
        call: Call,
        emit: Emit,
        boxed: Boxed,
        *,
        runner: "LandlockRunner | None",
        relay: Relay | None,
    ) -> None:
        super().__init__(job, call, emit)
        self._boxed = boxed
        self._runner = runner
        self._relay = relay
        self._pool = call.agent.pool
        self._egress: Egress | None = None
        self._home: HomeInUse | None = None
        self._launch: BoxedLaunch | None = None

    async def launch(self, stdio: Stdio) -> Launch:
        """Start the command in its box. Raises Failed."""
        shared, boxed = self.call.shared, self._boxed
        kept = () if self._relay is None else (self._relay.number,)
        if self._runner is not None:
            return await self._runner.start(
                self.line, stdio.standard, boxed.box, terminal=stdio.terminal, kept=kept
            )
        if boxed.maker.bubblewrap is None:
            raise TypeError(boxed.maker)
        builder = BoxBuilder(
            bubblewrap=boxed.maker.bubblewrap,
            launcher=shared.launcher,
            identity=boxed.maker.identity,
            reserved=boxed.reserved,
            null=shared.null,
            lookups=self.call.agent.lookups,
            open_group=self.call.agent.open_group,
        )
        return await start_boxed(
            self.line,
            stdio.standard,
            boxed.box,
            by=builder,
            terminal=stdio.terminal,
            kept=kept,
            pool=self._pool,
        )

    def started(self, launch: Launch) -> None:
        """Start serving the box's relay, network and kept home."""
        if self._relay is not None:
            self._relay.hand_over()
        listeners = self._boxed.box.listeners
        if isinstance(launch, BoxedLaunch):
            self._launch = launch
            home = self._boxed.box.kept_home
            if home is not None:
                self._home = HomeInUse(
                    home,
                    self.job.generation.limits,
                    due=self.call.agent.homes_due,
                    limiter=self.call.agent.removals,
                    end=partial(launch.signal, signal.SIGKILL),
                )
            if listeners is not None and launch.listeners is not None:
                self._egress = Egress(
                    listeners,
                    launch.listeners,
                    self.job.module,
                    recording=self.call.recording,
                    peer=self.job.peer,
                    agent=self.call.agent,
                    shared=self.call.shared,
                )

    def begun(self) -> None:
        """Refill the pool: the agent may send more requests while this one runs."""
        if self._pool is not None:
            self._pool.refill(self._boxed.reserved, has_ended=False)

    async def relay(self, command: Command, begin: Begin) -> Ended:
        """Relay the command's output, and serve its tools' requests meanwhile."""
        serving = (self._relay, self._egress, self._home)
        companions = [each for each in serving if each is not None]
        relay = partial(super().relay, command, begin)
        return await (_accompany(companions, relay) if companions else relay())

    async def ended(self, finished: Finished) -> None:
        """Send the client the notes that the boxed tool could not write itself."""
        ended, agent = finished.ended, self.call.agent
        refused = self._egress.refused if self._egress else ()
        notes = [
            *find_notes(
                self.line, self._boxed, ended, leftovers=self._find_leftovers(), refused=refused
            )
        ]
        emptied = None if self._home is None else await self._home.settle()
        if emptied is not None:
            notes.append(emptied)
        is_owed = agent.owes_word_of_signing and GIT_SIGN not in self._boxed.box.asks
        if ended.exit_code == 0 and is_owed and makes_commit(self.line):
            agent.owes_word_of_signing = False
            notes.append(UNSIGNED)
        if notes:
            said = "".join(f"airlock: {note}{self.job.line_end}" for note in notes)
            await self.emit("stderr", said.encode())

    async def leave_home(self) -> None:
        """Bound the home, once no process of the command is left."""
        if self._home is not None:
            await self._home.leave()

    def answered(self) -> None:
        """Refill the pool with a box for the next command of this kind."""
        if self._pool is not None:
            self._pool.refill(self._boxed.reserved, has_ended=True)

    def _find_leftovers(self) -> tuple[Leftover, ...]:
        if self._runner is not None:
            return self._runner.find_leftovers()
        return () if self._launch is None else self._launch.leftovers


def _open_relay(commands: tuple[str, ...], peer: Peer, call: Call) -> Relay:
    """Make a relay that accepts `commands` only. Raises Failed."""
    # The descriptors in a box come from the client or from the daemon.
    mounts = peer.mountinfo + read_process_file(os.getpid(), "mountinfo")
    peer = replace(peer, kind="container", mountinfo=mounts)
    origin = Origin(call.recording.request, commands, peer)
    try:
        return Relay(origin, call.converse, agent=call.agent, shared=call.shared)
    except OSError as error:
        raise Failed(
            f"the relay of the box cannot be made: {error.strerror}",
            hint="close connections, or raise the limit of open files (ulimit -n) for the daemon",
        ) from error


class _Companion(Protocol):
    """Serves what one command's tools request."""

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve until cancelled; may start tasks in the nursery."""


async def _accompany(
    companions: Sequence[_Companion], run: Callable[[], Awaitable[_Result]]
) -> _Result:
    """Return the result of `run`; the companions serve until it ends."""
    outcome: _Result | Exception
    async with trio.open_nursery() as nursery:
        for companion in companions:
            nursery.start_soon(companion.serve, nursery)
        try:
            outcome = await run()
        except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
            outcome = error
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
