"""Reading what a client sends while its command runs, for the reference daemon."""

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from reference_requests import Refusal, parse

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
_FEATURE_OF = {"stdin": "stdin", "signal": "signals", "resize": "tty"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdin:
    """More of stdin, its end, or both."""

    data: bytes
    eof: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal for the command, by name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """The new size of the terminal."""

    rows: int
    cols: int


def read_message(line: bytes, in_use: Collection[str]) -> Stdin | Signal | Resize | None:
    """Return what a line says, None for what is to be ignored; raises `Refusal`."""
    message = parse(line)
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise Refusal(-32600, "not a message", kind="invalid-request")
    if message.get("jsonrpc") != "2.0":
        raise Refusal(-32600, "not a message of JSON-RPC 2.0", kind="invalid-request")
    method, params = message["method"], message.get("params")
    if _FEATURE_OF.get(method) not in in_use:
        return None
    if not isinstance(params, dict):
        raise _invalid("params")
    if method == "signal":
        if params.get("name") not in _SIGNALS:
            raise _invalid("params.name")
        return Signal(name=params["name"])
    if method == "resize":
        sizes = [_require_size(params, name) for name in ("rows", "cols")]
        return Resize(rows=sizes[0], cols=sizes[1])
    return _read_stdin(params)


def _read_stdin(params: dict[str, Any]) -> Stdin:
    data, encoding, eof = params.get("data", ""), params.get("encoding"), params.get("eof", False)
    if not isinstance(data, str) or not {"data", "eof"} & {*params}:
        raise _invalid("params.data")
    if not isinstance(eof, bool):
        raise _invalid("params.eof")
    if encoding not in (None, "base64"):
        raise _invalid("params.encoding")
    if encoding is None:
        return Stdin(data=data.encode(), eof=eof)
    try:
        return Stdin(data=base64.b64decode(data, validate=True), eof=eof)
    except binascii.Error as error:
        raise _invalid("params.data") from error


def _require_size(params: dict[str, Any], name: str) -> int:
    size = params.get(name)
    if type(size) is not int or not 0 <= size <= 65_535:
        raise _invalid(f"params.{name}")
    return size


def _invalid(path: str) -> Refusal:
    return Refusal(
        -32602, f"{path} is missing or of the wrong type", kind="invalid-params", path=path
    )
