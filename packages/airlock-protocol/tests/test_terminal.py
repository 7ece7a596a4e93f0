"""The client's terminal."""

import msgspec
import pytest

from airlock_wire import Terminal
from airlock_wire.terminal import is_term


@pytest.mark.parametrize("term", ["xterm", "xterm-256color", "a+b.c_d-0", "x" * 64])
def test_names_of_terminals_are_taken(term: str) -> None:
    """The names of terminfo have no other characters."""
    assert is_term(term)


@pytest.mark.parametrize(
    "term", ["", "x" * 65, "../x", "xterm\n", "\nxterm", "a b", "é", "٣", "\0"]
)
def test_what_is_no_name_is_not(term: str) -> None:
    """Nothing gets into the tool's environment that its terminal library could take for a path."""
    assert not is_term(term)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_one_stream_of_output_is_enough(stream: str) -> None:
    """A pseudo-terminal is useful only if output goes to a terminal of the client."""
    terminal = Terminal(stdin=True, stdout=False, stderr=False, rows=24, cols=80)
    assert not terminal.is_wanted
    assert msgspec.structs.replace(terminal, **{stream: True}).is_wanted
