"""Hooks: executables of the host's owner. The pre-exec hook sees a request and decides on it.

The launcher runs a hook like a tool: in its own session, and it ends every process that the hook
started, including those that left its session or hold its pipes.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.command import (
    Command,
    CommandLine,
    Ended,
    Launcher,
    Piped,
    cannot_start,
)
from airlock_daemon.boundary.fairness import UNCOUNTED_BYTES, Gate, TurnQueue, too_large_error
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.platform.system import SEARCH
from airlock_daemon.serving.request.job import Call
from airlock_daemon.serving.request.state import AgentState, DaemonState, log
from airlock_daemon.setup.generation import Generation
from airlock_modules.operation import Operation
from airlock_wire import (
    Limits,
    RemoteProtocolError,
    Request,
    ServerSession,
    StdinData,
    StdinEnd,
    Stream,
    quote,
)

# Bytes of a hook's stderr that reach the daemon's log.
STDERR_BYTES = 4096

# Bytes of a hook's message that are made before it reads them.
WINDOW = 65536


# JSON can escape two bytes as six characters, as Python does by default.
GROWTH = 3

REASON_CHARACTERS = 500

_SILENCE = (
    "if it asks a person, nobody answered: ask again when somebody is there; a person on the host "
    f"can give it longer, by [hooks] timeout_s in config.toml{AND_RELOAD}"
)

# The params that an answer may change.
_FREE = frozenset(("command", "args", "cwd"))


class HookFault(Exception):
    """A hook failed. `message` continues a sentence that begins with its name; `rule` is its code.

    It never reaches a client: the caller converts it to an error with a remedy.
    """

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(message)
        self.message = message
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
    """Run the hook at `path` with `message` as its stdin, within `[hooks] timeout_s` seconds.

    Its cwd is the agent's directory, its environment PATH, HOME, USER and AIRLOCK_AGENT. `hear`
    gets its stdout in pieces and raises ValueError to reject it. Returns the exit status. Raises
    HookFault if the hook cannot be run, times out, is ended by a signal, or its output is rejected.
    No process of it is left in any case.
    """
    said = _HookOutput(hear)
    timeout = generation.hook_limits.timeout_s
    try:
        home = generation.agent.directory
        directory = os.open(home, SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
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
        said.log_stderr(f"agent {generation.agent.name}: {os.path.basename(path)}")
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
    turns: TurnQueue,
) -> Ended:
    with closing(Piped(has_input=True)) as stdio:
        launch = await launcher.launch(line, stdio.standard)
        command = Command(launch, stdio, turns, ahead=0, credit=WINDOW)
        try:
            feed = _Feed(command, message)
            await feed.go_on(0)
            return await command.relay(hear, feed.go_on)
        finally:
            await command.finish()


class _Feed:
    """Feeds a hook's stdin as it reads, so that a long message is made in pieces."""

    def __init__(self, command: Command, message: Iterator[bytes]) -> None:
        self._command = command
        self._message = message
        self._ahead = 0

    async def go_on(self, count: int) -> None:
        """The hook has read `count` bytes: write as many more, or the end."""
        self._ahead -= count
        while self._ahead < WINDOW:
            piece = next(self._message, None)
            if piece is None:
                self._command.handle(StdinEnd())
                return
            self._command.handle(StdinData(data=piece))
            self._ahead += len(piece)


