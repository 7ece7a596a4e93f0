"""Reading a request line, for the reference daemon."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_ARGUMENTS = 10_000
_TERM = re.compile(r"[A-Za-z0-9+._-]{1,64}")
_ABSENT = object()


class Refusal(Exception):
    """A request that is refused: the error object, and the id as far as it is known."""

    def __init__(self, code: int, message: str, *, request_id: Any = None, **data: str) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.error = {"code": code, "message": message, "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that is in order; arguments as bytes."""

    id: str | int | float
    method: str
    command: str
    args: tuple[bytes, ...]
    features: tuple[str, ...] | None
    tty: Mapping[str, Any] | None
    env: Mapping[str, bytes]


def parse(line: bytes) -> Any:
    """Return the JSON value of a line; raises `Refusal`."""
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair fails here
    except (ValueError, RecursionError) as error:
        raise Refusal(-32700, f"parse error: {error}", kind="parse-error") from error
    return value


def require_request(value: Any) -> Request:
    """Return the request that a JSON value is; raises `Refusal`."""
    if not isinstance(value, dict):
        raise Refusal(-32600, "not a request object", kind="invalid-request")
    known = value.get("id")
    if isinstance(known, bool) or not isinstance(known, str | int | float):
        raise Refusal(-32600, "the id must be a string or a number", kind="invalid-request")
    if value.get("jsonrpc") != "2.0" or not isinstance(value.get("method"), str):
        raise Refusal(
            -32600, "not a JSON-RPC 2.0 request", request_id=known, kind="invalid-request"
        )
    if value["method"] not in ("exec", "check"):
        raise Refusal(-32601, "unknown method", request_id=known, kind="unknown-method")
    try:
        members = _require_params(value.get("params"))
    except _InvalidParamsError as error:
        text = f"{error.path} is missing or of the wrong type"
        raise Refusal(
            -32602, text, request_id=known, kind="invalid-params", path=error.path
        ) from error
    request = Request(id=known, method=value["method"], **members)
    if len(request.args) > MAX_ARGUMENTS:
        raise Refusal(-32600, "too many arguments", request_id=known, kind="denied", layer="limit")
    return request


class _InvalidParamsError(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _require_params(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise _InvalidParamsError("params")
    if not isinstance(params.get("command"), str) or "\0" in params["command"]:
        raise _InvalidParamsError("params.command")
    if not isinstance(params.get("args"), list):
        raise _InvalidParamsError("params.args")
    args = tuple(_bytes(a, f"params.args[{i}]") for i, a in enumerate(params["args"]))
    if params.get("cwd") is not None:
        _bytes(params["cwd"], "params.cwd")
    if not isinstance(params.get("container_id"), str | None):
        raise _InvalidParamsError("params.container_id")
    return {
        "command": params["command"],
        "args": args,
        "features": _require_features(params.get("features", _ABSENT)),
        "tty": _require_tty(params.get("tty")),
        "env": _require_env(params.get("env")),
    }


def _require_features(features: Any) -> tuple[str, ...] | None:
    if features is _ABSENT:
        return None
    if not isinstance(features, list):
        raise _InvalidParamsError("params.features")
    for index, name in enumerate(features):
        if not isinstance(name, str):
            raise _InvalidParamsError(f"params.features[{index}]")
    return tuple(features)


def _require_tty(tty: Any) -> Mapping[str, Any] | None:
    if tty is None:
        return None
    if not isinstance(tty, dict):
        raise _InvalidParamsError("params.tty")
    for name in ("stdin", "stdout", "stderr"):
        if not isinstance(tty.get(name), bool):
            raise _InvalidParamsError(f"params.tty.{name}")
    for name in ("rows", "cols"):
        if type(tty.get(name)) is not int or not 0 <= tty[name] <= 65_535:
            raise _InvalidParamsError(f"params.tty.{name}")
    term = tty.get("term")
    if term is not None and not (isinstance(term, str) and _TERM.fullmatch(term)):
        raise _InvalidParamsError("params.tty.term")
    return tty


def _require_env(env: Any) -> dict[str, bytes]:
    if env is None:
        return {}
    if not isinstance(env, dict):
        raise _InvalidParamsError("params.env")
    for name in env:
        if not name or "=" in name or "\0" in name:
            raise _InvalidParamsError(f'params.env["{name}"]')
    return {name: _bytes(value, f'params.env["{name}"]') for name, value in env.items()}


def _bytes(value: Any, path: str) -> bytes:
    match value:
        case str():
            data = value.encode()
        case {"base64": str(text)}:
            try:
                data = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError) as error:
                raise _InvalidParamsError(path) from error
        case _:
            raise _InvalidParamsError(path)
    if b"\0" in data:
        raise _InvalidParamsError(path)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
