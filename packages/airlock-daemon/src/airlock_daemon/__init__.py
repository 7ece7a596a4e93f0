"""The daemon of Airlock: it runs granted tools on the host for containers that hold no credential.

Each folder is a room, and knows only those below it: `cli`, `doctor`, `serving`, `request`,
`command`, `connection`, `workspace`, `fairness`, `audit`, `identity`, `service`, `setup`,
`platform`. Read
`serving.listener`, `connection.session` and `request.exchange` in this order for the way of a
request; everything else is a step that `exchange` calls, or what is on disk.
"""

from airlock_daemon._version import __version__

__all__ = ["__version__"]