class _HookOutput:
    """A hook's output: passes stdout to `hear`, and stores the beginning of stderr."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._said = bytearray()

    async def take(self, stream: Stream, data: bytes) -> None:
        if stream == "stderr":
            self._said += data[: STDERR_BYTES - len(self._said)]
            return
        try:
            self._hear(data)
        except ValueError as error:
            raise HookFault(f"printed what is no answer: {error}", rule="answer") from None

    def log_stderr(self, who: str) -> None:
        """Write the hook's stderr to the daemon's log."""
        for line in self._said.decode("utf-8", "replace").splitlines():
            log.info("%s: %s", who, quote(line))


async def consult(
    request: Request,
    path: str,
    call: Call,
    *,
    container: str | None,
    operation: Operation,
) -> Request:
    """Show a request to the hook at `path`; return the request to perform, often the same.

    `container` is the proven id. The hook gets the line of `operation` as `params.operation`, with
    nothing left out. Raises Denied: layer "hook" if the hook refuses or fails, layer
    "limit" if too many requests wait for a hook.
    """
    generation, agent, limits = call.generation, call.agent, call.generation.limits
    shown = _encode(replace(request, container_id=container), operation)
    answer = _Answer(GROWTH * limits.request_bytes, agent.gate)
    place = await agent.gate.acquire_for_hook()
    try:
        await agent.share.acquire(place)
        exit_code = await run_hook(
            path, iter((shown,)), answer.add, generation=generation, agent=agent, shared=call.shared
        )
        if exit_code == 0:
            return _read_answer(answer.data, shown, request, limits.arguments)
    except HookFault as fault:
        raise Denied(
            f"the pre-exec hook {fault.message}",
            layer="hook",
            rule=fault.rule,
            hint=_SILENCE
            if fault.rule == "timeout"
            else f"a person on the host has to mend {path}",
        ) from fault
    finally:
        answer.release()
        agent.share.release(place)
        place.release()
    reason = _find_reason(answer.data)
    because = f" (exit status {exit_code})" if reason is None else f": {reason}"
    raise Denied(
        f"the pre-exec hook refuses {quote(request.command)}{because}",
        layer="hook",
        rule="refused",
        hint=f"a person on the host decides that, by {path}",
    )


def _encode(request: Request, operation: Operation) -> bytes:
    """The request with its operation, as a line of JSON."""
    # Undecoded: an id may have more digits than a number here.
    message = msgspec.json.decode(request.encode(), type=dict[str, msgspec.Raw])
    params = msgspec.json.decode(message["params"], type=dict[str, msgspec.Raw])
    params["operation"] = msgspec.Raw(msgspec.json.encode(operation.whole))
    message["params"] = msgspec.Raw(msgspec.json.encode(params))
    return msgspec.json.encode(message) + b"\n"


class _Answer:
    """A hook's stdout, at most `limit` bytes, counted against the agent's bytes of requests."""

    def __init__(self, limit: int, gate: Gate) -> None:
        self._most = limit
        self._gate = gate
        self._held = 0
        self.data = bytearray()

    def add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self._most:
            raise ValueError(f"it has more than {self._most} bytes")
        if len(self.data) > UNCOUNTED_BYTES:
            if not self._gate.reserve(len(data)):
                raise too_large_error()
            self._held += len(data)

    def release(self) -> None:
        self._gate.release(self._held)


def _find_reason(output: bytearray) -> str | None:
    """The hook's reason: `message`, or `error` as hooks of earlier releases print it."""
    try:
        body = msgspec.json.decode(output)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else None
    for reason in (body.get("message"), error, inner):
        if isinstance(reason, str) and reason:
            return quote(reason, limit=REASON_CHARACTERS)
    return None


def _read_answer(output: bytearray, shown: bytes, request: Request, arguments: int) -> Request:
    """The request to perform after a hook that agrees; raises HookFault.

    A member that the hook omits stays unchanged.
    """
    if not output.strip() or output == shown:
        return request
    try:
        answer = msgspec.json.decode(output)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"which is no JSON: {error}") from None
    if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
        raise _wrong('without "jsonrpc":"2.0"')
    params = answer.get("params")
    if not isinstance(params, dict) or not {"command", "args"} <= params.keys():
        raise _wrong("whose params have no command or no args")
    before = msgspec.json.decode(shown)
    changed = _list_changes(answer, before, free=frozenset(("params",)))
    changed += [f"params.{name}" for name in _list_changes(params, before["params"], free=_FREE)]
    if changed:
        raise _wrong(f"that changes {quote(changed[0])}: only command, args and cwd may differ")
    decoded = _decode({**before["params"], **params}, arguments)
    return replace(request, command=decoded.command, args=decoded.args, cwd=decoded.cwd)


def _list_changes(
    after: Mapping[str, object], before: Mapping[str, object], *, free: frozenset[str]
) -> list[str]:
    return [
        name
        for name, value in after.items()
        if name not in free and (name not in before or before[name] != value)
    ]


def _decode(params: Mapping[str, object], arguments: int) -> Request:
    """Parse the params by the rules for a client's request."""
    free = {name: params[name] for name in sorted(_FREE)}
    message = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": free}
    line = msgspec.json.encode(message) + b"\n"
    wire = ServerSession(limits=Limits(request_bytes=len(line), arguments=arguments))
    wire.receive_data(line)
    try:
        request = wire.next_event()
    except RemoteProtocolError as error:
        raise _wrong(f"that is none: {error.error.message}") from None
    if not isinstance(request, Request):
        raise _wrong("that is none")
    return request


def _wrong(which: str) -> HookFault:
    return HookFault(f"printed a request {which}", rule="answer")
