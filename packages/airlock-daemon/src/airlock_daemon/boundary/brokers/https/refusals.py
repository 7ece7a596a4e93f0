"""Phrases refusals as answers of the service, in the form that its tools show."""

import html
import re
from http import HTTPStatus

import msgspec

from airlock_daemon.boundary.brokers.https.messages import Refusal
from airlock_modules.apis import Api, Head

# Limit for the reason phrase, which is all that pip and npm show.
_MAX_REASON = 400
# Tools that show an `error` only if it is a string.
_ERROR_IS_TEXT = frozenset({"npm"})

_TYPES = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
}
# Of Kubernetes (meta/v1 Status).
_REASONS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}


def say(refusal: Refusal) -> str:
    """The refusal in one line of ASCII."""
    line = f"airlock: {refusal.message}" + (f"; {refusal.hint}" if refusal.hint else "")
    return line.encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")


def answer(refusal: Refusal, api: Api, head: Head | None) -> bytes:
    """A whole answer to `head`; the connection is then closed."""
    line = say(refusal)
    kind, body = _spell(refusal, api, line) if api.aws is None else _spell_for_aws(line, head)
    lines = [
        f"HTTP/1.1 {refusal.status} {line[:_MAX_REASON]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    text = "\r\n".join((*lines, "", "")).encode()
    return text if head is not None and head.method == "HEAD" else text + body


def _spell(refusal: Refusal, api: Api, line: str) -> tuple[str, bytes]:
    """Content type and body in the form that most APIs' tools show."""
    kind = _TYPES.get(HTTPStatus(refusal.status), "api_error")
    error = line if api.module in _ERROR_IS_TEXT else {"type": kind, "message": line}
    said: dict[str, object] = {"type": "error", "message": line, "error": error}
    if api.is_cluster:
        reason = _REASONS.get(HTTPStatus(refusal.status), "InternalError")
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": line}
        said |= {"reason": reason, "code": refusal.status}
    return "application/json", msgspec.json.encode(said)


def _spell_for_aws(line: str, head: Head | None) -> tuple[str, bytes]:
    """Content type and body in the AWS protocol that the tool uses."""
    if head is not None and head.get("smithy-protocol") == "rpc-v2-cbor":
        pairs = (("__type", "AccessDeniedException"), ("message", line))
        body = b"\xa2" + b"".join(_cbor(text) for pair in pairs for text in pair)
        return "application/cbor", body
    text = html.escape(line, quote=False)
    error = f"<Code>AccessDenied</Code><Message>{text}</Message>"
    scope = "" if head is None else head.get("authorization") or head.query
    kind = "" if head is None else head.get("content-type") or ""
    if "/s3/aws4_request" in scope or "%2Fs3%2Faws4_request" in scope:
        return "application/xml", f"<Error>{error}<RequestId>airlock</RequestId></Error>".encode()
    if "/ec2/aws4_request" in scope:
        errors = f"<Errors><Error>{error}</Error></Errors><RequestID>airlock</RequestID>"
        return "text/xml", f"<Response>{errors}</Response>".encode()
    is_form = "x-www-form-urlencoded" in kind
    if is_form or re.search("/(route53|cloudfront|s3-outposts)/aws4_request", scope):
        error = f"<Error><Type>Sender</Type>{error}</Error><RequestId>airlock</RequestId>"
        return "text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
    answer = {"__type": "AccessDeniedException", "message": line}
    return "application/x-amz-json-1.1", msgspec.json.encode(answer)


def _cbor(text: str) -> bytes:
    """Encode a text of up to 65,535 bytes (RFC 8949, 3.1)."""
    data = text.encode()[:65_535]
    return b"\x79" + len(data).to_bytes(2, "big") + data
