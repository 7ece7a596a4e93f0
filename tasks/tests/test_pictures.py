"""The pictures in the documentation show what the programs print today."""

from collections.abc import Mapping

import pytest
from e2e.world import sshd
from e2e.world.need import need
from tasks.pictures.drawing import draw, read_words
from tasks.pictures.sessions import show_all
from tasks.places import PICTURES

ANEW = "draw them anew: ./dev docs --pictures"
NAMES = ("check", "demo", "log-tail", "pending", "push-waits")


@pytest.fixture(scope="module")
def sessions() -> Mapping[str, tuple[str, str]]:
    """What is typed and shown now, for the name of each picture."""
    need(sshd.why_not())
    return show_all()


@pytest.mark.nightly
def test_each_picture_is_there_and_none_besides(sessions: Mapping[str, tuple[str, str]]) -> None:
    """By name, and by what was typed."""
    assert {path.stem for path in PICTURES.iterdir()} == set(sessions)
    for name, (typed, _) in sessions.items():
        words = read_words((PICTURES / f"{name}.svg").read_text())
        assert words[: 1 + len(typed.split())] == ["$", *typed.split()], ANEW


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_a_picture_shows_what_is_printed(
    name: str, sessions: Mapping[str, tuple[str, str]]
) -> None:
    """Word for word, but for times and numbers."""
    drawn = read_words((PICTURES / f"{name}.svg").read_text())
    assert drawn == read_words(draw(*sessions[name])), ANEW


def test_a_picture_asks_nobody_for_fonts_and_drives_no_terminal() -> None:
    """It is looked at without a network, and what was coloured is in its styles."""
    for path in PICTURES.iterdir():
        text = path.read_text()
        assert "url(http" not in text
        assert "@import" not in text
        assert "\x1b" not in text
