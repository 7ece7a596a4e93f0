"""What each message must look like, whatever the case expects of it.

A case may leave members of a message open; these checks do not: every line that a daemon or a
shim sends is held against two schemas of its kind. ``schemas/shape/`` has the published schemas of
the protocol, wide enough for peers of every version. ``schemas/conduct/`` says what one that keeps
to this version sends: errors with their `data`, a kind that fits the code, statuses in range.
"""

import functools
import json
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from airlock_conformance.violation import Violation

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"

DaemonKind = Literal["output", "exec-result", "check-result", "error"]
Kind = DaemonKind | Literal["request"]


def require_valid(message: dict[str, Any], kind: Kind) -> None:
    """Raise `Violation` with every fault if a message does not follow the schemas of its kind."""
    faults = [
        f"{error.json_path}: {error.message} ({folder}/{kind}.json)"
        for folder in ("shape", "conduct")
        for error in _validator(folder, kind).iter_errors(message)
    ]
    if faults:
        shown = json.dumps(message)[:500]
        raise Violation(f"not a valid {kind} message: {'; '.join(faults)}\n  message: {shown}")


def kind_from_daemon(message: dict[str, Any]) -> DaemonKind:
    """Return which message of a daemon this is.

    Raises `Violation` for a message that the base protocol does not have, `start` to a client
    that named no features among them.
    """
    if "method" in message:
        if message["method"] != "output":
            raise Violation(f"a notification that the base does not have: {message['method']!r}")
        return "output"
    if "error" in message:
        return "error"
    if "result" in message:
        result = message["result"]
        is_decision = isinstance(result, dict) and "decision" in result
        return "check-result" if is_decision else "exec-result"
    raise Violation(f"neither a notification nor a response: {json.dumps(message)[:500]}")


@functools.cache
def _validator(folder: str, kind: Kind) -> Any:
    schema = json.loads((SCHEMAS / folder / f"{kind}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
