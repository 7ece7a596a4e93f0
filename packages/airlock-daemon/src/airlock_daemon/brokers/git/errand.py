"""One conversation with a remote, as it was admitted: all that is needed to hold it."""

import msgspec

from airlock_modules import GitGrant, RemoteRequest


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """`asked` is what the client wants; `argv` the words of `program`, with which it is reached.

    `grant` says what a push may move. `is_pinned` says that the profile names the place.
    """

    asked: RemoteRequest
    program: str
    argv: tuple[str, ...]
    grant: GitGrant
    is_pinned: bool
