"""What is kept of earlier runs, and what is said of a figure beside them."""

from bench.__main__ import HISTORY_PAGE
from bench.chart import write_page
from bench.history import (
    HISTORY,
    read_history,
)


def test_the_page_is_that_of_the_history() -> None:
    """`./dev bench history` draws it."""
    assert HISTORY_PAGE.read_text() == write_page(read_history(HISTORY))
