"""Relays a box's connection to the human's docker engine, and finds the engine's socket."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio

from airlock_daemon.boundary.brokers.egress.conversation import Meter, say_last, splice
from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_wire import quote

# Timeout in seconds: an engine's queue of connections may be full.
_OPEN_S = 30.0


class EngineResult(msgspec.Struct, frozen=True):
    """The outcome: bytes to and from the engine, or the error."""

    sent: int = 0
    received: int = 0
    error: AirlockError | None = None


async def converse(
    connection: trio.SocketStream,
    engine: str,
    turns: TurnQueue,
    tell: Callable[[EngineResult], None],
    closer: Closer,
) -> None:
    """Relay a connection of a box, which the caller closes.

    The daemon opens the socket `engine` with its own rights. There is no idle timeout: a client may
    wait long for a container, or follow its log. `tell` is called once at the end, in any case.
    """
    meter = Meter()
    error: AirlockError | None = None
    try:
        server = await _open(engine)
        async with server:
            with suppress(trio.BrokenResourceError):
                await splice(connection, server, turns, meter, closer, idle_s=None)
    except AirlockError as failed:
        error = failed
    finally:
        tell(EngineResult(meter.sent, meter.received, error))
    if error is not None:
        await refuse(connection, error, turns, closer)


async def _open(engine: str) -> trio.SocketStream:
    why = f"it did not answer within {_OPEN_S:g} s"
    with trio.move_on_after(_OPEN_S):
        try:
            return await trio.open_unix_socket(engine)
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "no such socket"
    raise Failed(
        f"the docker engine at {quote(engine)} of the host cannot be reached: {why}",
        hint="a person on the host can start it, or let the daemon's user use its socket",
    )


async def refuse(
    connection: trio.SocketStream, error: AirlockError, turns: TurnQueue, closer: Closer
) -> None:
    """Refuse in the engine's own protocol, so that docker's client shows the reason."""
    text = f"airlock: {error.message}; {error.hint}"
    body = msgspec.json.encode({"message": text})
    status = HTTPStatus.SERVICE_UNAVAILABLE
    head = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    await say_last(connection, "\r\n".join(head).encode() + body, turns, closer)


_UNIX = "unix://"
_USUAL = "/var/run/docker.sock"
_OWN_CONTEXT = "default"
_CONTEXT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
_MOST = 1 << 20


class _Configuration(msgspec.Struct):
    """The part of config.json that names the context in use."""

    context: str = msgspec.field(default="", name="currentContext")


class _Endpoint(msgspec.Struct):
    host: str = msgspec.field(default="", name="Host")


class _Context(msgspec.Struct):
    """The part of a context's meta.json that names its engine."""

    endpoints: dict[str, _Endpoint] = msgspec.field(default_factory=dict, name="Endpoints")


def find_engine(
    variables: Mapping[str, str], source: str, is_written: Callable[[str], bool]
) -> str:
    """Find the engine's socket: that of DOCKER_HOST, else of the current context, else the default.

    `variables` are the daemon's and the profile's. Raises Denied (layer "sandbox", rule "engine")
    for an engine without a unix socket on this host, or one that an agent could choose:
    `is_written` tells if a path leads through a directory that one writes. `source` is the module
    that wants it.
    """
    named = variables.get("DOCKER_HOST", "")
    if not named:
        named = _find_in_context(variables, source, is_written)
    path = named.removeprefix(_UNIX)
    if path == named or not os.path.isabs(path):
        # A URL may contain a password.
        scheme = named.partition("://")[0] if "://" in named else "something else"
        raise no_engine(f"the engine of the human's docker is behind {quote(scheme)}", source)
    _refuse_written(path, source, is_written)
    return path


def _refuse_written(path: str, source: str, is_written: Callable[[str], bool]) -> None:
    if is_written(path):
        raise no_engine(f"the way to {quote(path)} leads through a workspace", source)


def _find_in_context(
    variables: Mapping[str, str], source: str, is_written: Callable[[str], bool]
) -> str:
    folder = os.path.expanduser("~") if "HOME" not in variables else variables["HOME"]
    folder = variables.get("DOCKER_CONFIG", "") or os.path.join(folder, ".docker")
    name = variables.get("DOCKER_CONTEXT", "")
    if not name:
        file = os.path.join(folder, "config.json")
        _refuse_written(file, source, is_written)
        content = _read(file)
        try:
            name = msgspec.json.decode(content or b"{}", type=_Configuration).context
        except msgspec.DecodeError:
            raise no_engine("the human's configuration of docker is not valid", source) from None
    if name in ("", _OWN_CONTEXT):
        return _UNIX + _USUAL
    if not _CONTEXT.fullmatch(name):
        raise no_engine("the human's docker names a context that can be none", source)
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = os.path.join(folder, "contexts", "meta", digest, "meta.json")
    _refuse_written(file, source, is_written)
    content = _read(file)
    try:
        context = msgspec.json.decode(content or b"{}", type=_Context)
    except msgspec.DecodeError:
        context = _Context()
    host = context.endpoints.get("docker", _Endpoint()).host
    if not host:
        raise no_engine(f"the human's docker context {quote(name)} names no engine", source)
    return host


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST)
    except OSError:
        return None


def no_engine(problem: str, source: str) -> Denied:
    """The error for a box without an engine."""
    return Denied(
        f"the box of this command leads to no docker engine: {problem}",
        layer="sandbox",
        rule="engine",
        hint="a person on the host can name the unix socket of an engine (one that ssh -L forwards "
        'is one too) by DOCKER_HOST = "unix:///PATH" in [env] set of the agent\'s profile'
        f"{AND_RELOAD}; or take {source} away",
    )
