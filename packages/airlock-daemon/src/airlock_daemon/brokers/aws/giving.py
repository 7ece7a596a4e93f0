"""One conversation of a box in which its tool asks for keys of AWS, as it would in a container of
ECS (the AWS SDKs' reference, "Container credential provider").

The word by which it asks is in its environment. Where an agent has it shown, that gets no keys: it
has to be sent in a header of its own, which nothing but the SDKs does.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import h11
import msgspec
import trio

from airlock_daemon.brokers.egress.head import BadHead, read_request
from airlock_daemon.brokers.egress.splicing import say_last
from airlock_daemon.connection.closing import Closer
from airlock_daemon.errors import AirlockError
from airlock_daemon.fairness.turns import Turns

_HINT = "only the SDKs of AWS are answered here"


class Given(msgspec.Struct, frozen=True):
    """What is answered, JSON, to whom sends `word`."""

    word: str
    answer: bytes


async def give(
    connection: trio.SocketStream,
    given: Given,
    turns: Turns,
    tell: Callable[[AirlockError | None], None],
    closer: Closer,
) -> None:
    """Answer the one request of a connection of a box, which the caller closes.

    `tell` is called once, with why there were no keys, unless nothing was asked for.
    """

    def check(request: h11.Request) -> bool:
        sent = [value for name, value in request.headers if name == b"authorization"]
        knows = len(sent) == 1 and hmac.compare_digest(sent[0], given.word.encode())
        if knows and request.method == b"GET":
            return True
        problem = "this asks for keys of AWS without the word for it"
        raise BadHead(problem, HTTPStatus.FORBIDDEN, hint=_HINT)

    error: BadHead | None = None
    with suppress(trio.BrokenResourceError):
        try:
            if await read_request(connection, turns, check, hint=_HINT) is None:
                return
        except BadHead as bad:
            error = bad
        tell(error)
        if error is None:
            said = _write(HTTPStatus.OK, given.answer)
        else:
            said = _write(error.status, _explain(error))
        await say_last(connection, said, turns, closer)


async def refuse(
    connection: trio.SocketStream, error: AirlockError, turns: Turns, closer: Closer
) -> None:
    """Say why there are no keys now."""
    said = _write(HTTPStatus.SERVICE_UNAVAILABLE, _explain(error))
    await say_last(connection, said, turns, closer)


def _explain(error: AirlockError) -> bytes:
    """As the SDKs take a refusal."""
    text = f"airlock: {error.message}" + (f"; {error.hint}" if error.hint else "")
    return msgspec.json.encode({"Code": "Refused", "Message": text})


def _write(status: HTTPStatus, body: bytes) -> bytes:
    head = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode() + body
