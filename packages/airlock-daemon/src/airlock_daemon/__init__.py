"""The daemon of Airlock: it runs granted tools on the host for containers that hold no credential.

Read `listener`, `session`, `request` in this order for the way of a request; everything else is a
step that `request` calls, or what is on disk.
"""

from airlock_daemon._version import __version__

__all__ = ["__version__"]
