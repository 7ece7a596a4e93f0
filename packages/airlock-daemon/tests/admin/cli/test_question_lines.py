"""Questions as a person reads them on a terminal."""

import itertools
import os
import pty
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from struct import pack
from termios import TIOCSWINSZ
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_daemon.admin.cli import questions
from airlock_daemon.admin.cli.questions import describe_question
from airlock_daemon.boundary.approval.questions import ApprovalRequest, Question
from airlock_daemon.serving.daemon.control import Text, show
from airlock_modules.operation import Operation

WIDTH = 60
FALSE = "ZZZZZZ  my  git fetch github.com/acme/app"


def shown(words: tuple[str, ...], *details: tuple[str, str], is_whole: bool = True) -> list[str]:
    """The lines of a question about this operation."""
    asked = ApprovalRequest(operation=Operation(words), details=details)
    question = Question(
        id="K7M2PQ",
        agent="my",
        asked=asked,
        digest=asked.digest,
        client="container 1a2b3c4d5e6f",
        pattern="run *",
        began=0,
        ends=300,
        waiting=1,
    )
    return list(describe_question(show(question, 1), is_whole=is_whole))


@contextmanager
def terminal(columns: int) -> Iterator[None]:
    """Have stdout be a terminal of that width, of which nothing is read."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
    before = sys.stdout
    try:
        with open(theirs, "w", encoding="utf-8") as sys.stdout:
            yield
    finally:
        sys.stdout = before
        os.close(ours)


def wrap(lines: list[str]) -> list[str]:
    """The rows of a terminal that prints these lines."""
    return [line[at : at + WIDTH] for line in lines for at in range(0, len(line) or 1, WIDTH)]


def test_a_question_of_any_length_is_listed_quickly() -> None:
    """A client may have it listed again at any moment, and all else waits meanwhile."""
    details = tuple(("body", text) for text in ('{"a": "b"}' * 100_000, "\n" * 1_000_000))
    asked = ApprovalRequest(operation=Operation(("gh", "POST", "/repos")), details=details)
    question = Question(
        id="K7M2PQ", agent="my", asked=asked, digest="", pattern="gh *", began=0, ends=300
    )
    text = Text.of(asked)
    began = time.process_time()
    for _ in range(100):
        assert show(question, 1, text).details is text.details
    assert time.process_time() - began < 1


# A client guesses the width of the terminal, and fills its row.
FILLED = (
    (("run", "sh", "-c", "x" * (WIDTH - len("K7M2PQ  my  run sh -c ") - 1) + FALSE),),
    (("run", "sh"), ("body", "x" * (WIDTH - len("      | ")) + FALSE)),
    (("run", "sh"), ("header " + "x" * (WIDTH - len("    header ")) + FALSE, "x")),
)


@pytest.mark.parametrize("filled", FILLED, ids=["word", "text", "label"])
def test_no_text_of_a_client_begins_a_row(filled: Any) -> None:
    """There it would be another question, for the eye."""
    with terminal(WIDTH):
        lines = shown(*filled)
    first, *others = wrap(lines)
    assert first.startswith("K7M2PQ  my  ")
    assert all(row.startswith("    ") for row in others)
    assert "".join(line[8:] if line[6] == "+" else line for line in lines).count(FALSE) == 1


@pytest.mark.parametrize("filled", FILLED, ids=["word", "text", "label"])
def test_unfolded_it_does(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above shows something."""
    monkeypatch.setattr(questions, "_find_width", lambda: None)
    with terminal(WIDTH):
        rows = wrap(shown(*filled))
    assert any(row.startswith(FALSE[:30]) for row in rows)


def test_wide_characters_count_twice() -> None:
    """A terminal shows them in two columns."""
    with terminal(WIDTH):
        _, _, *lines = shown(("run", "sh"), ("body", "漢" * 100))
    texts = [line for line in lines if "漢" in line]
    assert max(map(len, texts)) == (WIDTH + 8) // 2
    assert sum(line.count("漢") for line in texts) == 100


# What a client may put into words, refs and bodies; it has what a terminal obeys, and look-alikes.
TEXTS = st.text(
    st.sampled_from('ab "\\\n\r\t\x1b\x9b\u202e\u2066\u2028\u200b\u00a0\udc9b\u05d0\ufe0f|+:'),
    max_size=6,
)
ASKED = st.builds(
    ApprovalRequest,
    operation=st.builds(Operation, st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
    details=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
)


@given(asked=ASKED)
def test_no_text_drives_the_terminal_or_leaves_its_column(asked: ApprovalRequest) -> None:
    """Whatever it is: a ref or a push option is a label or a line, too."""
    first, *others = shown(asked.operation.words, *asked.details)
    assert first.startswith("K7M2PQ  my  ")
    assert all(line.isprintable() for line in (first, *others))
    assert not {"\u05d0", "\ufe0f"} & {*"".join((first, *others))}
    assert all(line.startswith("    ") for line in others)


def list_texts(letters: str) -> list[str]:
    """All texts of at most two letters."""
    return ["", *letters, *(one + other for one in letters for other in letters)]


def test_two_operations_never_look_the_same() -> None:
    """All that differ in what is bound differ in what is shown."""
    short, few = list_texts('a\n"\\'), ("", "a", ":\na", "a:")
    words = itertools.chain(zip(short), itertools.product(short, short))
    details = itertools.product(short, short)
    pairs = list(itertools.product(few, few))
    operations = [
        *((each, ()) for each in words),
        *((("run",), (each,)) for each in details),
        *((("run",), each) for each in itertools.product(pairs, pairs)),
    ]
    screens = {"\n".join(shown(each, *more)) for each, more in operations}
    assert len(screens) == len(operations)


def test_a_file_is_not_folded() -> None:
    """A program reads whole lines."""
    body = "x" * 1000
    assert f"      | {body}" in shown(("run", "sh"), ("body", body))


def test_a_list_says_what_it_leaves_out() -> None:
    """In words that no text of a client can have in that column. Nothing hides other questions."""
    first, *_ = lines = shown(("run", "x" * 5000), is_whole=False)
    assert len(first) < 4100
    assert "      (1004 more characters: airlock pending K7M2PQ)" in lines
    lines = shown(("run", "sh"), ("body", "x" * 1000 + "...\n" * 20), is_whole=False)
    assert "      (603 more characters: airlock pending K7M2PQ)" in lines
    assert "      (9 more lines: airlock pending K7M2PQ)" in lines
    assert not any(line.strip("x| ") == "..." for line in lines if line.startswith("      | x"))
