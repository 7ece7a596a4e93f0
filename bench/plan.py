"""The amount of measuring."""

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
    """Bytes of the transfer that memory growth is measured from."""
    transfers: int = 9
    burst: int = 200
    """Concurrent calls."""
    bursts: int = 7
    idle: int = 1000
    """Silent connections."""
    beyond: int = 1100
    """Connections of one agent, more than its limit allows (1,024 by default)."""
    descriptors: int = 256
    """RLIMIT_NOFILE of the daemon whose descriptor table is filled."""
    width: int = 32
    """Connections of a flooding agent."""
    line: int = 100_000_000
    """Bytes of the line that is too long."""
    blocks: int = 5
    pushes: int = 25
    """Rounds of short conversations with a remote."""
    clones: int = 5
    """Rounds of long ones."""
    commits: int = 50_000
    """Commits of the repository that is cloned and pushed whole."""
    push_size: int = 64 * MIB
    """Bytes of the push during which others work."""
    block_calls: int = 200
    """Calls per stretch with or without a load: with `blocks` enough for a 99th percentile."""
    watch_s: float = 2.0
    """Seconds for which the daemon's CPU time is watched."""
    starts: int = 15
    """Rounds of rows that start Python: the daemon, its version."""
    budget_s: float = 120.0
    """A variant that has taken this long in one loop is skipped in further rounds."""
    patience_s: float = 120.0
    """Seconds after which a call counts as hanging."""


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
"""A smoke run: it shows that everything works; its figures are meaningless."""
