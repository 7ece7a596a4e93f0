"""Why a request would be allowed or refused, as JSON."""

from typing import Any

import msgspec

from airlock_modules import Decision, dump_reading
from airlock_wire import encode_text


def dump_decision(decision: Decision) -> dict[str, Any]:
    """Return a decision, how the arguments were read for it, and why its rule is there.

    `arguments` is None where no module was asked. Text that is not UTF-8 is as on the wire.
    """
    reading = decision.reading
    dumped: dict[str, Any] = _encode(
        {
            "decision": {
                "allowed": decision.allowed,
                "kind": decision.kind,
                "layer": decision.layer,
                "rule": decision.rule,
                "message": decision.message,
                "hint": decision.hint,
                "steps": msgspec.to_builtins(decision.steps),
            },
            "arguments": None if reading is None else dump_reading(reading),
            "reason": decision.reason,
        }
    )
    return dumped


def _encode(value: Any) -> Any:
    match value:
        case str():
            return encode_text(value)
        case dict():
            return {key: _encode(item) for key, item in value.items()}
        case list() | tuple():
            return [_encode(item) for item in value]
    return value
