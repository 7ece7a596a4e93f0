"""Runs a command in a box and serves its relay and network."""

import os
from contextlib import AsyncExitStack, closing

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box import Boxed, BoxRun, open_run
from airlock_daemon.boundary.command import Begin, Command, Emit, Ended, Launch, Stdio
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import read_process_file
from airlock_daemon.serving.request.closing_notes import UNSIGNED, find_notes, makes_commit
from airlock_daemon.serving.request.command import Steps, run_command
from airlock_daemon.serving.request.egress import Egress
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.recording import Recording
from airlock_daemon.serving.request.relay import Origin, Relay
from airlock_daemon.serving.request.state import Caller
from airlock_daemon.threads import run_with_others
from airlock_modules import GIT_SIGN


async def run_boxed(job: Job, boxed: Boxed, call: Call, emit: Emit, *, answers: bool) -> Finished:
    """Run a job's command in its box; the contract of `execution.run_command`."""
    agent, shared = call.agent, call.shared
    async with AsyncExitStack() as undo:
        relay = None
        if boxed.box.requests:
            relay = undo.enter_context(closing(_open_relay(boxed.box.requests, job.peer, call)))
        run = await undo.enter_async_context(
            open_run(
                boxed, agent, job.generation.limits, launcher=shared.launcher, null=shared.null
            )
        )
        steps = _BoxedSteps(job, call, emit, boxed, run=run, relay=relay)
        return await run_command(steps, answers=answers)


class _BoxedSteps(Steps):
    """The steps of a command in a box, `run`. Its tools reach brokers over `relay`."""

    def __init__(
        self, job: Job, call: Call, emit: Emit, boxed: Boxed, *, run: BoxRun, relay: Relay | None
    ) -> None:
        super().__init__(job, call, emit)
        self._boxed = boxed
        self._run = run
        self._relay = relay
        self._egress: Egress | None = None

    async def launch(self, stdio: Stdio) -> Launch:
        """Start the command in its box. Raises Failed."""
        kept = () if self._relay is None else (self._relay.number,)
        return await self._run.start(self.line, stdio.standard, terminal=stdio.terminal, kept=kept)

    def started(self) -> None:
        """Start serving the box's relay and network."""
        if self._relay is not None:
            self._relay.hand_over()
        if self._boxed.box.listeners is not None and self._run.listeners is not None:
            self._egress = Egress(
                self._boxed,
                self._run.listeners,
                self.job.module,
                recording=self.call.recording,
                caller=describe_caller(self.job, self.call.recording),
                peer=self.job.peer,
                agent=self.call.agent,
                shared=self.call.shared,
            )

    def begun(self) -> None:
        """Refill the pool: the agent may send more requests while this one runs."""
        self._run.refill(has_ended=False)

    async def relay(self, command: Command, begin: Begin | None) -> Ended:
        """Relay the command's output, and serve its tools' requests meanwhile."""
        serving = (self._relay, self._egress, self._run.home)
        relay = super().relay

        async def run(nursery: trio.Nursery) -> Ended:
            for companion in serving:
                if companion is not None:
                    nursery.start_soon(companion.serve, nursery)
            return await relay(command, begin)

        return await run_with_others(run)

    async def ended(self, finished: Finished) -> None:
        """Send the client the notes that the boxed tool could not write itself."""
        ended, agent = finished.ended, self.call.agent
        refused = self._egress.refused if self._egress else ()
        left, notes = self._run.find_left(self.line.argv)
        notes += find_notes(self.line, self._boxed, ended, left=left, refused=refused)
        home = self._run.home
        emptied = None if home is None else await home.settle()
        if emptied is not None:
            notes.append(emptied)
        is_owed = agent.is_signing_note_due and GIT_SIGN not in self._boxed.box.requests
        if ended.exit_code == 0 and is_owed and makes_commit(self.line):
            agent.is_signing_note_due = False
            notes.append(UNSIGNED)
        if notes:
            said = "".join(f"airlock: {note}{self.job.line_end}" for note in notes)
            await self.emit("stderr", said.encode())

    def answered(self) -> None:
        """Refill the pool with a box for the next command of this kind."""
        self._run.refill(has_ended=True)


def describe_caller(job: Job, recording: Recording) -> Caller:
    """A command's client, for the records of the connections from its box."""
    return Caller(
        peer={"pid": job.peer.pid, "uid": job.peer.uid},
        request=recording.request,
        spend_record=recording.spend_record,
        container=job.peer.container,
        container_proven=job.container_proven,
    )


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
