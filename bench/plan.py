"""How much is measured."""

import msgspec

MIB = 1 << 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, bytes and seconds of one run. The defaults are those of a real measurement."""

    is_quick: bool = False
    calls: int = 400
    """Rounds of the latency loops."""
    size: int = 1024 * MIB
    """Bytes of one transfer."""
    small_size: int = 16 * MIB
    """Bytes of the transfer with which the growth of memory begins."""
    transfers: int = 9
    burst: int = 200
    """Calls at once."""
    bursts: int = 7
    idle: int = 1000
    """Connections that say nothing."""
    beyond: int = 1100
    """Connections of one agent that are more than its limit allows (1,024 by default)."""
    descriptors: int = 256
    """RLIMIT_NOFILE of the daemon whose table is filled."""
    width: int = 32
    """Connections of an agent that floods."""
    line: int = 100_000_000
    """Bytes of the line that is too long."""
    blocks: int = 5
    pushes: int = 25
    """Rounds of the short conversations with a remote."""
    clones: int = 5
    """Rounds of the long ones."""
    commits: int = 50_000
    """Those of the repository that is cloned and pushed whole."""
    push_size: int = 64 * MIB
    """Bytes of the push beside which others work."""
    block_calls: int = 200
    """Calls in one stretch with a load, or without: with `blocks` enough for a 99th percentile."""
    watch_s: float = 2.0
    """How long the daemon's CPU time is watched."""
    starts: int = 15
    """Rounds of what starts a Python: the daemon, its version."""
    budget_s: float = 120.0
    """A variant that has taken this long in one loop is left out of its further rounds."""
    patience_s: float = 120.0
    """How long one call may take before it counts as hanging."""


FULL = Plan()

QUICK = Plan(
    is_quick=True,
    calls=5,
    size=4 * MIB,
    small_size=MIB,
    transfers=1,
    burst=8,
    bursts=1,
    idle=20,
    beyond=1100,
    descriptors=256,
    width=4,
    line=8_000_000,
    blocks=1,
    block_calls=5,
    pushes=1,
    clones=1,
    commits=200,
    push_size=MIB,
    watch_s=0.2,
    starts=1,
    patience_s=30.0,
)
"""A smoke run: it shows that everything works, and its figures mean nothing."""
