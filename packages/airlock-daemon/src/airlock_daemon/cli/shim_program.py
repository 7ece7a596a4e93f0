"""Where the shim is that lines for a person name."""

import os

from airlock_daemon.errors import AirlockError
from airlock_daemon.service.manager import find_self
from airlock_daemon.setup.shim_program import find_shim


def find_lasting_shim() -> str | None:
    """A path of this machine's shim that stays the same when Airlock is upgraded, if there is one.

    That is beside the command that was called; else it is what `find_shim` finds, or None.
    """
    beside = os.path.join(os.path.dirname(find_self()[0]), "airlock-shim")
    if os.access(beside, os.X_OK):
        return beside
    try:
        return find_shim()
    except AirlockError:
        return None
