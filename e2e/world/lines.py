"""A client's messages as lines, valid or not."""

import itertools
import json
from typing import Any

FEATURES = ("base64", "stdin", "signals", "tty", "exit-signal", "env", "fds")
"""The features of the protocol."""

TERMINAL = {"stdin": True, "stdout": True, "stderr": True, "rows": 24, "cols": 80, "term": "xterm"}
"""A terminal that a client may report."""

_numbers = itertools.count(1)


def make_request(
    command: str, *args: str, method: str = "exec", request_id: Any = None, **params: Any
) -> bytes:
    """Return a request, by default with a unique id; `params` are further params."""
    message = {
        "jsonrpc": "2.0",
        "id": f"r{next(_numbers)}" if request_id is None else request_id,
        "method": method,
        "params": {"command": command, "args": list(args), **params},
    }
    return json.dumps(message).encode() + b"\n"


def make_script(script: str, *features: str, **params: Any) -> bytes:
    """Return the request to run a shell script with these `features`, if any."""
    if features:
        params["features"] = list(features)
    return make_request("sh", "-c", script, **params)


def make_message(method: str, **params: Any) -> bytes:
    """Return a notification, as a client sends while its command runs."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"
