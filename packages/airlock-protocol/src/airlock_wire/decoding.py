"""A line of a client, decoded into a request.

Nearly every line is a good one, so it is decoded in one go by its type. Only where that fails is
it taken apart (`classification`), to say what is wrong or to find that nothing is. Both ways give
the same request for the same line.
"""

from typing import Final

import msgspec
from msgspec import UNSET

from airlock_wire.classification import (
    NO_ID,
    Accepted,
    Refused,
    decode_id,
    examine,
    too_many_arguments,
)
from airlock_wire.error_object import ErrorObject
from airlock_wire.limits import Limits
from airlock_wire.messages import EncodedText, RequestMessage
from airlock_wire.request import Request
from airlock_wire.terminal import Terminal, is_term
from airlock_wire.text import decode_base64

_DECODER: Final = msgspec.json.Decoder(RequestMessage)


def decode_request(line: bytes, *, limits: Limits) -> Accepted | Refused:
    """Decode one line, given without its newline. Never raises, whatever the bytes."""
    try:
        # msgspec does not look at the encoding of members that it skips.
        text = str(line, "utf-8")
    except UnicodeDecodeError as error:
        return Refused(
            ErrorObject.parse_error(f"the request is not UTF-8 (byte {error.start})"), NO_ID
        )
    return _decode_good(text, limits) or examine(text, limits=limits)


def _decode_good(text: str, limits: Limits) -> Accepted | Refused | None:
    """Decode a request without a fault; None where there is something to look at."""
    if "\\u0000" in text:
        return None
    try:
        message = _DECODER.decode(text)
        request_id = decode_id(message.id)
    except (ValueError, RecursionError):
        return None
    params = message.params
    raw = bytes(message.id)
    if len(params.args) > limits.arguments:
        return Refused(too_many_arguments(len(params.args), limits=limits), raw)
    try:
        args = tuple(arg if type(arg) is str else _decode_text(arg) for arg in params.args)
        cwd = None if params.cwd is None else _decode_text(params.cwd)
        terminal = None if params.tty is UNSET else _check_terminal(params.tty)
        env = {} if params.env is UNSET else _decode_env(params.env)
    except ValueError:
        return None
    request = Request(
        id=request_id,
        method=message.method,
        command=params.command,
        args=args,
        cwd=cwd,
        container_id=params.container_id,
        features=None if params.features is UNSET else params.features,
        terminal=terminal,
        env=env,
    )
    return Accepted(request, raw)


def _decode_text(text: str | EncodedText) -> str:
    if isinstance(text, str):
        return text
    decoded = decode_base64(text.base64)
    if "\0" in decoded:
        raise ValueError("a NUL")
    return decoded


def _check_terminal(terminal: Terminal) -> Terminal:
    if terminal.term is not None and not is_term(terminal.term):
        raise ValueError("no value of TERM")
    return terminal


def _decode_env(env: dict[str, str | EncodedText]) -> dict[str, str]:
    if "" in env or "=" in "".join(env):
        raise ValueError("no name of a variable")
    return {
        name: value if type(value) is str else _decode_text(value) for name, value in env.items()
    }
