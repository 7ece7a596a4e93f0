"""What a daemon accepts of one request."""

from typing import Final

from msgspec import Struct

MOST_NAMES: Final = 10_000
"""How many features a request may name, and how many variables; few clients have a hundred."""


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of one request.

    `request_bytes` counts the bytes of the request line without its newline; `arguments` counts
    the items of `params.args`. The defaults are those of `[limits]` in the daemon's config.toml.
    Features, and variables, may always be `MOST_NAMES`.
    """

    request_bytes: int = 4_194_304
    arguments: int = 10_000


DEFAULT_LIMITS: Final = Limits()
