"""Decoding a client's line into a request, or into its first fault.

Nearly every line is a valid request whose texts are plain strings, and is decoded in one step. In
any other each member is decoded separately, and so is each text of a list. Faults are
checked in the order of PROTOCOL.md, B-29: the line, its id, its method, then the members of
`params`.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from airlock_wire.errors import ErrorObject
from airlock_wire.events import MAX_NAMES, Limits, Method, Request, Terminal, is_term
from airlock_wire.grammar import (
    ABSENT,
    NULL,
    Fault,
    Message,
    open_line,
    read,
    read_boolean,
    read_c_string,
    read_list,
    read_method,
    read_size,
    read_text,
    read_variables,
    require_utf8,
    wrong,
)

NO_ID: Final = b"null"

_SUBJECT: Final = "the request"
_METHODS: Final[dict[str, Method]] = {"exec": "exec", "check": "check"}


class Accepted(Struct, frozen=True):
    """A request, and its id as the bytes sent."""

    request: Request
    id: bytes


class Refused(Struct, frozen=True):
    """Why a line was refused, and its id, or `NO_ID` if it could not be read."""

    error: ErrorObject
    id: bytes


class _Params(Struct, frozen=True):
    command: Raw = ABSENT
    args: Raw = ABSENT
    cwd: Raw = NULL
    container_id: Raw = NULL
    features: Raw = ABSENT
    tty: Raw = ABSENT
    env: Raw = ABSENT


class _Terminal(Struct, frozen=True):
    stdin: Raw = ABSENT
    stdout: Raw = ABSENT
    stderr: Raw = ABSENT
    rows: Raw = ABSENT
    cols: Raw = ABSENT
    term: Raw = NULL


class _PlainParams(Struct, frozen=True):
    command: str
    args: tuple[str, ...]
    cwd: str | None = None
    container_id: str | None = None
    features: tuple[str, ...] | UnsetType = UNSET
    tty: Terminal | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET


class _Plain(Struct, frozen=True):
    jsonrpc: Literal["2.0"]
    id: Raw
    method: Method
    params: _PlainParams


_decode_plain: Final = msgspec.json.Decoder(_Plain).decode
_decode_params: Final = msgspec.json.Decoder(_Params).decode
_decode_terminal: Final = msgspec.json.Decoder(_Terminal).decode
_decode_id: Final = msgspec.json.Decoder[str | int | float](str | int | float).decode


def decode_request(line: bytes, *, limits: Limits) -> Accepted | Refused:
    """Decode one line, without its newline. Never raises, whatever the bytes."""
    raw = NO_ID
    try:
        require_utf8(line, _SUBJECT)
        plain = _read_plain(line, limits.arguments)
        if plain is not None:
            return plain
        message = open_line(line, _SUBJECT)
        request_id = decode_id(message.id)
        raw = bytes(message.id)
        return Accepted(_read_request(message, request_id, limits.arguments), raw)
    except Fault as fault:
        return Refused(fault.error, raw)
    except RecursionError:
        return Refused(ErrorObject.parse_error(f"{_SUBJECT} is nested too deep"), NO_ID)


def _read_plain(line: bytes, limit: int) -> Accepted | None:
    """Return the request of an ordinary line of UTF-8; None to decode it by members."""
    if b"\\u0000" in line:
        # Only this escape can put a NUL into a JSON string.
        return None
    try:
        plain = _decode_plain(line)
        request_id = _decode_id(plain.id)
    except ValueError:
        return None
    params = plain.params
    features = None if params.features is UNSET else params.features
    terminal = None if params.tty is UNSET else params.tty
    env = {} if params.env is UNSET else params.env
    if (
        len(params.args) > limit
        or (features is not None and len(features) > MAX_NAMES)
        or (env and (len(env) > MAX_NAMES or "" in env or "=" in "".join(env)))
        or (terminal is not None and terminal.term is not None and not is_term(terminal.term))
    ):
        return None
    request = Request(
        id=request_id,
        method=plain.method,
        command=params.command,
        args=params.args,
        cwd=params.cwd,
        container_id=params.container_id,
        features=features,
        terminal=terminal,
        env=env,
    )
    return Accepted(request, bytes(plain.id))


def decode_id(raw: Raw) -> str | int | float:
    """Return an id: a string, an integer of up to 4300 digits or a finite double.

    Raises Fault for anything else.
    """
    try:
        value: str | int | float = _decode_id(raw)
    except ValueError:
        problem = (
            "the request has no id, so it could not be answered"
            if raw is ABSENT
            else "the request's id must be a string or a number in range"
        )
        raise Fault(ErrorObject.invalid_request(problem)) from None
    return value


def _read_request(message: Message, request_id: str | float, limit: int) -> Request:
    method = read_method(message.jsonrpc, message.method, _SUBJECT)
    if method not in _METHODS:
        raise Fault(ErrorObject.unknown_method(method))
    params = read(message.params, "params", _decode_params, "an object")
    cwd, container = params.cwd, params.container_id
    return Request(
        id=request_id,
        method=_METHODS[method],
        command=read_c_string(params.command, "params.command"),
        args=read_list(params.args, "params.args", read_text, limit),
        cwd=None if cwd == NULL else read_text(cwd, "params.cwd"),
        container_id=None if container == NULL else read_c_string(container, "params.container_id"),
        features=None if params.features is ABSENT else _read_features(params.features),
        terminal=None if params.tty is ABSENT else _read_terminal(params.tty),
        env={} if params.env is ABSENT else read_variables(params.env, "params.env", MAX_NAMES),
    )


def _read_features(raw: Raw) -> tuple[str, ...]:
    return read_list(raw, "params.features", read_c_string, MAX_NAMES)


def _read_terminal(raw: Raw) -> Terminal:
    tty = read(raw, "params.tty", _decode_terminal, "an object")
    term = None if tty.term == NULL else read_c_string(tty.term, "params.tty.term")
    terminal = Terminal(
        stdin=read_boolean(tty.stdin, "params.tty.stdin"),
        stdout=read_boolean(tty.stdout, "params.tty.stdout"),
        stderr=read_boolean(tty.stderr, "params.tty.stderr"),
        rows=read_size(tty.rows, "params.tty.rows"),
        cols=read_size(tty.cols, "params.tty.cols"),
        term=term,
    )
    if term is not None and not is_term(term):
        raise wrong("params.tty.term", "must be 1 to 64 letters, digits and +._-")
    return terminal
