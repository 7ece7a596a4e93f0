"""What each message must look like, whatever the case expects of it.

A case may leave members of a message open; these checks do not: every line that a daemon or a
shim sends is held against two schemas of its kind. ``schemas/shape/`` has the published schemas of
the protocol, wide enough for peers of every version. ``schemas/conduct/`` says what one that keeps
to this version sends: errors with their `data`, a kind that fits the code, statuses in range;
``base-error.json`` is what its error is where the base alone is asked for.
"""

import base64
import binascii
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"

DaemonKind = Literal["output", "exec-result", "check-result", "error", "start", "credit"]
ShimKind = Literal["request", "stdin", "signal", "resize"]
Kind = DaemonKind | ShimKind

_NOTIFICATIONS: tuple[DaemonKind, ...] = ("output", "start", "credit")
_FROM_SHIM: tuple[ShimKind, ...] = ("stdin", "signal", "resize")


def message_faults(message: dict[str, Any], kind: Kind, *, base_only: bool = False) -> list[str]:
    """Return what keeps a message from following the schemas of its kind, as one line; or none."""
    conduct = "base-error" if base_only and kind == "error" else kind
    faults = [
        f"{error.json_path}: {error.message} ({name}.json)"
        for name in (f"shape/{kind}", f"conduct/{conduct}")
        for error in _validator(name).iter_errors(message)
    ]
    faults += _base64_faults(message.get("params"))
    if not faults:
        return []
    shown = json.dumps(message)[:500]
    return [f"not a valid {kind} message: {'; '.join(faults)}\n  message: {shown}"]


def kind_from_daemon(message: dict[str, Any]) -> DaemonKind | None:
    """Return which message of a daemon this is, or None for one that the protocol lacks."""
    if "method" in message:
        return next((kind for kind in _NOTIFICATIONS if kind == message["method"]), None)
    if "error" in message:
        return "error"
    if "result" in message:
        result = message["result"]
        is_decision = isinstance(result, dict) and "decision" in result
        return "check-result" if is_decision else "exec-result"
    return None


def kind_from_shim(message: dict[str, Any]) -> ShimKind | None:
    """Return which message after the request this is, or None for one that the protocol lacks."""
    return next((kind for kind in _FROM_SHIM if kind == message.get("method")), None)


def decode_data(params: dict[str, Any]) -> bytes:
    """Return the bytes that a valid message of output or stdin carries."""
    data: str = params.get("data", "")
    return base64.b64decode(data) if params.get("encoding") == "base64" else data.encode()


def _base64_faults(value: Any) -> Iterator[str]:
    """Yield a line for each text in base64 that is none, at any depth (schemas do not look)."""
    match value:
        case {"encoding": "base64", "data": str(text)} | {"base64": str(text)}:
            try:
                base64.b64decode(text, validate=True)
            except binascii.Error as error:
                yield f"{text[:80]!r} is not base64: {error}"
        case dict():
            for item in value.values():
                yield from _base64_faults(item)
        case list():
            for item in value:
                yield from _base64_faults(item)


@functools.cache
def _validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
