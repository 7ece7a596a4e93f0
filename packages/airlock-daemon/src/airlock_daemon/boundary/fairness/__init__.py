"""What an agent may use of the daemon, so that no agent starves another: limits and turns."""

from airlock_daemon.boundary.fairness.gate import (
    CLOSE_SOME,
    UNCOUNTED_BYTES,
    Allowance,
    Gate,
    Share,
    Slot,
    Starts,
    too_large_error,
    too_many_error,
)
from airlock_daemon.boundary.fairness.turns import Rounds, TurnQueue, TurnSource
