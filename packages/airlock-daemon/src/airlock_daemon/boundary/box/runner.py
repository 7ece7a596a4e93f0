"""Runs one command in its box: a prewarmed one, one that bubblewrap makes, or a fence."""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Protocol

import trio

from airlock_daemon.boundary.box.choice import Boxed
from airlock_daemon.boundary.box.kept_home import HomeInUse
from airlock_daemon.boundary.box.launch import BoxBuilder, BoxedLaunch, find_losses
from airlock_daemon.boundary.box.prewarmed import BoxPool, start_boxed
from airlock_daemon.boundary.command import CommandLine, Group, Launch, Launcher
from airlock_daemon.setup.generation import Limits

if TYPE_CHECKING:
    from airlock_daemon.boundary.box.landlock import LandlockRunner


class BoxedAgent(Protocol):
    """An agent's shares of the daemon for its boxes.

    Threads of `lookups` open files, those of `removals` measure and remove them; `homes_due` has
    the time of each kept home's next measurement.
    """

    lookups: trio.CapacityLimiter
    removals: trio.CapacityLimiter
    homes_due: dict[str, float]
    pool: BoxPool | None

    def open_group(self) -> Group | None:
        """Open a cgroup for a box; the caller closes it."""


class BoxRun:
    """One command in its box; `open_run` makes it.

    While the command runs, its caller serves `home`, the limits of a kept home; None for a fresh
    one. `listeners` brings the box's listening sockets, if it has any. Both are set by `start`.
    """

    def __init__(
        self,
        boxed: Boxed,
        by: "BoxBuilder | LandlockRunner",
        agent: BoxedAgent,
        limits: Limits,
    ) -> None:
        self._boxed = boxed
        self._by = by
        self._limits = limits
        self._agent = agent
        self._launch: BoxedLaunch | None = None
        self.home: HomeInUse | None = None
        self.listeners: socket | None = None

    async def start(
        self, what: CommandLine, standard: Sequence[int], *, terminal: int, kept: Sequence[int]
    ) -> Launch:
        """Start `what`, otherwise as `NativeLauncher.launch`. Raises Denied and Failed."""
        box, by = self._boxed.box, self._by
        if not isinstance(by, BoxBuilder):
            return await by.start(what, standard, box, terminal=terminal, kept=kept)
        launch = await start_boxed(
            what, standard, box, by=by, terminal=terminal, kept=kept, pool=self._agent.pool
        )
        self._launch, self.listeners = launch, launch.listeners
        if box.kept_home is not None:
            self.home = HomeInUse(
                box.kept_home,
                self._limits,
                due=self._agent.homes_due,
                limiter=self._agent.removals,
                end=partial(launch.signal, signal.SIGKILL),
            )
        return launch

    def refill(self, *, has_ended: bool) -> None:
        """Have a box prewarmed for another such command; this one has ended or only started."""
        if self._agent.pool is not None:
            self._agent.pool.refill(self._boxed.reserved, has_ended=has_ended)

    def find_left(self, argv: Sequence[str]) -> tuple[list[str], list[str]]:
        """The paths of what the tool left where nothing is kept, and warnings about the losses.

        `argv` is the command's.
        """
        if isinstance(self._by, BoxBuilder):
            left = () if self._launch is None else self._launch.leftovers
        else:
            left = self._by.find_leftovers()
        return [each.path for each in left], list(find_losses(left, argv))


@asynccontextmanager
async def open_run(
    boxed: Boxed, agent: BoxedAgent, limits: Limits, *, launcher: Launcher, null: int
) -> AsyncIterator[BoxRun]:
    """Prepare to run a command in its box; on exit no process of it may be left.

    `launcher` and an open /dev/null make it, unless a box waits in the agent's pool. Raises Failed.
    """
    identity, bubblewrap = boxed.maker.identity, boxed.maker.bubblewrap
    async with AsyncExitStack() as undo:
        by: BoxBuilder | LandlockRunner
        if bubblewrap is not None:
            by = BoxBuilder(
                bubblewrap=bubblewrap,
                launcher=launcher,
                identity=identity,
                reserved=boxed.reserved,
                null=null,
                lookups=agent.lookups,
                open_group=agent.open_group,
            )
        else:
            from airlock_daemon.boundary.box import landlock  # noqa: PLC0415

            private = await undo.enter_async_context(
                landlock.private_directory(identity, agent.removals)
            )
            group = agent.open_group()
            if group is not None:
                undo.callback(group.close)
            by = landlock.LandlockRunner(
                launcher=launcher,
                identity=identity,
                reserved=boxed.reserved,
                lookups=agent.lookups,
                private=private,
                group=group,
            )
        run = BoxRun(boxed, by, agent, limits)
        try:
            yield run
        finally:
            if run.home is not None:
                await run.home.clean_up()
