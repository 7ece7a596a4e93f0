"""A line of a daemon, decoded into an event.

It is read tolerantly, because released daemons send no `data` with an error and answer with id 0
where they could not read one, and later daemons may send members and notifications that are not
known yet.
"""

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from airlock_wire.error_object import ErrorData, ErrorObject
from airlock_wire.errors import RemoteProtocolError
from airlock_wire.events import Decision, ErrorResponse, Output, Result
from airlock_wire.messages import DecisionResult, ExitResult, OutputParams

Reply = Output | Result | Decision | ErrorResponse


class _Envelope(Struct, frozen=True):
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _BareError(Struct, frozen=True):
    code: int
    message: str
    data: Raw = Raw(b"null")


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def decode_reply(line: bytes) -> Reply | None:
    """The event of one line, or None for a notification that is not known.

    Raises RemoteProtocolError where the line is no message of the protocol.
    """
    try:
        envelope = _ENVELOPE.decode(str(line, "utf-8"))
        if envelope.method is not UNSET:
            return _decode_notification(envelope.method, envelope.params)
        if envelope.error is not UNSET:
            return ErrorResponse(error=_decode_error(envelope.error))
        if envelope.result is not UNSET:
            return _decode_result(envelope.result)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(
            ErrorObject.parse_error(f"the daemon sent what is no message: {error}")
        ) from error
    raise RemoteProtocolError(
        ErrorObject.invalid_request("the daemon sent neither a notification nor a response")
    )


def _decode_notification(method: str, params: Raw | UnsetType) -> Output | None:
    if method != "output":
        return None
    output = msgspec.json.decode(b"null" if params is UNSET else params, type=OutputParams)
    return Output(stream=output.stream, data=output.data)


def _decode_result(raw: Raw) -> Result | Decision:
    members = msgspec.json.decode(raw, type=dict[str, Raw])
    if "exit_code" in members:
        return Result(exit_code=msgspec.json.decode(raw, type=ExitResult).exit_code)
    result = msgspec.json.decode(raw, type=DecisionResult)
    return Decision(decision=result.decision, not_consulted=result.not_consulted)


def _decode_error(raw: Raw) -> ErrorObject:
    error = msgspec.json.decode(raw, type=_BareError)
    try:
        data = msgspec.json.decode(error.data, type=ErrorData)
    except ValueError:
        # The code and the message are enough; what else a daemon puts there is its own affair.
        data = None
    return ErrorObject(error.code, error.message, data)
