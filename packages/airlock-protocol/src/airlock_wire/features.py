"""The protocol's features, requested by a client and enabled by `start` (PROTOCOL.md)."""

from collections.abc import Collection
from typing import Final, Literal

FEATURES: Final[tuple[str, ...]] = (
    "base64",
    "stdin",
    "signals",
    "tty",
    "exit-signal",
    "env",
    "fds",
)
"""All features of this version, in the order of `start`."""

SignalName = Literal["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]

# If the tool has the client's own descriptors, the daemon sees none of its streams.
_NOT_WITH_FDS: Final = frozenset({"base64", "stdin", "tty"})


def find_conflict(features: Collection[str], *, stdin_credit: int) -> str | None:
    """Return why these features and this credit are inconsistent, or None."""
    if "fds" in features and not _NOT_WITH_FDS.isdisjoint(features):
        return f"fds excludes {', '.join(sorted(_NOT_WITH_FDS.intersection(features)))}"
    if "stdin" in features and stdin_credit < 1:
        return f"stdin needs a credit of at least 1, not {stdin_credit}"
    if "stdin" not in features and stdin_credit:
        return "there is credit for stdin, but no feature stdin"
    return None
