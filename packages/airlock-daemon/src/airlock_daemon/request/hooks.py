"""Running a hook: an executable of the host's owner that sees a request or a result.

The launcher runs it, as it runs a tool: in a session of its own, and with an end for everything
that it started, also what has left its session or holds its pipes.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial

import trio

from airlock_daemon.command.launch import Ended, cannot_start
from airlock_daemon.command.launcher import Launcher
from airlock_daemon.command.order import CommandLine
from airlock_daemon.command.process import Command
from airlock_daemon.command.stdio import Piped
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.setup.generation import Generation
from airlock_wire import StdinData, StdinEnd, Stream, quote

# Of what a hook says on stderr, which is for the person who reads the daemon's own messages.
SAID_BYTES = 4096

# Of a message to a hook, how many bytes are made before it reads them.
WINDOW = 65536


class HookFault(AirlockError):
    """A hook that is of no use: the message goes on after its name, `rule` is one word for it."""

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


async def run_hook(
    path: str,
    message: Iterator[bytes],
    hear: Callable[[bytes], None],
    *,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
) -> int:
    """Run the hook at `path` with `message` as its stdin, within `[hooks] timeout_s`.

    It stands in the agent's directory and has PATH, HOME, USER and AIRLOCK_AGENT for its variables.
    `hear` gets what it prints on stdout as it comes, and raises ValueError for what it does not
    want. Returns the exit status. Raises HookFault where the hook cannot be run, takes too long, is
    ended by a signal, or prints what is not wanted. In any case none of its processes is left.
    """
    said = _Said(hear)
    timeout = generation.hook_limits.timeout_s
    try:
        home = generation.agent.directory
        directory = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            variables = _build_environment(generation, shared.environment)
            line = CommandLine(path, (path,), variables, directory)
            with trio.move_on_after(timeout) as timer:
                ended = await _run(line, message, said.take, shared.launcher, agent.turns)
        finally:
            os.close(directory)
    except (OSError, Failed) as error:
        reason = error.message if isinstance(error, Failed) else cannot_start(path, error).message
        raise HookFault(f"could not be run: {reason}", rule="not-runnable") from error
    finally:
        said.tell(f"agent {generation.agent.name}: {os.path.basename(path)}")
    if timer.cancelled_caught:
        raise HookFault(f"was ended after {timeout:g} s without an answer", rule="timeout")
    if ended.signal is not None:
        raise HookFault(f"was ended by {ended.signal}", rule="killed")
    return ended.exit_code


def _build_environment(generation: Generation, daemon: Mapping[str, str]) -> dict[str, str]:
    variables = {"PATH": generation.programs.path, "AIRLOCK_AGENT": generation.agent.name}
    return variables | {name: daemon[name] for name in ("HOME", "USER") if name in daemon}


async def _run(
    line: CommandLine,
    message: Iterator[bytes],
    hear: Callable[[Stream, bytes], Awaitable[None]],
    launcher: Launcher,
    turns: Turns,
) -> Ended:
    with closing(Piped(has_input=True)) as stdio:
        launch = await launcher.launch(line, stdio.standard)
        command = Command(launch, stdio, turns, ahead=0, credit=WINDOW)
        try:
            feed = _Feed(command, message)
            return await command.relay(hear, feed.go_on, partial(feed.go_on, 0))
        finally:
            await command.finish()


class _Feed:
    """Gives a hook its stdin as it reads, so that a long message is made in pieces."""

    def __init__(self, command: Command, message: Iterator[bytes]) -> None:
        self._command = command
        self._message = message
        self._ahead = 0

    async def go_on(self, count: int) -> None:
        """So many bytes more were read: give as many again, or the end."""
        self._ahead -= count
        while self._ahead < WINDOW:
            piece = next(self._message, None)
            if piece is None:
                self._command.tell(StdinEnd())
                return
            self._command.tell(StdinData(data=piece))
            self._ahead += len(piece)


class _Said:
    """What a hook says: stdout goes to `hear`, and of stderr the beginning is kept."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._said = bytearray()

    async def take(self, stream: Stream, data: bytes) -> None:
        if stream == "stderr":
            self._said += data[: SAID_BYTES - len(self._said)]
            return
        try:
            self._hear(data)
        except ValueError as error:
            raise HookFault(f"printed what is no answer: {error}", rule="answer") from None

    def tell(self, who: str) -> None:
        """Hand on to the daemon's messages what came on stderr."""
        for line in self._said.decode("utf-8", "replace").splitlines():
            log.info("%s: %s", who, quote(line))
