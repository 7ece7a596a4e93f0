"""Runs a program of the host and returns its output, within a bounded time."""

from collections.abc import Mapping
from contextlib import closing
from typing import Protocol

import trio

from airlock_daemon.boundary.command.launcher import Launcher
from airlock_daemon.boundary.command.order import CommandLine
from airlock_daemon.boundary.command.process import Command
from airlock_daemon.boundary.command.stdio import Piped
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import Failed
from airlock_wire import StdinData, StdinEnd, Stream

ANSWER_S = 10.0
# Limit of the output's bytes; the rest is dropped.
MOST = 1 << 20


class Ask(Protocol):
    """Runs a program of the host."""

    async def __call__(
        self,
        program: str,
        argv: tuple[str, ...],
        /,
        *,
        said: bytes = b"",
        more: Mapping[str, str] = {},
    ) -> tuple[int, bytes]:
        """Return exit status and output. `said` is its stdin, `more` adds variables."""


async def ask(
    line: CommandLine,
    launcher: Launcher,
    turns: TurnQueue,
    *,
    said: bytes = b"",
    seconds: float = ANSWER_S,
) -> tuple[int, bytes]:
    """Run `line` with `said` as its stdin; returns its exit status and stdout.

    Raises Failed if it cannot be started or does not end in time. In any case none of its processes
    is left.
    """
    answer = bytearray()

    async def keep(stream: Stream, data: bytes) -> None:
        if stream == "stdout":
            answer.extend(data[: MOST - len(answer)])

    with closing(Piped(has_input=bool(said))) as stdio:
        launch = await launcher.launch(line, stdio.standard)
        command = Command(launch, stdio, turns, ahead=0, credit=0)
        if said:
            command.tell(StdinData(data=said))
            command.tell(StdinEnd())
        try:
            with trio.move_on_after(seconds):
                ended = await command.relay(keep, _grant_none)
                return ended.exit_code, bytes(answer)
        finally:
            await command.finish()
    raise Failed(
        f"{line.program} did not answer in {seconds:g} s",
        hint=f"a person on the host can run it there as the user of the daemon: {line.argv[0]}",
    )


async def _grant_none(count: int) -> None:
    """Grant nothing: all input was sent at the start."""
