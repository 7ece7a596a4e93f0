"""A client that speaks as released shims do: one line, and no features."""

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.world.client import Client, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The output of a command and its exit status, or the refusal's code and message."""

    output: str = ""
    status: int | None = None
    code: int | None = None
    message: str = ""


def ask(socket: Path, command: str, *args: str, method: str = "exec") -> Answer:
    """Ask once, as a shim in no container; for `check` a status of 0 is allowed."""
    params = {"command": command, "args": args, "cwd": "/workspace", "container_id": None}
    if method == "check":
        del params["cwd"]
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    with Client(socket) as client:
        client.send(json.dumps(message).encode() + b"\n")
        output = ""
        while (said := client.next_message()) is not None:
            if said.get("method") == "output":
                output += said["params"]["data"]
            else:
                return _read(said, output)
    raise AssertionError("the daemon closed without a response")


def _read(response: Message, output: str) -> Answer:
    if "error" in response:
        error = response["error"]
        return Answer(output=output, code=error["code"], message=error["message"])
    return Answer(output=output, status=response["result"].get("exit_code", 0))
