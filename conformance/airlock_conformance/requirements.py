"""The numbered requirements of the protocol, and which of them no case can check.

``requirements.json`` lists every requirement of the protocol's text by its number. Each is either
named by a case or has an excuse: the reason why there is none.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FILE = Path(__file__).resolve().parent.parent / "requirements.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One numbered statement of the protocol, and whom it binds.

    `excuse` is empty where cases check it.
    """

    id: str
    of: Literal["daemon", "shim", "bridge", "both"]
    summary: str
    excuse: str


def read_requirements() -> list[Requirement]:
    """Return the requirements in the order of the file."""
    return [
        Requirement(
            id=number, of=entry["of"], summary=entry["summary"], excuse=entry.get("excuse", "")
        )
        for number, entry in json.loads(FILE.read_text()).items()
    ]


def read_excuses() -> dict[str, str]:
    """Return the reason for each requirement that no case checks."""
    return {item.id: item.excuse for item in read_requirements() if item.excuse}


def read_summaries() -> dict[str, str]:
    """Return what each requirement says."""
    return {item.id: item.summary for item in read_requirements()}
