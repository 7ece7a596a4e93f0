"""The events that a `ClientSession` returns, and decoding a daemon's line into one.

Decoding is tolerant: released daemons send no `data` with an error and answer with id 0 if they
could not read the id; later daemons may send unknown members and notifications. Those of a feature
that is not in use count as unknown.
"""

import binascii
from collections.abc import Collection
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from airlock_wire.error_object import ErrorData, ErrorObject
from airlock_wire.errors import RemoteProtocolError
from airlock_wire.features import FEATURES, find_conflict
from airlock_wire.messages import DecisionResult
from airlock_wire.notifications import CreditParams, StartParams, Stream


class Start(Struct, frozen=True, kw_only=True):
    """The command is being run, with these features in use.

    `stdin_credit` is the number of bytes of stdin that may be sent, 0 without `stdin`.
    """

    features: tuple[str, ...]
    stdin_credit: int = 0


class Credit(Struct, frozen=True, kw_only=True):
    """`bytes` more of stdin may be sent, at least one."""

    bytes: int


class Output(Struct, frozen=True, kw_only=True):
    """A piece of the command's output.

    With the feature `base64` `data` is exactly what the command wrote; else it is UTF-8, with
    U+FFFD for invalid bytes.
    """

    stream: Stream
    data: bytes


class Result(Struct, frozen=True, kw_only=True):
    """The command has ended; `exit_code` is 128+n if signal n ended it.

    `signal` is that signal's name (feature `exit-signal`), `stdin_bytes` the number of bytes of its
    stdin consumed (feature `stdin`); None if the daemon did not send it.
    """

    exit_code: int
    signal: str | None = None
    stdin_bytes: int | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """The command would be allowed by all steps but those `not_consulted`."""

    decision: Literal["allowed"] = "allowed"
    not_consulted: tuple[str, ...] = ()


class ErrorResponse(Struct, frozen=True, kw_only=True):
    """The request was refused, or failed. `error.data` is None if the daemon sent none."""

    error: ErrorObject


Reply = Start | Credit | Output | Result | Decision | ErrorResponse


class _Envelope(Struct, frozen=True):
    method: str | UnsetType = UNSET
    params: Raw = Raw(b"null")
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Output(Struct, frozen=True):
    stream: Stream
    data: str
    encoding: Raw = Raw(b"null")


class _ExitResult(Struct, frozen=True):
    exit_code: int
    signal: Raw = Raw(b"null")
    stdin_bytes: Raw = Raw(b"null")


class _BareError(Struct, frozen=True):
    code: int
    message: str
    data: Raw = Raw(b"null")


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


class ReplyReader:
    """Decodes the lines of one daemon, in order.

    `asked` has the features that the client requested, None for the base protocol.
    """

    def __init__(self, *, asked: Collection[str] | None = None) -> None:
        self.features: frozenset[str] = frozenset()
        self._asked = asked
        self._may_start = asked is not None

    def decode(self, line: bytes) -> Reply | None:
        """Return the event of one line, or None for an unknown notification.

        Raises RemoteProtocolError if the line is no message of the protocol.
        """
        may_start, self._may_start = self._may_start, False
        try:
            envelope = _ENVELOPE.decode(str(line, "utf-8"))
            if envelope.method is not UNSET:
                return self._decode_notification(envelope.method, envelope.params, may_start)
            if envelope.error is not UNSET:
                return ErrorResponse(error=_decode_error(envelope.error))
            if envelope.result is not UNSET:
                return self._decode_result(envelope.result)
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError(
                ErrorObject.parse_error(f"the daemon sent what is no message: {error}")
            ) from error
        raise RemoteProtocolError(
            ErrorObject.invalid_request("the daemon sent neither a notification nor a response")
        )

    def _decode_notification(self, method: str, params: Raw, may_start: bool) -> Reply | None:
        if method == "output":
            return self._decode_output(params)
        if method == "start" and may_start:
            return self._decode_start(params)
        if method == "credit" and "stdin" in self.features:
            return Credit(bytes=msgspec.json.decode(params, type=CreditParams).bytes)
        return None

    def _decode_start(self, params: Raw) -> Start:
        start = msgspec.json.decode(params, type=StartParams)
        credit = 0 if start.stdin_credit is UNSET else start.stdin_credit
        known = frozenset(start.features).intersection(FEATURES)
        unasked = known.difference(self._asked or ())
        if unasked:
            raise ValueError(f"a start with {', '.join(sorted(unasked))}, not asked for")
        conflict = find_conflict(known, stdin_credit=credit)
        if conflict is not None:
            raise ValueError(f"a start in which {conflict}")
        self.features = known
        return Start(
            features=tuple(name for name in FEATURES if name in known), stdin_credit=credit
        )

    def _decode_output(self, params: Raw) -> Output:
        output = msgspec.json.decode(params, type=_Output)
        encoding = bytes(output.encoding) if "base64" in self.features else b"null"
        if encoding == b"null":
            return Output(stream=output.stream, data=output.data.encode())
        if msgspec.json.decode(encoding) != "base64":
            raise ValueError("output in an unknown encoding")
        data = binascii.a2b_base64(output.data, strict_mode=True)
        return Output(stream=output.stream, data=data)

    def _decode_result(self, raw: Raw) -> Result | Decision:
        members = msgspec.json.decode(raw, type=dict[str, Raw])
        if "exit_code" not in members:
            decision = msgspec.json.decode(raw, type=DecisionResult)
            return Decision(decision=decision.decision, not_consulted=decision.not_consulted)
        result = msgspec.json.decode(raw, type=_ExitResult)
        return Result(
            exit_code=result.exit_code,
            signal=(
                msgspec.json.decode(result.signal, type=str | None)
                if "exit-signal" in self.features
                else None
            ),
            stdin_bytes=(
                msgspec.json.decode(result.stdin_bytes, type=int | None)
                if "stdin" in self.features
                else None
            ),
        )


def _decode_error(raw: Raw) -> ErrorObject:
    error = msgspec.json.decode(raw, type=_BareError)
    try:
        data = msgspec.json.decode(error.data, type=ErrorData)
    except ValueError:
        # The code and the message suffice; ignore unknown data.
        data = None
    return ErrorObject(error.code, error.message, data)
