"""The plain `start`, which is read without Typer."""

import pytest

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.plain_start import read_start


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["start"], Application()),
        (["--config", "c", "start"], Application(config="c")),
        (["start", "--agents", "a", "--sockets=s"], Application(agents="a", sockets="s")),
        (["--config=a", "start", "--config", "b"], Application(config="b")),
    ],
)
def test_options_stand_on_either_side_of_start(words: list[str], chosen: Application) -> None:
    """As they do for every command; the later one counts."""
    assert read_start(words) == chosen


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
    assert read_start(words) is None
