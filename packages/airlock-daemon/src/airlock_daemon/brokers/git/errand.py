"""One conversation with a remote, as it was admitted: all that is needed to hold it."""

import msgspec

from airlock_modules import GitGrant, Module, RemoteRequest


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """`asked` is what the client wants; `argv` the words of `program`, with which it is reached.

    `grant` says what a push may move, and `rules` are those of git that it has to pass besides.
    `is_pinned` says that the profile names the place.
    """

    asked: RemoteRequest
    program: str
    argv: tuple[str, ...]
    grant: GitGrant
    rules: Module
    is_pinned: bool

    @property
    def is_push(self) -> bool:
        """Whether the client may send a list of refs and a pack."""
        return self.asked.service == "git-receive-pack"
