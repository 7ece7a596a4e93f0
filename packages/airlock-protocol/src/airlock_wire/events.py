"""What a session is given and returns: the request, its terminal and limits, features and events.

Features are requested by a client and enabled by `start` (PROTOCOL.md). The events here are those
of a `ServerSession`; those of a client are in `client`.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Method = Literal["exec", "check"]

Stream = Literal["stdout", "stderr"]

FEATURES: Final[tuple[str, ...]] = (
    "base64",
    "stdin",
    "signals",
    "tty",
    "exit-signal",
    "env",
    "fds",
)
"""All features of this version, in the order of `start`."""

SignalName = Literal["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]

# If the tool has the client's own descriptors, the daemon sees none of its streams.
_NOT_WITH_FDS: Final = frozenset({"base64", "stdin", "tty"})


def find_conflict(features: Collection[str], *, stdin_credit: int) -> str | None:
    """Return why these features and this credit are inconsistent, or None."""
    if "fds" in features and not _NOT_WITH_FDS.isdisjoint(features):
        return f"fds excludes {', '.join(sorted(_NOT_WITH_FDS.intersection(features)))}"
    if "stdin" in features and stdin_credit < 1:
        return f"stdin needs a credit of at least 1, not {stdin_credit}"
    if "stdin" not in features and stdin_credit:
        return "there is credit for stdin, but no feature stdin"
    return None


_TERM: Final = re.compile(r"[A-Za-z0-9+._-]{1,64}")

MAX_SIZE: Final = 65_535
"""Maximum rows or columns: the kernel's `struct winsize` has 16 bits for each (tty_ioctl(4))."""

Rows = Annotated[int, Meta(ge=0, le=MAX_SIZE, description="Its lines; 0 where not known.")]
Columns = Annotated[int, Meta(ge=0, le=MAX_SIZE, description="Its columns; 0 where not known.")]


class Terminal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of the client's streams are a terminal, and what that terminal is like.

    `rows` and `cols` are 0 to 65535, 0 if unknown. `term` is the value of TERM; a received one has
    only letters, digits and `+._-`.
    """

    stdin: Annotated[bool, Meta(description="Whether the client's stdin is a terminal.")]
    stdout: Annotated[bool, Meta(description="Whether its stdout is one.")]
    stderr: Annotated[bool, Meta(description="Whether its stderr is one.")]
    rows: Rows
    cols: Columns
    term: Annotated[
        str | None,
        Meta(
            description="The client's TERM: 1 to 64 letters, digits and `+._-`.",
            extra_json_schema={"pattern": f"^{_TERM.pattern}$"},
        ),
    ] = None

    @property
    def is_wanted(self) -> bool:
        """Whether output goes to a terminal; with a terminal only on stdin there is no echo."""
        return self.stdout or self.stderr


def is_term(text: str) -> bool:
    """Whether `text` is a valid `term`."""
    return _TERM.fullmatch(text) is not None


MAX_NAMES: Final = 10_000
"""Maximum number of features and of variables in a request; few clients have a hundred."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of one request.

    `request_bytes` counts the request line without its newline; `arguments` counts the items of
    `params.args`. The defaults are those of `[limits]` in the daemon's config.toml. The limit of
    features and of variables is always `MAX_NAMES`.
    """

    request_bytes: int = 4_194_304
    arguments: int = 10_000


DEFAULT_LIMITS: Final = Limits()


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
        from airlock_wire.client import encode_request  # noqa: PLC0415 - clients alone

        return encode_request(self)


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "need-data"


NEED_DATA: Final = NeedData.NEED_DATA
"""More bytes are needed: read, and call `receive_data`."""


class HalfClosed(Struct, frozen=True):
    """The client sends nothing more. It may still be reading."""


class StdinData(Struct, frozen=True, kw_only=True):
    """The next bytes of the command's stdin, at least one."""

    data: bytes


class StdinEnd(Struct, frozen=True):
    """The end of the command's stdin."""


class Signal(Struct, frozen=True, kw_only=True):
    """A signal for the command's process group."""

    name: SignalName


class Resize(Struct, frozen=True, kw_only=True):
    """The new size of the client's terminal: 0 to 65535 each, 0 if unknown."""

    rows: int
    cols: int
