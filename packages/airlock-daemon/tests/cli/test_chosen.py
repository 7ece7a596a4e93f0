"""The plain `start`, which is read without Typer."""

import pytest

from airlock_daemon.cli.chosen import Options, read_start


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["start"], Options()),
        (["--config", "c", "start"], Options(config="c")),
        (["start", "--agents", "a", "--sockets=s"], Options(agents="a", sockets="s")),
        (["--config=a", "start", "--config", "b"], Options(config="b")),
    ],
)
def test_options_stand_on_either_side_of_start(words: list[str], options: Options) -> None:
    """As they do for every command; the later one counts."""
    assert read_start(words) == options


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
