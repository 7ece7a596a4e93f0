"""The pre-exec hook: what it is shown of a request, and what it may do about it."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.fairness.gate import SMALL, Gate, too_large
from airlock_daemon.request.hooks import HookFault, run_hook
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.setup.generation import Generation
from airlock_wire import Limits, RemoteProtocolError, Request, ServerSession, quote

# JSON can write two bytes as six characters, and hooks in Python do.
GROWTH = 3

REASON_CHARACTERS = 500

_SILENCE = (
    "if it asks a person, nobody answered: ask again when somebody is there; a person on the host "
    f"can give it longer, by [hooks] timeout_s in config.toml{AND_RELOAD}"
)

# What an answer may change of the params.
_FREE = frozenset(("command", "args", "cwd"))


async def consult(
    request: Request,
    path: str,
    *,
    container: str | None,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
) -> Request:
    """Show a request to the hook at `path`; return the one to go on with, often the same.

    `container` is the one that was proved. Raises Denied: by layer "hook" where the hook refuses,
    and where it is of no use; by layer "limit" where too many wait for one.
    """
    limits = generation.limits
    shown = replace(request, container_id=container).encode()
    answer = _Answer(GROWTH * limits.request_bytes, agent.gate)
    place = await agent.gate.take_for_hook()
    try:
        await agent.share.take(place)
        exit_code = await run_hook(
            path, iter((shown,)), answer.add, generation=generation, agent=agent, shared=shared
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
        agent.share.give_back(place)
        place.give_back()
    reason = _find_reason(answer.data)
    because = f" (exit status {exit_code})" if reason is None else f": {reason}"
    raise Denied(
        f"the pre-exec hook refuses {quote(request.command)}{because}",
        layer="hook",
        rule="refused",
        hint=f"a person on the host decides that, by {path}",
    )


class _Answer:
    """What the hook prints: `most` bytes at most, which count as those of requests do."""

    def __init__(self, most: int, gate: Gate) -> None:
        self._most = most
        self._gate = gate
        self._held = 0
        self.data = bytearray()

    def add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self._most:
            raise ValueError(f"it has more than {self._most} bytes")
        if len(self.data) > SMALL:
            if not self._gate.hold(len(data)):
                raise too_large()
            self._held += len(data)

    def release(self) -> None:
        self._gate.release(self._held)


def _find_reason(output: bytearray) -> str | None:
    """The reason that a hook gives: `message`, or `error` as hooks of earlier releases print it."""
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
    """The request to go on with after a hook that agrees; raises HookFault.

    A member that the hook leaves out stays as it was shown.
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
    """Read the params as those of a client are read."""
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
