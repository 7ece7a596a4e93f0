"""The features of the protocol, which a client asks for and a daemon starts (PROTOCOL.md)."""

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
"""All there are in this version, in the order in which `start` lists them."""

SignalName = Literal["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH"]

# With the client's own descriptors in the tool's hands the daemon sees none of its streams.
_NOT_WITH_FDS: Final = frozenset({"base64", "stdin", "tty"})


def find_conflict(features: Collection[str], *, stdin_credit: int) -> str | None:
    """Why no daemon can start with these features and this credit; None where it can."""
    if "fds" in features and not _NOT_WITH_FDS.isdisjoint(features):
        return f"fds excludes {', '.join(sorted(_NOT_WITH_FDS.intersection(features)))}"
    if "stdin" in features and stdin_credit < 1:
        return f"stdin needs a credit of at least 1, not {stdin_credit}"
    if "stdin" not in features and stdin_credit:
        return "there is credit for stdin, but no feature stdin"
    return None
