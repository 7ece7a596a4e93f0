"""A refusal as an answer of the service, in the form that its tools show to a person."""

from http import HTTPStatus

import msgspec

from airlock_daemon.brokers.https.messages import Refusal
from airlock_modules.apis import Api

# The reason in the first line of an answer, of which pip and npm show nothing else.
_LONGEST_REASON = 400
# Their tools show an `error` that is a text, and of an object nothing.
_ERROR_IS_TEXT = frozenset({"npm"})

_TYPES = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
}


def say(refusal: Refusal) -> str:
    """The refusal in one line."""
    line = f"airlock: {refusal.message}" + (f"; {refusal.hint}" if refusal.hint else "")
    return line.encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")


def answer(refusal: Refusal, api: Api, *, is_head: bool) -> bytes:
    """A whole answer, after which the connection is closed; without its body to a HEAD request."""
    line = say(refusal)
    kind = _TYPES.get(HTTPStatus(refusal.status), "api_error")
    error = line if api.module in _ERROR_IS_TEXT else {"type": kind, "message": line}
    body = msgspec.json.encode({"type": "error", "message": line, "error": error})
    head = [
        f"HTTP/1.1 {refusal.status} {line[:_LONGEST_REASON]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    text = "\r\n".join((*head, "", "")).encode()
    return text if is_head else text + body
