"""Errors of the package, and the `error` member of a response that they carry.

The type of an exception says whose fault it was. `ErrorObject` has a constructor for each kind of
error. Codes are those of JSON-RPC 2.0, section 5.1. Kinds share codes; `data.kind` tells them
apart.
"""

from typing import Annotated, Final, Literal, Self, get_args

from msgspec import Meta, Struct

from airlock_wire.text import quote, replace_surrogates

Layer = Literal["profile", "module", "hook", "workspace", "sandbox", "broker", "limit"]
"""The layers that can refuse a request; a denial names one."""

_CODES: Final = [-32700, -32600, -32601, -32602, -32603]
_KINDS: Final = [
    "parse-error",
    "invalid-request",
    "denied",
    "unknown-command",
    "unknown-method",
    "invalid-params",
    "failed",
]


class ErrorData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error for programs. Members that have no value are left out.

    The types are wider than what this package sends: a client must accept the kinds and layers of
    later daemons.
    """

    kind: Annotated[str, Meta(description="Which case it is.", extra_json_schema={"enum": _KINDS})]
    layer: Annotated[
        str | None,
        Meta(
            description="What refused; with `denied` alone.",
            extra_json_schema={"enum": [*get_args(Layer), None]},
        ),
    ] = None
    rule: Annotated[str | None, Meta(description="The rule or limit that decided.")] = None
    hint: Annotated[str | None, Meta(description="What a person can do about it.")] = None
    path: Annotated[
        str | None, Meta(description="The faulty member, such as `params.args[3]`.")
    ] = None


class ErrorObject(Struct, frozen=True, omit_defaults=True):
    """Why the request was refused, or what failed."""

    code: Annotated[int, Meta(description="The JSON-RPC code.", extra_json_schema={"enum": _CODES})]
    message: Annotated[
        str,
        Meta(description="What was refused and why, in words that are of use alone."),
    ]
    data: Annotated[
        ErrorData | None, Meta(description="The same for programs; released daemons send none.")
    ] = None

    @classmethod
    def parse_error(cls, message: str, *, hint: str | None = None) -> Self:
        """The input is not JSON, not UTF-8, or longer than the limit."""
        return cls._of(-32700, "parse-error", message, hint=hint)

    @classmethod
    def invalid_request(cls, message: str, *, hint: str | None = None) -> Self:
        """The input is JSON but no request."""
        return cls._of(-32600, "invalid-request", message, hint=hint)

    @classmethod
    def denied(
        cls, message: str, *, layer: Layer, rule: str | None = None, hint: str | None = None
    ) -> Self:
        """Policy refuses the request. `message` must not suggest another spelling."""
        return cls._of(-32600, "denied", message, layer=layer, rule=rule, hint=hint)

    @classmethod
    def unknown_command(cls, name: str, *, hint: str | None = None) -> Self:
        """`name` has no enabled module."""
        return cls._of(-32601, "unknown-command", f"unknown command: {_show(name)}", hint=hint)

    @classmethod
    def unknown_method(cls, method: str) -> Self:
        """The request is valid, but its method is neither `exec` nor `check`."""
        hint = 'the methods are "exec" and "check"'
        return cls._of(-32601, "unknown-method", f"unknown method: {_show(method)}", hint=hint)

    @classmethod
    def invalid_params(cls, message: str, *, path: str, hint: str | None = None) -> Self:
        """The member at `path`, such as `params.args[3]`, is missing or of the wrong type."""
        return cls._of(-32602, "invalid-params", message, path=path, hint=hint)

    @classmethod
    def failed(cls, message: str, *, hint: str | None = None) -> Self:
        """The command could not be started, or the daemon failed."""
        return cls._of(-32603, "failed", message, hint=hint)

    @classmethod
    def _of(
        cls,
        code: int,
        kind: str,
        message: str,
        *,
        layer: Layer | None = None,
        rule: str | None = None,
        hint: str | None = None,
        path: str | None = None,
    ) -> Self:
        """Build the error, replacing surrogates in its texts, which JSON cannot represent."""
        rule = None if rule is None else replace_surrogates(rule)
        hint = None if hint is None else replace_surrogates(hint)
        data = ErrorData(kind=kind, layer=layer, rule=rule, hint=hint, path=path)
        return cls(code, replace_surrogates(message), data)


class ProtocolError(Exception):
    """Base of this package's errors."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol. Nothing more can be read from it.

    A server sends `error` (`ServerSession.send_error`) and closes.
    """

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


class LocalProtocolError(ProtocolError):
    """Our own side called a session for something that the protocol forbids at this point."""


def _show(name: str) -> str:
    """Return a name, quoted if anything in it needs escaping."""
    quoted = quote(name)
    return name if quoted == f'"{name}"' else quoted
