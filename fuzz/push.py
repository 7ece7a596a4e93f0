"""Target: what a client sends where a push begins.

The first byte seeds the cutting into pieces. However the bytes come, they are the same list, the
same error or no whole list; what is read says line by line what stands there, and the judgement and
the answer to the client can be made of it.
"""

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.grants import GitGrant
from airlock_modules.remotes.push import PushList, PushReader, compose_report, judge_push
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_GRANT = GitGrant(refs=())
_ID, _OTHER = b"1" * 40, b"0" * 40


def _check(data: bytes) -> None:
    if not data:
        return
    seed, stream = data[0], data[1:]
    found = _read(stream, [stream])
    if _read(stream, list(cut(stream, seed))) != found:
        raise BrokenPromiseError("pieces are read in another way than the whole")
    if isinstance(found, str):
        require_one_line(found)
    if not isinstance(found, PushList):
        return
    for update in found.updates:
        if f"{update.old} {update.new} {update.ref}".encode() not in stream:
            raise BrokenPromiseError(f"nobody sent {update!a}")
    refusals = judge_push(_GRANT, found)
    if len(refusals) < len(found.updates):
        raise BrokenPromiseError("a ref was granted where none is")
    for refusal in refusals:
        require_one_line(refusal.problem)
    compose_report(found, refusals)


def _read(stream: bytes, pieces: list[bytes]) -> PushList | str | None:
    reader = PushReader()
    try:
        for piece in pieces:
            push = reader.feed(piece)
            if push is not None:
                return push
    except RemoteError as error:
        return error.problem
    if reader.received != stream:
        raise BrokenPromiseError("what was fed is not held")
    return None


TARGET = Target(
    check=_check,
    seeds=(
        b"\00080" + _ID + b" " + _OTHER + b" refs/heads/main\0 report-status-v2 a=b" + b"0000",
        b"\1" + b"0068" + _OTHER + b" " + _ID + b" refs/heads/a\n0000PACK",
        b"\2" + b"0035shallow " + _ID + b"\n0000",
    ),
    words=(
        _ID,
        _OTHER,
        b"0000",
        b"0001",
        b"0032",
        b"005e",
        b" refs/heads/",
        b"refs/tags/v",
        b"\x00",
        b"report-status",
        b"side-band-64k",
        b"push-options",
        b"shallow ",
        b"push-cert",
        b"agent=x",
    ),
    longest=_MAX_LENGTH,
)
