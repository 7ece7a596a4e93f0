"""The plain `start`, which is read without Typer."""

import pytest

from airlock_daemon.admin.cli import read_plain


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["start"], {}),
        (["--config", "c", "start"], {"config": "c"}),
        (["start", "--agents", "a", "--sockets=s"], {"agents": "a", "sockets": "s"}),
        (["--config=a", "start", "--config", "b"], {"config": "b"}),
    ],
)
def test_options_stand_on_either_side_of_start(words: list[str], chosen: dict[str, str]) -> None:
    """As they do for every command; the later one counts."""
    assert read_plain(words, "start") == chosen


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["check"],
        ["start", "start"],
        ["start", "--help"],
        ["start", "--config"],
        ["start", "--config="],
        ["start", "--config", "--agents"],
        ["start", "--json"],
        ["start", "--", "x"],
        ["--unknown", "x", "start"],
        ["-h", "start"],
    ],
)
def test_everything_else_is_for_typer(words: list[str]) -> None:
    """It explains itself, or says what is wrong."""
    assert read_plain(words, "start") is None
