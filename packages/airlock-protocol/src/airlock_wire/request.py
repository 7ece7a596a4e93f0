"""The decoded request."""

from collections.abc import Mapping

from msgspec import Struct

from airlock_wire.messages import Method
from airlock_wire.terminal import Terminal


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
        from airlock_wire.client_messages import encode_request  # noqa: PLC0415 - clients alone

        return encode_request(self)
