"""The decoded request."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Raw, Struct

from airlock_wire.errors import LocalProtocolError
from airlock_wire.messages import (
    EncodedText,
    Method,
    RequestMessage,
    RequestParams,
    encode_message,
)
from airlock_wire.terminal import Terminal
from airlock_wire.text import encode_base64


class Request(Struct, frozen=True, kw_only=True):
    """A request to run a command, or to judge one.

    `args`, `cwd` and the values of `env` are in the form of `os.fsdecode`: bytes that are not UTF-8
    are lone surrogates. In a received request no text has a NUL, and no name in `env` is empty or
    has `=`. `cwd` and `container_id` are the client's unverified claims; `terminal` and `env` have
    a meaning only with the features `tty` and `env`.

    `features` is None for the base protocol; with `()` the client requests none but awaits a
    `start`.
    """

    id: str | int | float
    method: Method
    command: str
    args: tuple[str, ...]
    cwd: str | None = None
    container_id: str | None = None
    features: tuple[str, ...] | None = None
    terminal: Terminal | None = None
    env: Mapping[str, str] = {}

    def encode(self) -> bytes:
        """Return the request as one line with its newline.

        Raises LocalProtocolError if a text cannot be encoded.
        """
        try:
            params = RequestParams(
                command=self.command,
                args=tuple(_to_wire(arg) for arg in self.args),
                cwd=None if self.cwd is None else _to_wire(self.cwd),
                container_id=self.container_id,
                features=UNSET if self.features is None else self.features,
                tty=UNSET if self.terminal is None else self.terminal,
                env={name: _to_wire(value) for name, value in self.env.items()} or UNSET,
            )
            message = RequestMessage(
                jsonrpc="2.0",
                id=Raw(msgspec.json.encode(self.id)),
                method=self.method,
                params=params,
            )
            return encode_message(message)
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"a text of the request cannot be sent: {error}") from error


def _to_wire(text: str) -> str | EncodedText:
    encoded = encode_base64(text)
    return text if encoded is None else EncodedText(base64=encoded)
