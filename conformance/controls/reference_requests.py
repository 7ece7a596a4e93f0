"""Reading a request line, for the reference daemon."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

MAX_ARGUMENTS = 10_000


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
        command, args = _require_params(value.get("params"))
    except _InvalidParamsError as error:
        text = f"{error.path} is missing or of the wrong type"
        raise Refusal(
            -32602, text, request_id=known, kind="invalid-params", path=error.path
        ) from error
    if len(args) > MAX_ARGUMENTS:
        raise Refusal(-32600, "too many arguments", request_id=known, kind="denied", layer="limit")
    return Request(id=known, method=value["method"], command=command, args=args)


class _InvalidParamsError(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _require_params(params: Any) -> tuple[str, tuple[bytes, ...]]:
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
    features = params.get("features", [])
    if not isinstance(features, list):
        raise _InvalidParamsError("params.features")
    for index, name in enumerate(features):
        if not isinstance(name, str):
            raise _InvalidParamsError(f"params.features[{index}]")
    return params["command"], args


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
