"""What a client says while its command runs."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import NEED_DATA, HalfClosed, Resize, Signal, StdinData, StdinEnd
from airlock_wire.interaction import Interaction
from airlock_wire.members import Fault

ALL = frozenset({"stdin", "signals", "tty"})


def line(method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


EOF = line("stdin", eof=True)
INT = line("signal", name="SIGINT")
SIGINT = Signal(name="SIGINT")


def interact(*, features: frozenset[str] = ALL, credit: int = 100) -> Interaction:
    return Interaction(features=features, credit=credit, line_bytes=1000)


def hear(interaction: Interaction, *pieces: bytes) -> list[object]:
    """Everything that it says after each piece; a fault is the last."""
    events: list[object] = []
    for piece in pieces:
        interaction.receive(piece)
        try:
            while (event := interaction.next_event()) is not NEED_DATA:
                events.append(event)
        except Fault as fault:
            return [*events, fault.error.code]
    return events


STREAM = [
    *(INT, line("stdin", data="é"), b" " + line("later"), line("stdin", data="")),
    *(line("resize", rows=1, cols=2), line("stdin", data="x", eof=True), line("stdin", data="y")),
    *(line("stdin", bad=1), line("signal", name="SIGTERM")),
]
HEARD = [
    *(SIGINT, StdinData(data="é".encode()), Resize(rows=1, cols=2), StdinData(data=b"x")),
    *(StdinEnd(), Signal(name="SIGTERM"), HalfClosed()),
]


@given(cuts=st.lists(st.integers(0, 700), max_size=12))
def test_any_chunking_gives_the_same_events(cuts: list[int]) -> None:
    """Messages come once, in order, and ignored ones have no effect."""
    stream = b"".join(STREAM)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert hear(interact(), *pieces, b"") == HEARD


def test_credit_is_counted_after_decoding() -> None:
    """Received bytes use credit in either encoding, and can be granted again."""
    interaction = interact(credit=3)
    data = line("stdin", data="/w==", encoding="base64") + line("stdin", data="é")
    assert hear(interaction, data) == [StdinData(data=b"\xff"), StdinData(data="é".encode())]
    assert interaction.credit == 0
    interaction.credit += 1
    assert hear(interaction, line("stdin", data="x", eof=True)) == [
        StdinData(data=b"x"),
        StdinEnd(),
    ]


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=8), credit=st.integers(0, 12))
def test_an_overdraft_is_a_fault_when_it_happens(sizes: list[int], credit: int) -> None:
    """All that the credit covers is taken first, and not a byte beyond."""
    expected: list[object] = []
    left = credit
    for size in sizes:
        left -= size
        if left < 0:
            expected.append(-32600)
            break
        if size:
            expected.append(StdinData(data=bytes(size)))
    data = b"".join(line("stdin", data="\0" * size) for size in sizes)
    assert hear(interact(credit=credit), data) == expected


def test_what_comes_after_the_end_of_stdin_is_ignored() -> None:
    """It is neither read nor counted; other messages still are."""
    interaction = interact(credit=1)
    assert hear(interaction, EOF + line("stdin", data="xy") + EOF + INT) == [StdinEnd(), SIGINT]
    assert hear(interaction, b"") == [HalfClosed()]


def test_a_closed_half_ends_stdin_once() -> None:
    """HalfClosed is the last event, and comes once too."""
    interaction = interact()
    assert hear(interaction, b"") == [StdinEnd(), HalfClosed()]
    assert hear(interaction, b"") == []
    assert hear(interact(features=ALL - {"stdin"}), b"") == [HalfClosed()]


def test_a_closed_half_waits_for_what_came_before() -> None:
    """Lines that were not asked for yet are events first."""
    interaction = interact()
    interaction.receive(INT + line("stdin", data="x"))
    interaction.receive(b"")
    assert hear(interaction, b"") == [SIGINT, StdinData(data=b"x"), StdinEnd(), HalfClosed()]


def test_a_line_that_is_cut_off_is_a_fault() -> None:
    """A message without its newline is refused, even if its JSON is complete."""
    assert hear(interact(), INT + EOF[:-1], b"") == [SIGINT, -32700]


def test_a_line_over_the_limit_is_a_fault_before_its_newline() -> None:
    """What came before it counts, and no more than the limit is kept."""
    limit = 1000
    fits = line("later", x="y" * 900)
    fits = fits[:-1] + b" " * (limit - len(fits) + 1) + b"\n"
    assert hear(interact(), fits + INT) == [SIGINT]
    interaction = interact()
    assert hear(interaction, INT + fits[:-1] + b" ") == [SIGINT, -32700]
    for _ in range(64):
        interaction.receive(bytes(65536))
    assert interaction._reader.is_empty is False
    assert not interaction._reader._buffer


@pytest.mark.parametrize("piece", [b"\n", b"x\n", b"[]\n", line("signal", name="SIGKILL")])
def test_nonsense_is_a_fault(piece: bytes) -> None:
    """What came before it counts."""
    assert hear(interact(), INT + piece)[0] == SIGINT
    assert isinstance(hear(interact(), piece)[0], int)
