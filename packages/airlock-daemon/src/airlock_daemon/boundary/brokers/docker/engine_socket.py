"""Finds the socket of the human's docker engine, as docker's own client does."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.generation import Generation, leads_through
from airlock_wire import quote

_UNIX = "unix://"
_USUAL = "/var/run/docker.sock"
_OWN_CONTEXT = "default"
_CONTEXT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
_MAX = 1 << 20


class _Configuration(msgspec.Struct):
    """The part of config.json that names the context in use."""

    context: str = msgspec.field(default="", name="currentContext")


class _Endpoint(msgspec.Struct):
    host: str = msgspec.field(default="", name="Host")


class _Context(msgspec.Struct):
    """The part of a context's meta.json that names its engine."""

    endpoints: dict[str, _Endpoint] = msgspec.field(default_factory=dict, name="Endpoints")


def find_engine_of(generation: Generation, environment: Mapping[str, str]) -> str:
    """The path of an agent's engine: that of `[docker]`, else of the human's docker.

    Raises Denied.
    """
    named = "" if generation.docker is None else generation.docker.engine
    variables: Mapping[str, str] = {
        **environment,
        **generation.agent.profile.env,
        **({"DOCKER_HOST": f"{_UNIX}{named}"} if named else {}),
    }
    return find_engine(variables, partial(leads_through, written=generation.workspaces))


def find_engine(variables: Mapping[str, str], is_written: Callable[[str], bool]) -> str:
    """Find the engine's socket: that of DOCKER_HOST, else of the current context, else the default.

    `variables` are the daemon's and the profile's. Raises Denied (rule "engine") for an engine
    without a unix socket on this host, or one that an agent could choose: `is_written` tells if a
    path leads through a directory that one writes.
    """
    named = variables.get("DOCKER_HOST", "")
    if not named:
        named = _find_in_context(variables, is_written)
    path = named.removeprefix(_UNIX)
    if path == named or not os.path.isabs(path):
        # A URL may contain a password.
        scheme = named.partition("://")[0] if "://" in named else "something else"
        raise no_engine(f"the engine of the human's docker is behind {quote(scheme)}")
    _refuse_written(path, is_written)
    return path


def _refuse_written(path: str, is_written: Callable[[str], bool]) -> None:
    if is_written(path):
        raise no_engine(f"the way to {quote(path)} leads through a workspace")


def _find_in_context(variables: Mapping[str, str], is_written: Callable[[str], bool]) -> str:
    folder = os.path.expanduser("~") if "HOME" not in variables else variables["HOME"]
    folder = variables.get("DOCKER_CONFIG", "") or os.path.join(folder, ".docker")
    name = variables.get("DOCKER_CONTEXT", "")
    if not name:
        file = os.path.join(folder, "config.json")
        _refuse_written(file, is_written)
        content = _read(file)
        try:
            name = msgspec.json.decode(content or b"{}", type=_Configuration).context
        except msgspec.DecodeError:
            raise no_engine("the human's configuration of docker is not valid") from None
    if name in ("", _OWN_CONTEXT):
        return _UNIX + _USUAL
    if not _CONTEXT.fullmatch(name):
        raise no_engine("the human's docker names a context that can be none")
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = os.path.join(folder, "contexts", "meta", digest, "meta.json")
    _refuse_written(file, is_written)
    content = _read(file)
    try:
        context = msgspec.json.decode(content or b"{}", type=_Context)
    except msgspec.DecodeError:
        context = _Context()
    host = context.endpoints.get("docker", _Endpoint()).host
    if not host:
        raise no_engine(f"the human's docker context {quote(name)} names no engine")
    return host


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX)
    except OSError:
        return None


def no_engine(problem: str) -> Denied:
    """The error for an agent without an engine."""
    return Denied(
        f"the agent has no docker engine: {problem}",
        layer="broker",
        rule="engine",
        hint="a person on the host can name the unix socket of an engine (one that ssh -L forwards "
        'is one too) in the agent\'s profile: [docker] engine = "unix:///PATH"'
        f"{AND_RELOAD}",
    )
