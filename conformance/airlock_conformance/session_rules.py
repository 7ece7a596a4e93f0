"""What the features of a session allow in it: rules that span several messages.

Each function returns what is wrong, one line each, as `Checks.require` takes it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

FEATURES: Final = ("base64", "stdin", "signals", "tty", "exit-signal", "env", "fds")

# While descriptors are in use nothing of these can be: the bytes do not pass the daemon (F-21).
_EXCLUDED_BY_FDS: Final = frozenset({"stdin", "tty", "base64"})
_FEATURE_OF_MESSAGE: Final = {"stdin": "stdin", "signal": "signals", "resize": "tty"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks for, as far as the rules of the session go by it.

    `features` is None where the request has no such member: the session is one of the base.
    `descriptors` is how many rode on its first byte.
    """

    features: frozenset[str] | None = None
    runs: bool = False
    has_terminal: bool = False
    descriptors: int = 0

    @property
    def wants_start(self) -> bool:
        """Whether a run of this request begins with `start`."""
        return self.runs and self.features is not None


def read_request(line: bytes, *, descriptors: int) -> Asked:
    """Return what a request line asks for; one that is no request asks for nothing."""
    try:
        request = json.loads(line.decode())
    except (ValueError, RecursionError):
        return Asked(descriptors=descriptors)
    match request:
        case {"method": str(method), "params": {**params}}:
            listed = params.get("features")
            names = listed if isinstance(listed, list) else []
            return Asked(
                features=None if listed is None else frozenset(n for n in names if type(n) is str),
                runs=method == "exec",
                has_terminal=_has_terminal(params.get("tty")),
                descriptors=descriptors,
            )
    return Asked(descriptors=descriptors)


def start_faults(asked: Asked, params: Mapping[str, Any]) -> list[str]:
    """Return where `start` lists what was not asked for, or what excludes another feature."""
    listed = set(params["features"])
    found = [f"start lists {name!r}, which was not asked for" for name in listed - _of(asked)]
    if "tty" in listed and not asked.has_terminal:
        found.append("start lists tty, but no stream of the client is a terminal")
    if "fds" in listed and asked.descriptors != 3:
        found.append(f"start lists fds, but {asked.descriptors} descriptors were sent")
    if "fds" in listed:
        found += [f"start lists {name} beside fds" for name in listed & _EXCLUDED_BY_FDS]
    if ("stdin" in listed) != ("stdin_credit" in params):
        found.append("stdin_credit belongs to stdin, and stdin to it")
    return sorted(found)


def daemon_message_faults(in_use: Collection[str], kind: str, message: Any) -> list[str]:
    """Return where a message of the daemon, not `start`, needs a feature that is not in use."""
    found: list[str] = []
    if kind == "output" and "fds" in in_use and message["params"].get("stream") != "stderr":
        found.append("output of stdout while the tool has the client's descriptors")
    if kind == "output" and "encoding" in message["params"] and "base64" not in in_use:
        found.append("output has an encoding, but base64 is not in use")
    if kind == "credit" and "stdin" not in in_use:
        found.append("credit, but stdin is not in use")
    if kind == "exec-result":
        result = message["result"]
        if "signal" in result and "exit-signal" not in in_use:
            found.append("result.signal, but exit-signal is not in use")
        if "stdin_bytes" in result and "stdin" not in in_use:
            found.append("result.stdin_bytes, but stdin is not in use")
    return found


def shim_message_faults(in_use: Collection[str], kind: str) -> list[str]:
    """Return where a message of the shim needs a feature that is not in use."""
    feature = _FEATURE_OF_MESSAGE[kind]
    return [] if feature in in_use else [f"a {kind} message, but {feature} is not in use"]


def _of(asked: Asked) -> frozenset[str]:
    return asked.features or frozenset()


def _has_terminal(tty: Any) -> bool:
    return isinstance(tty, dict) and any(
        tty.get(name) is True for name in ("stdin", "stdout", "stderr")
    )
