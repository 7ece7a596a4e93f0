"""What a post-exec hook is shown, and what is read of its answer: `request.post_exec`."""

import base64
import json
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.boundary.command import Ended
from airlock_daemon.serving.request.post_exec import (
    ENCODED_PIECE,
    Capture,
    HookResult,
    ResultReader,
)

MAX = 1 << 26


async def pause() -> None:
    """Others need no turns here."""


def read(data: bytes, *, cuts: tuple[int, ...] = (), most: int = MAX) -> HookResult | None:
    """Read `data`, which comes in pieces."""
    reader = ResultReader(most)
    last = 0
    for cut in (*sorted(cut % (len(data) + 1) for cut in cuts), len(data)):
        reader.feed(data[last:cut])
        last = cut
    return trio.run(reader.finish, pause)


def message(**values: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": values}


TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.builds(
    lambda text, count: text * count,
    st.text(st.sampled_from('a"\\\n\x00\x1f\u202eä\U0001f600'), min_size=1),
    st.integers(1, 40),
)


@given(
    out=TEXT,
    err=st.binary(),
    is_ascii=st.booleans(),
    indent=st.sampled_from([None, 2]),
    cuts=st.lists(st.integers(0, 10_000), max_size=8).map(tuple),
)
def test_values_are_the_same_however_written_and_cut(
    out: str, err: bytes, is_ascii: bool, indent: int | None, cuts: tuple[int, ...]
) -> None:
    """Whatever a JSON library makes of them, and wherever a pipe cuts that."""
    encoded = {"base64": base64.b64encode(err).decode()}
    value = message(exit_code=3, stdout=out, stderr=encoded)
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    result = read(text.encode(), cuts=cuts)
    assert result is not None
    assert result.exit_code == 3
    assert bytes(result.stdout or b"") == out.encode()
    assert bytes(result.stderr or b"") == err


@pytest.mark.parametrize("is_ascii", [False, True])
def test_every_cut_gives_the_same(is_ascii: bool) -> None:
    """Also one inside of a character, an escape, or a pair of surrogates."""
    out = 'a"\\\\ud83d\\ä\U0001f600\x00' * 12
    data = json.dumps(message(stdout=out), ensure_ascii=is_ascii).encode()
    for cut in range(len(data)):
        result = read(data, cuts=(cut, cut + 1, cut + 2))
        assert result is not None
        assert result.stdout == out.encode()


@given(out=st.binary(), err=st.binary(max_size=9), code=st.integers(0, 255))
def test_the_message_for_a_hook_is_json_and_comes_back(out: bytes, err: bytes, code: int) -> None:
    """What a hook gets is exact; one that prints it as it is changes nothing."""
    capture = _capture(out * 50, err)
    data = b"".join(capture.encode(Ended(code, None)))
    seen = json.loads(data)
    assert seen == message(exit_code=code, stdout=_form(out * 50), stderr=_form(err))
    assert read(data) == HookResult(exit_code=code, stdout=out * 50, stderr=err)


def test_a_character_that_is_cut_off_is_no_text() -> None:
    """A bound, or the end of a command, may stand in the middle of one."""
    data = b"".join(_capture("ä".encode()[:1], b"").encode(Ended(0, None)))
    assert json.loads(data)["result"]["stdout"] == {"base64": "ww=="}


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_is_none(text: str) -> None:
    """White space is no answer."""
    assert read(text.encode()) is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"result":{"stdout":"a',
        b'{"result":{"stdout":"a\\"',
        b'{"result":{"stdout":"\\x"}}',
        b'{"result":{"stdout":"\\u12"}}',
        b'{"result":{"stdout":"\\ud83d"}}',
        b'{"result":{"stdout":"\\ude00"}}',
        b'{"result":{"stdout":"\\ud83d\\ud83d\\ude00"}}',
        b'{"result":{"stdout":"\xff"}}',
        b'{"result":{"stdout":"\xc3"}}',
        b'{"result":{"stdout":"\n"}}',
        b'{"result":{"stdout":["a"]}}',
        b'{"result":{"stdout":{"base64":"A"}}}',
        b'{"result":{"stdout":{"base64":"AA=="}}} 1',
        b'{"result":{"stdout":{"base64":"' + b"AAA=" * 30_000 + b'"}}}',
        b'{"result":{"stdout":"' + b"\\u00zz" * 10 + b'"}}',
        b"[" * 60_000,
        b" " * 70_000,
        b'{"a":0,' * 20_000,
        b'{"%s":1}' % (b"k" * 200),
    ],
)
def test_what_is_no_result_is_an_error(data: bytes) -> None:
    """Whole or byte by byte."""
    for cuts in ((), tuple(range(min(len(data), 2000)))):
        with pytest.raises((ValueError, RecursionError)):
            read(data, cuts=cuts)


def test_a_string_cannot_pass_for_another_one() -> None:
    """A short one is itself, also where it looks like what represents a long one."""
    long = "x" * 100
    number = "#" * 65 + "0"
    assert read(json.dumps(message(stdout=long, stderr=number)).encode()) == HookResult(
        stdout=long.encode(), stderr=number.encode()
    )
    short = "#" * 64
    assert read(json.dumps(message(stdout=short)).encode()) == HookResult(stdout=short.encode())


def test_what_is_too_long_is_an_error() -> None:
    """The strings of a message together have a bound."""
    data = json.dumps(message(stdout="x" * 600, stderr="y" * 600)).encode()
    assert read(data, most=1300) is not None
    with pytest.raises(ValueError, match="too long"):
        read(data, most=1100)


@pytest.mark.parametrize("unit", [b"text\n", b"\x01", "ä".encode(), b"\xff"])
def test_a_long_message_is_made_in_short_pieces(unit: bytes) -> None:
    """Others have turns between them."""
    capture = _capture(unit * 500_000, b"")
    assert max(len(piece) for piece in capture.encode(Ended(0, None))) <= 6 * ENCODED_PIECE


def _capture(out: bytes, err: bytes) -> Capture:
    capture = Capture(1 << 30)

    async def fill() -> None:
        for start in range(0, len(out), 65536):
            await capture.take("stdout", out[start : start + 65536])
        await capture.take("stderr", err)

    trio.run(fill)
    return capture


def _form(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
