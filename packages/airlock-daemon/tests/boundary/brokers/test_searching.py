"""Looking for a credential in answers, whatever pieces they come in."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.boundary.brokers.http.searching import CredentialLeak, Search

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
    """And nothing of it has been passed on until then."""
    search = Search(SECRET)
    passed: list[bytes] = []

    def feed_all() -> None:
        passed.extend(map(search.feed, cut(before + SECRET.encode() + after, sizes)))

    with pytest.raises(CredentialLeak):
        feed_all()
    assert sum(map(len, passed)) <= len(before)


@given(before=st.integers(0, 100_000), after=st.integers(0, 100_000), byte=st.binary(min_size=1))
def test_it_is_found_in_much_at_once(before: int, after: int, byte: bytes) -> None:
    """Behind whatever bytes, zeros too; and without it all passes."""
    much = byte * (before // len(byte))
    with pytest.raises(CredentialLeak):
        Search(SECRET).feed(much + SECRET.encode() + bytes(after))
    search = Search(SECRET)
    assert search.feed(much + bytes(after)) + search.finish() == much + bytes(after)


@given(before=noise, after=noise)
def test_it_is_found_in_its_usual_spellings(before: bytes, after: bytes) -> None:
    """In base64 wherever it begins there."""
    secret = SECRET.encode()
    whole = base64.b64encode(before + secret + after)
    for spelled in (
        whole,
        whole.replace(b"+", b"-").replace(b"/", b"_"),
        before + quote(SECRET, safe="").encode() + after,
        before + quote(SECRET).encode() + after,
        before + secret.hex().encode() + after,
        before + secret.hex().upper().encode() + after,
    ):
        assert Search(SECRET).is_in(b"", spelled)
        assert Search(SECRET).is_in(spelled.lower(), b"")
        with pytest.raises(CredentialLeak):
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


def test_whole_words_pass_at_once() -> None:
    """So that the events of a stream are not delayed."""
    search = Search(SECRET)
    for event in (b"data: {}\n\n", b"data: ghp_a\n\n", b'{"a": "b"}'):
        assert search.feed(event) == event


@given(word=st.text("ghp_a+b/cD3fGh", min_size=1, max_size=40))
def test_what_waits_does_not_depend_on_the_credential(word: str) -> None:
    """Else it would be told letter by letter, by when guesses come that a service repeats."""
    assert Search(SECRET).feed(word.encode()) == Search("another-credential").feed(word.encode())


def test_a_short_one_is_not_looked_for() -> None:
    """It stands in answers by chance."""
    search = Search("token")
    assert search.feed(b"a token") + search.finish() == b"a token"
    assert not Search().is_on
