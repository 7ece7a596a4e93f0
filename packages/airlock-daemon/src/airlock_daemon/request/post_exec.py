"""The post-exec hook: it sees what a command has put out before the client does."""

import msgspec

from airlock_daemon.command.launch import Ended
from airlock_daemon.connection.session import Session
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.request.capture import Capture
from airlock_daemon.request.hook_result import HookResult, ResultReader
from airlock_daemon.request.hooks import HookFault, run_hook
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_wire import Stream

# A hook may answer with so many times what is captured at most.
GROWTH = 2

# What is sent before others have a turn.
PIECE = 65536


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """What the client gets; `detail` is what the hook did about it, for the audit record."""

    ended: Ended
    stdout: bytes | bytearray
    stderr: bytes | bytearray
    detail: str


async def review(
    capture: Capture,
    ended: Ended,
    path: str,
    *,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
) -> Reviewed:
    """Show the hook at `path` a command's end and output; return what the client is to get.

    Where the hook is of no use that is what it was shown, and `detail` says so. What was dropped is
    told at the end of stderr.
    """
    reader = ResultReader(GROWTH * generation.hook_limits.capture_bytes)
    try:
        exit_code = await run_hook(
            path,
            capture.encode(ended),
            reader.feed,
            generation=generation,
            agent=agent,
            shared=shared,
        )
        if exit_code:
            raise HookFault(f"ended with exit status {exit_code}", rule="refused")
        result = await _finish(reader, agent.turns)
        detail = "post-exec left the output as it was"
    except HookFault as fault:
        result = HookResult()
        detail = f"post-exec {fault.message}; the output was sent as it was"
    stdout = capture.stdout.data if result.stdout is None else result.stdout
    stderr = capture.stderr.data if result.stderr is None else result.stderr
    if (stdout, stderr) != (capture.stdout.data, capture.stderr.data):
        detail = "post-exec gave other output"
    if result.exit_code not in (None, ended.exit_code):
        ended = Ended(result.exit_code, None)
        detail += f", and exit status {result.exit_code}"
    if capture.dropped:
        dropped = f"{capture.dropped} bytes of output beyond [hooks] capture_max_mb were dropped"
        detail += f"; {dropped}"
        begun = b"\n" if stderr and not stderr.endswith(b"\n") else b""
        stderr = stderr + begun + f"airlock: {dropped}; write less, or into a file\n".encode()
    return Reviewed(ended=ended, stdout=stdout, stderr=stderr, detail=detail)


async def send(reviewed: Reviewed, session: Session, turns: Turns) -> None:
    """Send the output; raises ClientGone."""
    outputs: tuple[tuple[Stream, bytes | bytearray], ...]
    outputs = ("stdout", reviewed.stdout), ("stderr", reviewed.stderr)
    for stream, data in outputs:
        for start in range(0, len(data), PIECE):
            await turns.take()
            await session.send_output(stream, bytes(data[start : start + PIECE]))


async def _finish(reader: ResultReader, turns: Turns) -> HookResult:
    try:
        result = await reader.finish(turns.take)
    except (ValueError, RecursionError) as error:
        raise HookFault(f"printed what is no result: {error}", rule="answer") from None
    if result == HookResult():
        raise HookFault("printed a result without a value", rule="answer")
    return result or HookResult()
