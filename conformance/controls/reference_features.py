"""What the features of the protocol mean for a request, for the reference daemon."""

import base64
import signal
from collections.abc import Iterable

from reference_requests import Request

FEATURES = frozenset({"base64", "stdin", "signals", "tty", "exit-signal", "env", "fds"})
_SEEN_BY_THE_DAEMON = frozenset({"stdin", "tty", "base64"})


def negotiate(request: Request, *, has_descriptors: bool) -> frozenset[str]:
    """Return which of the features that a request asks for can be in use together."""
    asked = frozenset(request.features or ()) & FEATURES
    if not has_descriptors:
        asked -= {"fds"}
    if not any((request.tty or {}).get(name) for name in ("stdout", "stderr")):
        asked -= {"tty"}
    return asked - _SEEN_BY_THE_DAEMON if "fds" in asked else asked


def is_named(name: str, patterns: Iterable[str]) -> bool:
    """Whether a module forwards a variable: by its name, or a prefix that ends in ``*``."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )


def as_message_data(data: bytes) -> dict[str, str]:
    """Return bytes as members of a message: text, or base64 where they are no UTF-8."""
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "data": base64.b64encode(data).decode()}


def signal_name(number: int) -> str:
    """Return the name of a signal, for a real-time one by its distance from the first."""
    if number > signal.SIGRTMIN:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return signal.Signals(number).name
