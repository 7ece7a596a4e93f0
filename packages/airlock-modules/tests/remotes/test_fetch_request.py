"""Where the requests of a fetch end, however they come."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import FetchRequestReader

LIST = b"0014command=ls-refs\n0001000cpeel xy\n0000"
FETCH = b"0011command=fetch00010009done\n0000"


def read(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """The requests in these pieces, and whether the client said that there is no other."""
    reader = FetchRequestReader()
    requests = [b""]
    for piece in pieces:
        reader.feed(piece)
        while True:
            taken, is_whole = reader.take()
            requests[-1] += taken
            if is_whole:
                requests.append(b"")
            elif not taken:
                break
    return requests[:-1], reader.is_over


@given(st.lists(st.integers(1, len(LIST + FETCH) + 4), max_size=8))
def test_requests_are_told_from_one_another(cuts: list[int]) -> None:
    """A delimiter ends none; a flush alone is the last word."""
    stream = LIST + FETCH + b"0000"
    at = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(at)]
    assert read(pieces) == ([LIST, FETCH, b"0000"], True)


@pytest.mark.parametrize(
    "stream",
    [
        b"0001",
        b"0002",
        b"0004",
        b"fff1",
        b"000G",
        b"0032want " + b"1" * 40 + b"\n",
        b"0017command=object-info",
        b"0012command=fetch ",
        b"0011command=fetch0003",
        b"0011command=fetch0002",
    ],
)
def test_what_is_no_request_of_a_fetch_is_refused(stream: bytes) -> None:
    """Of other versions of the protocol, and of none."""
    with pytest.raises(RemoteError):
        read([stream])


def test_a_request_that_is_cut_off() -> None:
    """The end of a stream may stand between two only."""
    reader = FetchRequestReader()
    reader.feed(LIST)
    reader.take()
    reader.end()
    reader.feed(LIST[:-4])
    reader.take()
    with pytest.raises(RemoteError, match="cut off"):
        reader.end()
