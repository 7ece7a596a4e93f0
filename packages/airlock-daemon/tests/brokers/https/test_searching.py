"""Looking for a credential in answers, whatever pieces they come in."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.brokers.https.searching import Exposed, Search

SECRET = "ghp_a+b/cD3fGhIjKlMnOpQrStUvWxYz0123456789"

noise = st.binary(max_size=40)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The same in pieces."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(before=noise, after=noise, sizes=st.lists(st.integers(0, 30), max_size=20))
def test_it_is_found_in_whatever_pieces(before: bytes, after: bytes, sizes: list[int]) -> None:
    """And no more than three letters of it have been passed on until then."""
    search = Search(SECRET)
    passed: list[bytes] = []

    def feed_all() -> None:
        passed.extend(map(search.feed, cut(before + SECRET.encode() + after, sizes)))

    with pytest.raises(Exposed):
        feed_all()
    assert sum(map(len, passed)) <= len(before) + 3


@given(before=noise, after=noise)
def test_it_is_found_in_its_usual_spellings(before: bytes, after: bytes) -> None:
    """In base64 wherever it begins there."""
    secret = SECRET.encode()
    whole = base64.b64encode(before + secret + after)
    for spelled in (
        whole,
        whole.replace(b"+", b"-").replace(b"/", b"_"),
        before + quote(SECRET, safe="").encode() + after,
        before + secret.hex().encode() + after,
        before + secret.hex().upper().encode() + after,
    ):
        assert Search(SECRET).is_in(b"", spelled)
        assert Search(SECRET).is_in(spelled.lower(), b"")
        with pytest.raises(Exposed):
            Search(SECRET).feed(spelled)


@given(
    parts=st.lists(
        st.one_of(noise, st.integers(1, len(SECRET) - 1).map(lambda n: SECRET[:n].encode())),
        max_size=20,
    ),
    sizes=st.lists(st.integers(0, 30), max_size=20),
)
def test_what_has_it_not_passes_whole(parts: list[bytes], sizes: list[int]) -> None:
    """Beginnings of it too, if something else follows."""
    data = b"".join(parts)
    if SECRET.encode() in data:
        return
    search = Search(SECRET)
    passed = b"".join(search.feed(piece) for piece in cut(data, sizes)) + search.finish()
    assert passed == data


def test_what_cannot_be_its_beginning_passes_at_once() -> None:
    """So that the events of a stream are not delayed."""
    search = Search(SECRET)
    for event in (b"data: {}\n\n", b"ghp", b"data: ghp_a\n\n"):
        assert search.feed(event) == event


def test_a_short_one_is_not_looked_for() -> None:
    """It stands in answers by chance."""
    assert Search("token").feed(b"a token") == b"a token"
    assert not Search().is_on
