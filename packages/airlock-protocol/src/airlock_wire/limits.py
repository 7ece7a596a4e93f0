"""The limits of a request."""

from typing import Final

from msgspec import Struct

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
