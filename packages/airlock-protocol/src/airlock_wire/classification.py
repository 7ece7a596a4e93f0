"""What is wrong with a line that is no good request, in the order of the table of errors.

The line is opened layer by layer, and only members that the protocol knows are looked into: an
unknown member must be JSON, and is otherwise nobody's business.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.limits import Limits
from airlock_wire.members import (
    Fault,
    Members,
    is_given,
    open_object,
    parse,
    read_boolean,
    read_integer,
    read_list,
    read_object,
    read_string,
    string_of,
    to_string,
    to_text,
    wrong,
)
from airlock_wire.messages import Method
from airlock_wire.request import Request
from airlock_wire.terminal import MAX_SIZE, Terminal, is_term
from airlock_wire.text import quote

NO_ID: Final = b"null"

_METHODS: Final[dict[str, Method]] = {"exec": "exec", "check": "check"}
_ID: Final[msgspec.json.Decoder[str | int | float]] = msgspec.json.Decoder(str | int | float)


class Accepted(Struct, frozen=True):
    """A request, and its id as the bytes that were sent."""

    request: Request
    id: bytes


class Refused(Struct, frozen=True):
    """Why a line is no request that can be served, and its id as far as one could be read."""

    error: ErrorObject
    id: bytes


def examine(text: str, *, limits: Limits) -> Accepted | Refused:
    """The request in `text`, or the first thing that is wrong with it."""
    raw = NO_ID
    try:
        members = _open_request(text)
        request_id, raw = _read_id(members)
        return Accepted(_read_request(members, request_id, limits), raw)
    except Fault as fault:
        return Refused(fault.error, raw)
    except RecursionError:
        return Refused(ErrorObject.parse_error("the request is nested too deep"), NO_ID)


def decode_id(raw: Raw) -> str | int | float:
    """The value of an id.

    Raises ValueError where it is neither a string nor a number that can be held: an integer of up
    to 4300 digits, or a double that is finite.
    """
    return _ID.decode(raw)


def too_many_arguments(count: int, *, limits: Limits) -> ErrorObject:
    """The refusal of a request with `count` arguments."""
    return ErrorObject.denied(
        f"the request has {count} arguments, and {limits.arguments} are allowed",
        layer="limit",
        rule="arguments",
        hint="split the call into several with fewer arguments",
    )


def _open_request(text: str) -> Members:
    whole = parse(text, subject="the request")
    if whole.startswith(b"["):
        raise Fault(
            ErrorObject.invalid_request(
                "batches are not supported", hint="send one request a connection"
            )
        )
    if not whole.startswith(b"{"):
        raise Fault(ErrorObject.invalid_request("the request is not an object"))
    return open_object(whole)


def _read_id(members: Members) -> tuple[str | int | float, bytes]:
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


def _read_request(members: Members, request_id: str | float, limits: Limits) -> Request:
    if string_of(members.get("jsonrpc")) != "2.0":
        raise Fault(ErrorObject.invalid_request('the request must have "jsonrpc":"2.0"'))
    method = _read_method(members)
    params = read_object(members, "params")
    return Request(
        id=request_id,
        method=method,
        command=read_string(params, "params.command"),
        args=_read_args(params, limits),
        cwd=to_text(params["cwd"], "params.cwd") if is_given(params, "params.cwd") else None,
        container_id=(
            read_string(params, "params.container_id")
            if is_given(params, "params.container_id")
            else None
        ),
        features=_read_features(params) if "features" in params else None,
        terminal=_read_terminal(params) if "tty" in params else None,
        env=_read_env(params) if "env" in params else {},
    )


def _read_method(members: Members) -> Method:
    method = string_of(members.get("method"))
    if method is None:
        raise Fault(ErrorObject.invalid_request("the request's method must be a string"))
    if method not in _METHODS:
        raise Fault(ErrorObject.unknown_method(method))
    return _METHODS[method]


def _read_args(params: Members, limits: Limits) -> tuple[str, ...]:
    args = read_list(params, "params.args")
    if len(args) > limits.arguments:
        raise Fault(too_many_arguments(len(args), limits=limits))
    return tuple(to_text(raw, f"params.args[{index}]") for index, raw in enumerate(args))


def _read_features(params: Members) -> tuple[str, ...]:
    features = read_list(params, "params.features")
    return tuple(to_string(raw, f"params.features[{index}]") for index, raw in enumerate(features))


def _read_terminal(params: Members) -> Terminal:
    tty = read_object(params, "params.tty")
    term = read_string(tty, "params.tty.term") if is_given(tty, "params.tty.term") else None
    terminal = Terminal(
        stdin=read_boolean(tty, "params.tty.stdin"),
        stdout=read_boolean(tty, "params.tty.stdout"),
        stderr=read_boolean(tty, "params.tty.stderr"),
        rows=read_integer(tty, "params.tty.rows", most=MAX_SIZE),
        cols=read_integer(tty, "params.tty.cols", most=MAX_SIZE),
        term=term,
    )
    if term is not None and not is_term(term):
        raise wrong("params.tty.term", "must be 1 to 64 letters, digits and +._-")
    return terminal


def _read_env(params: Members) -> dict[str, str]:
    return {
        name: _read_variable(name, raw) for name, raw in read_object(params, "params.env").items()
    }


def _read_variable(name: str, raw: Raw) -> str:
    path = f'params.env["{quote(name)}"]'
    if name == "" or "=" in name or "\0" in name:
        raise wrong(path, "is no name of a variable: it is empty, or holds = or a NUL")
    return to_text(raw, path)
