"""Asking a program of the host one thing: what it prints, within a bounded time."""

from contextlib import closing
from functools import partial

import trio

from airlock_daemon.command.launcher import CommandLine, Launcher
from airlock_daemon.command.process import Command
from airlock_daemon.command.stdio import Piped
from airlock_daemon.errors import Failed
from airlock_daemon.fairness.turns import Turns
from airlock_wire import Stream

ANSWER_S = 10.0
# Bytes of an answer that are kept.
MOST = 1 << 20


async def ask(line: CommandLine, launcher: Launcher, turns: Turns) -> tuple[int, bytes]:
    """Run `line` without input; returns its exit status, and what it printed on stdout.

    Raises Failed where it cannot be started or does not end in time. Either way none of its
    processes is left.
    """
    said = bytearray()

    async def keep(stream: Stream, data: bytes) -> None:
        if stream == "stdout":
            said.extend(data[: MOST - len(said)])

    with closing(Piped(has_input=False)) as stdio:
        launch = await launcher.launch(line, stdio.standard)
        command = Command(launch, stdio, turns, ahead=0, credit=0)
        try:
            with trio.move_on_after(ANSWER_S):
                ended = await command.relay(keep, _expect_none, partial(trio.sleep, 0))
                return ended.exit_code, bytes(said)
        finally:
            await command.finish()
    raise Failed(
        f"{line.program} did not answer in {ANSWER_S:g} s",
        hint=f"a person on the host can run it there as the user of the daemon: {line.argv[0]}",
    )


async def _expect_none(count: int) -> None:
    raise AssertionError(count)
