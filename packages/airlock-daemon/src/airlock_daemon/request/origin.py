"""Where a request came from that did not come by its agent's own socket."""

from airlock_daemon.identity.peer import Peer

RECORDS = 1000
"""So many records of what a command asks brokers are written; others are counted."""


class Origin:
    """The command in a box over whose relay requests come.

    `request` is its name in the log, `commands` are those that its module lets it ask, and `peer`
    who asked for it: nothing that comes over the relay says more.
    """

    def __init__(self, request: str | None, commands: tuple[str, ...], peer: Peer) -> None:
        self.request = request
        self.commands = commands
        self.peer = peer
        self._left = RECORDS

    def spend_record(self) -> bool:
        """Whether one more record of it may be written."""
        self._left -= 1
        return self._left >= 0
