"""Policy vectors of the conformance suite: requests, and the required decisions of modules."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from msgspec import Struct

_FOLDER = Path(__file__).parents[3] / "conformance" / "vectors"


class Vector(Struct, frozen=True):
    """One request, and whether it must be "allowed" or "denied".

    `is_harmless` means that it is allowed because of where the tool runs.
    """

    id: str
    tool: str
    args: tuple[str, ...]
    result: str
    is_harmless: bool


def read_vectors(tool: str) -> tuple[Vector, ...]:
    """Return the vectors of one tool, in the order of the file."""
    document = json.loads((_FOLDER / f"{tool}.json").read_text(encoding="utf-8"))
    return tuple(
        Vector(
            test["id"],
            tool,
            tuple(map(_decode, test["args"])),
            test["result"],
            "canary" in test,
        )
        for group in document["groups"]
        for test in group["tests"]
    )


def _decode(argument: Any) -> str:
    if isinstance(argument, str):
        return argument
    return os.fsdecode(base64.b64decode(argument["base64"]))
