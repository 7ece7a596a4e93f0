"""The client of one request, as everything that serves it has it."""

import msgspec

from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.session import Session
from airlock_daemon.connection.watch import Watched


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Its connection, how it is watched, and the way to end its request."""

    session: Session
    watched: Watched
    ending: Ending
