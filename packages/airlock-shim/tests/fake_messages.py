"""A daemon's messages, as it sends them."""

import json

RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":0}}\n'


def start_message(*features: str, credit: int | None = None) -> bytes:
    """The `start` notification with these features."""
    params = {"features": features} | ({} if credit is None else {"stdin_credit": credit})
    return encode({"jsonrpc": "2.0", "method": "start", "params": params})


def output(data: str, stream: str = "stdout") -> bytes:
    """An output notification as the daemon sends it."""
    params = {"stream": stream, "data": data}
    return encode({"jsonrpc": "2.0", "method": "output", "params": params})


def result(exit_code: int, **members: str | int) -> bytes:
    """The response for a command that ran."""
    return encode({"jsonrpc": "2.0", "id": 1, "result": {"exit_code": exit_code, **members}})


def error(code: int, message: str, **data: str) -> bytes:
    """The response for a command that did not run; without `data`, as by released daemons."""
    described = {"code": code, "message": message} | ({"data": data} if data else {})
    return encode({"jsonrpc": "2.0", "id": 1, "error": described})


def encode(message: object) -> bytes:
    """A message as one line."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"
