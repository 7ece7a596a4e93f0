"""What is wrong with a line that is no good request, in the order of the table of errors.

The line is opened layer by layer, and only members that the protocol knows are looked into: an
unknown member must be JSON, and is otherwise nobody's business.
"""

from typing import Final

import msgspec
from msgspec import Raw

from airlock_wire.error_object import ErrorObject
from airlock_wire.limits import Limits
from airlock_wire.messages import Method
from airlock_wire.request import Request
from airlock_wire.text import decode_base64

NO_ID: Final = b"null"

_METHODS: Final[dict[str, Method]] = {"exec": "exec", "check": "check"}
_Members = dict[str, Raw]
_ID: Final[msgspec.json.Decoder[str | int | float]] = msgspec.json.Decoder(str | int | float)


class Fault(Exception):
    """What is wrong, and the id of the request as far as it could be read."""

    def __init__(self, error: ErrorObject, *, request_id: bytes = NO_ID) -> None:
        super().__init__(error.message)
        self.error = error
        self.request_id = request_id


def examine(text: str, *, limits: Limits) -> tuple[Request, bytes]:
    """The request in `text` and its id as it was sent.

    Raises Fault with the first thing that is wrong.
    """
    try:
        members = _open_request(text)
        request_id, raw = _read_id(members)
        try:
            return _read_request(members, request_id, limits), raw
        except Fault as fault:
            raise Fault(fault.error, request_id=raw) from None
    except RecursionError:
        raise Fault(ErrorObject.parse_error("the request is nested too deep")) from None


def decode_id(raw: Raw) -> str | int | float:
    """The value of an id.

    Raises ValueError where it is neither a string nor a number that can be held: an integer of up
    to 4300 digits, or a double that is finite.
    """
    return _ID.decode(raw)


def too_many_arguments(count: int, *, limits: Limits, request_id: bytes = NO_ID) -> Fault:
    """The refusal of a request with `count` arguments."""
    return Fault(
        ErrorObject.denied(
            f"the request has {count} arguments, and {limits.arguments} are allowed",
            layer="limit",
            rule="arguments",
            hint="split the call into several with fewer arguments",
        ),
        request_id=request_id,
    )


def _open_request(text: str) -> _Members:
    try:
        whole = bytes(msgspec.json.decode(text, type=Raw))
    except ValueError as error:
        raise Fault(ErrorObject.parse_error(f"the request is not JSON: {error}")) from None
    if whole.startswith(b"["):
        raise Fault(
            ErrorObject.invalid_request(
                "batches are not supported", hint="send one request a connection"
            )
        )
    if not whole.startswith(b"{"):
        raise Fault(ErrorObject.invalid_request("the request is not an object"))
    return _open(whole)


def _open(raw: Raw | bytes) -> _Members:
    return msgspec.json.decode(raw, type=_Members)


def _read_id(members: _Members) -> tuple[str | int | float, bytes]:
    raw = members.get("id")
    if raw is None:
        raise Fault(
            ErrorObject.invalid_request("the request has no id, so it could not be answered")
        )
    try:
        return decode_id(raw), bytes(raw)
    except ValueError:
        raise Fault(
            ErrorObject.invalid_request("the request's id must be a string or a number in range")
        ) from None


def _read_request(members: _Members, request_id: str | float, limits: Limits) -> Request:
    if _string(members.get("jsonrpc")) != "2.0":
        raise Fault(ErrorObject.invalid_request('the request must have "jsonrpc":"2.0"'))
    method = _read_method(members)
    raw = members.get("params")
    if raw is None:
        raise _wrong("params", "is missing")
    if not bytes(raw).startswith(b"{"):
        raise _wrong("params", "must be an object")
    params = _open(raw)
    return Request(
        id=request_id,
        method=method,
        command=_read_string(params, "command"),
        args=_read_args(params, limits),
        cwd=_read_text(params["cwd"], "params.cwd") if _has(params, "cwd") else None,
        container_id=_read_string(params, "container_id") if _has(params, "container_id") else None,
        features=_read_features(params),
    )


def _read_method(members: _Members) -> Method:
    method = _string(members.get("method"))
    if method is None:
        raise Fault(ErrorObject.invalid_request("the request's method must be a string"))
    if method not in _METHODS:
        raise Fault(ErrorObject.unknown_method(method))
    return _METHODS[method]


def _read_string(params: _Members, name: str) -> str:
    path = f"params.{name}"
    raw = params.get(name)
    if raw is None:
        raise _wrong(path, "is missing")
    value = _string(raw)
    if value is None:
        raise _wrong(path, "must be a string")
    return _without_nul(value, path)


def _read_args(params: _Members, limits: Limits) -> tuple[str, ...]:
    args = _read_list(params, "args", limits)
    return tuple(_read_text(raw, f"params.args[{index}]") for index, raw in enumerate(args))


def _read_features(params: _Members) -> tuple[str, ...]:
    if "features" not in params:
        return ()
    features = _read_list(params, "features")
    names = []
    for index, raw in enumerate(features):
        path = f"params.features[{index}]"
        name = _string(raw)
        if name is None:
            raise _wrong(path, "must be a string")
        names.append(_without_nul(name, path))
    return tuple(names)


def _read_list(params: _Members, name: str, limits: Limits | None = None) -> list[Raw]:
    raw = params.get(name)
    if raw is None:
        raise _wrong(f"params.{name}", "is missing")
    if not bytes(raw).startswith(b"["):
        raise _wrong(f"params.{name}", "must be a list")
    items = msgspec.json.decode(raw, type=list[Raw])
    if limits is not None and len(items) > limits.arguments:
        raise too_many_arguments(len(items), limits=limits)
    return items


def _read_text(raw: Raw, path: str) -> str:
    text = _string(raw)
    if text is not None:
        return _without_nul(text, path)
    encoded = _string(_open(raw).get("base64")) if bytes(raw).startswith(b"{") else None
    if encoded is None:
        raise _wrong(path, 'must be a string, or {"base64": ...} of one')
    try:
        return _without_nul(decode_base64(encoded), path)
    except ValueError as error:
        raise _wrong(path, f"is {error}") from None


def _string(raw: Raw | None) -> str | None:
    """The string that `raw` holds; None where it holds something else."""
    if raw is None or not bytes(raw).startswith(b'"'):
        return None
    return msgspec.json.decode(raw, type=str)


def _has(params: _Members, name: str) -> bool:
    """Whether an optional member is there and not null, which counts as absent."""
    return name in params and bytes(params[name]) != b"null"


def _without_nul(text: str, path: str) -> str:
    if "\0" in text:
        raise _wrong(path, "holds a NUL, which no argument or path can")
    return text


def _wrong(path: str, problem: str) -> Fault:
    return Fault(ErrorObject.invalid_params(f"{path} {problem}", path=path))
