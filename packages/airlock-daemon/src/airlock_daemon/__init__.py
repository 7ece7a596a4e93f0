"""The daemon of Airlock: it runs granted tools on the host for containers that hold no credential.

Its floors, from above: `admin`, `serving`, `boundary`, `setup`, `platform`; each imports only those
below it. CONTRIBUTING.md has their rooms, and the way of a request through them.
"""

from airlock_daemon._version import __version__

__all__ = ["__version__"]
