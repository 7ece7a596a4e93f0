"""A line of a client, decoded into a request.

Nearly every line is a good one, so it is decoded in one go by its type. Only where that fails is
it taken apart (`classification`), to say what is wrong or to find that nothing is. Both ways give
the same request for the same line.
"""

from typing import Final

import msgspec
from msgspec import UNSET, Struct

from airlock_wire.classification import NO_ID, Fault, decode_id, examine, too_many_arguments
from airlock_wire.error_object import ErrorObject
from airlock_wire.limits import Limits
from airlock_wire.messages import EncodedText, RequestMessage
from airlock_wire.request import Request
from airlock_wire.text import decode_base64

_DECODER: Final = msgspec.json.Decoder(RequestMessage)


class Accepted(Struct, frozen=True):
    """A request, and its id as the bytes that were sent."""

    request: Request
    id: bytes


class Refused(Struct, frozen=True):
    """Why a line is no request that can be served, and its id as far as one could be read."""

    error: ErrorObject
    id: bytes


def decode_request(line: bytes, *, limits: Limits) -> Accepted | Refused:
    """Decode one line, given without its newline. Never raises, whatever the bytes."""
    try:
        # msgspec does not look at the encoding of members that it skips.
        text = str(line, "utf-8")
    except UnicodeDecodeError as error:
        return Refused(
            ErrorObject.parse_error(f"the request is not UTF-8 (byte {error.start})"), NO_ID
        )
    try:
        return _decode_good(text, limits) or Accepted(*examine(text, limits=limits))
    except Fault as fault:
        return Refused(fault.error, fault.request_id)


def _decode_good(text: str, limits: Limits) -> Accepted | None:
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
        raise too_many_arguments(len(params.args), limits=limits, request_id=raw)
    try:
        args = tuple(arg if type(arg) is str else _decode_text(arg) for arg in params.args)
        cwd = None if params.cwd is None else _decode_text(params.cwd)
    except ValueError:
        return None
    request = Request(
        id=request_id,
        method=message.method,
        command=params.command,
        args=args,
        cwd=cwd,
        container_id=params.container_id,
        features=() if params.features is UNSET else params.features,
    )
    return Accepted(request, raw)


def _decode_text(text: str | EncodedText) -> str:
    if isinstance(text, str):
        return text
    decoded = decode_base64(text.base64)
    if "\0" in decoded:
        raise ValueError("a NUL")
    return decoded
