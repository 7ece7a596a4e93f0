"""The audit log of a daemon under attack: is each line a record, and is the chain whole?"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from e2e.world.errors import BrokenError

_FINAL = ("exec", "check", "invalid")
_OUTCOMES = ("allowed", "denied", "failed", "aborted", "invalid")
_BEFORE_REQUEST = ("connections", "descriptors")
# What every one of them has, also where the request was no request.
_MEMBERS = ("ts", "event", "profile", "outcome", "peer", "prev")


class LogReader:
    """Reads the log of a daemon as it grows, each line once, and checks it.

    `finals` counts the records that end a request, by agent; `refused` the connections that were
    refused before they were read, by agent; `events` all records by their event.
    """

    def __init__(self, path: Path) -> None:
        self.finals: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._path = path
        self._position = 0
        self._lines = 0
        self._previous: str | None = None

    def read(self) -> list[dict[str, Any]]:
        """Return the records that were added since the last time.

        Raises BrokenError for a line that is no record, or that does not continue the chain.
        """
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        # A record is written by one write(2): what has no newline is being written now.
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        return [self._check(line) for line in whole.split(b"\n")[:-1]]

    def _check(self, line: bytes) -> dict[str, Any]:
        self._lines += 1
        where = f"line {self._lines} of the audit log"
        try:
            record = json.loads(line)
        except ValueError:
            raise BrokenError(f"{where} is no JSON: {line[:300]!r}") from None
        if not isinstance(record, dict) or not isinstance(record.get("event"), str):
            raise BrokenError(f"{where} is no record: {line[:300]!r}")
        if record.get("prev") != self._previous:
            raise BrokenError(f"{where} does not continue the line before: {line[:300]!r}")
        self._previous = hashlib.sha256(line).hexdigest()
        event = record["event"]
        self.events[event] += 1
        if event in _FINAL:
            missing = [name for name in _MEMBERS if record.get(name) is None and name != "prev"]
            if missing or record["outcome"] not in _OUTCOMES:
                raise BrokenError(f"{where} lacks {missing}: {line[:300]!r}")
            counted = self.refused if record.get("rule") in _BEFORE_REQUEST else self.finals
            # One record may stand for many.
            counted[record["profile"]] += record.get("count") or 1
        return record
