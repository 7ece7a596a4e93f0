"""Requests as clients write them."""

import json
from typing import Any, Final

from airlock_wire import Limits
from airlock_wire.decoding import Accepted, Refused, decode_request

LIMITS: Final = Limits(arguments=5)
GOOD: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "exec",
    "params": {"command": "git", "args": []},
}
TTY: Final[dict[str, Any]] = {
    "stdin": True,
    "stdout": False,
    "stderr": True,
    "rows": 24,
    "cols": 80,
}


def with_params(**params: Any) -> str:
    """A valid request, except for these members of its params."""
    return json.dumps(GOOD | {"params": {"command": "git", "args": []} | params})


def decode(line: str | bytes) -> Accepted | Refused:
    """Decode a line; a string may have any surrogates."""
    data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    return decode_request(data, limits=LIMITS)
