"""Tests of `airlock_daemon.setup.stored`: secrets in the state directory."""

import os
import stat
from pathlib import Path

import pytest

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.credential import Access, BadCredential
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets, Stored


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A state directory that nothing was written to yet."""
    return State(str(tmp_path / "state"))


def modes(path: str) -> set[int]:
    """The modes of all files and directories below `path`, and of itself."""
    found = [path, *(os.path.join(folder, n) for folder, d, f in os.walk(path) for n in d + f)]
    return {stat.S_IMODE(os.stat(each).st_mode) for each in found}


def test_nobody_else_can_read_what_is_stored(state: State) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        Secrets(state).store("anthropic", "s3cret")
        Secrets(state).find_placeholder_key("my")
    finally:
        os.umask(before)
    assert modes(state.directory) == {0o700, 0o600}


def test_that_of_the_agent_counts_more(state: State) -> None:
    """Others have that of every agent, until it is removed."""
    Secrets(state).store("gh", "all")
    Secrets(state).store("gh", "mine", agent="my")
    assert [Secrets(state).find("gh", agent) for agent in ("my", "other")] == ["mine", "all"]
    assert [*Secrets(state).list_stored()] == [Stored("gh"), Stored("gh", "my")]
    assert Secrets(state).remove("gh", agent="my")
    assert not Secrets(state).remove("gh", agent="my")
    assert Secrets(state).find("gh", "my") == "all"
    assert Secrets(state).find("../stored/gh", "my") is None


def test_the_placeholders_of_an_agent_have_one_key(state: State) -> None:
    """Its own, over restarts; one that somebody has changed is not used."""
    mine, other = (
        Secrets(state).find_placeholder_key("my"),
        Secrets(state).find_placeholder_key("other"),
    )
    assert len(mine) == 32
    assert mine != other
    assert Secrets(State(state.directory)).find_placeholder_key("my") == mine
    Path(state.path("https/my.placeholders")).write_text("x" * 64)
    with pytest.raises(AirlockError, match="is not as it was written"):
        Secrets(state).find_placeholder_key("my")


def test_nothing_is_left_of_an_agent_that_is_removed(state: State) -> None:
    """What is another's stays, and that of every agent."""
    for agent in ("my", "my.key"):
        Secrets(state).find_placeholder_key(agent)
        Path(Secrets(state).make_worker_folder(agent), "key").write_text("x")
        Secrets(state).store("gh", "x", agent=agent)
    Secrets(state).store("gh", "x")
    Secrets(state).forget_agent("my")
    assert sorted(os.listdir(state.path("https"))) == ["my.key.ca", "my.key.placeholders"]
    assert [*Secrets(state).list_stored()] == [Stored("gh"), Stored("gh", "my.key")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b" \n", "is empty"),
        (b"a\nb", "has more than one line"),
        (b"a\rb", "has control characters in it"),
        (b"a\x00b", "has control characters in it"),
        (b"\xff", "is not UTF-8 text"),
        (b"x" * (Secrets.MAX_LENGTH + 1), f"has more than {Secrets.MAX_LENGTH} bytes"),
    ],
)
def test_a_credential_is_one_line_of_text(data: bytes, problem: str) -> None:
    """Anything else could end a header, or is no credential."""
    with pytest.raises(BadCredential, match=problem):
        Access.of_text(data)
    assert Access.of_text(b"  token\r\n").token == "token"
