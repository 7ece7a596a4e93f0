"""Target: what a worker of the HTTPS broker, which may have been broken into, says to the daemon.

It is a message, or is refused as none; what becomes a record is one line of bounded length; and
what a person is shown of a question has no character that a terminal obeys.
"""

import msgspec

from airlock_daemon.boundary.approval import questions
from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.https.messages import (
    Content,
    Finished,
    Question,
    Ready,
    Refused,
    Spent,
    Spliced,
    ToDaemon,
    Unready,
    decode_message,
)
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.serving.daemon.control import show
from airlock_daemon.serving.request.https import describe_request
from airlock_modules.apis import Api
from airlock_modules.operation import Operation
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_MAX_TEXT = 1024
_DECODER: msgspec.json.Decoder[ToDaemon] = msgspec.json.Decoder(ToDaemon)
_ENCODER = msgspec.json.Encoder()
_API = Api(name="gh", module="gh", hosts=("api.github.com",))


def _check(data: bytes) -> None:
    try:
        message = decode_message(_DECODER, data)
    except msgspec.MsgspecError:
        return
    if _DECODER.decode(_ENCODER.encode(message)) != message:
        raise BrokenPromiseError(f"it is another message when it is written: {message!a}")
    words: tuple[str, ...] = ()
    reason = None
    match message:
        case Question():
            words = (message.api, message.method, message.path, *message.query_names)
            if message.aws is not None:
                words = (message.api, *message.aws.words)
            _check_shown(message, data)
        case Refused():
            words, reason = (message.host, message.method, message.path), message.reason
        case Spliced():
            words = (f"{message.host}:{message.port}",)
        case Finished():
            reason = ", ".join((message.fault or "", *message.dropped))
        case Unready():
            words, reason = (message.hint,), message.message
        case _:
            return
    line = Operation(words).line
    require_one_line(line)
    record = Record(event="broker", reason=None if reason is None else shorten(reason))
    if len(_ENCODER.encode(record)) > _MAX_TEXT + len(_ENCODER.encode(Record(event="broker"))):
        raise BrokenPromiseError(f"a record of {message!a} is too long")


def _check_shown(message: Question, body: bytes) -> None:
    asked = describe_request(message, _API, body)
    question = questions.Question(
        id="K7M2PQ",
        agent="my",
        asked=asked,
        digest=asked.digest,
        pattern="gh",
        began=0,
        ends=1,
    )
    shown = show(question, 0)
    require_one_line(shown.operation)
    for label, lines in shown.details:
        for line in (label, *lines):
            require_one_line(line)


def _make_seeds() -> tuple[bytes, ...]:
    question = Question(
        question=1,
        connection=2,
        api="gh",
        fingerprint="0" * 64,
        host="api.github.com",
        method="GET",
        path="/repos/a/b",
        query_names=("page",),
        needs_secret=True,
    )
    content = Content(port=8443, query="page=1", headers=(("accept", "a/b"), ("body", "x")))
    shown = msgspec.structs.replace(question, content=content)
    refused = Refused(
        connection=1, host="a.example", port=443, method="GET", path="/", rule="r", reason="why"
    )
    done = Finished(
        question=1, status=200, sent=0, received=2, duration_ms=3, fault="x", dropped=("x-a",)
    )
    spliced = Spliced(connection=1, host="a.example", port=443, sent=1, received=2)
    others = (Unready(message="m", hint="h"), Ready(fingerprint="f"), Spent(api="gh", version=1))
    return tuple(map(_ENCODER.encode, (question, shown, refused, done, spliced, *others)))


TARGET = Target(
    check=_check,
    seeds=_make_seeds(),
    words=(
        *(b'"type":"Question"', b'"type":"Finished"', b'"type":"Refused"', b'"type":"Spliced"'),
        *(b'"aws":{"operations":[{"service":"s3","name":"GetObject"}],"region":"r"}', b"null"),
        *(b'"content":{"port":443,"query":"","headers":[["a","b"]]}', b"\\u001b"),
        *(b'"graphql":[]', b'"upgrade":"websocket"', b"\\ud800", b"\\u202e", b"\\n", b"\\u0000"),
        *(b"18446744073709551616", b"-1", b"1e999", b"true", b"{}", b"[]", b'"', b","),
    ),
    longest=_MAX_LENGTH,
)
"""Messages of a worker, as the daemon takes them."""
