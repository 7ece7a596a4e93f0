"""What `airlock test` says of signatures."""

import pytest

from commanding import run
from worlds import World


@pytest.fixture
def granted(world: World) -> World:
    """A world whose agent has git-sign, for the commits of two addresses."""
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = ["git-sign"]\n[log]\npath = "{world.log}"\n'
    )
    grant = '[sign]\nemails = ["*@acme.com", "x@y.z"]\ntags = false\n'
    world.write_profile(grant, commands='["git-sign"]')
    return world


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("commit", "a@acme.com", "x@y.z"), "operation: sign git commit\n"),
        (("commit", "a@acme.com"), 'passed: [sign] grants commits of "*@acme.com", "x@y.z"\n'),
        (("commit",), 'not known here: [sign] grants commits of "*@acme.com", "x@y.z"\n'),
        (("ssh",), "operation: sign git\n"),
    ],
)
def test_what_is_granted(granted: World, words: tuple[str, ...], says: str) -> None:
    """A kind and addresses, or the words of git-sign itself."""
    said = run(granted, "test", "my", "git-sign", *words).stdout
    assert says in said
    assert "\nallowed, as far as can be told" in said


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("commit", "a@other.com"), "sign.emails"),
        (("commit", "a@acme.com", "a@other.com"), "sign.authors"),
        (("tag", "a@acme.com"), "sign.tags"),
        (("gpg",), "words"),
    ],
)
def test_what_is_not_granted(granted: World, words: tuple[str, ...], rule: str) -> None:
    """With the rule that the record would have."""
    said = run(granted, "test", "my", "git-sign", *words, status=1).stdout
    assert f'rule: "{rule}"\n' in said


def test_an_author_may_be_granted_where_a_committer_is_not(granted: World) -> None:
    """The committer is the first address."""
    grant = '[sign]\nemails = ["a@acme.com"]\nauthors = ["*@*"]\n'
    granted.write_profile(grant, commands='["git-sign"]')
    words = ("test", "my", "git-sign", "commit")
    said = run(granted, *words, "a@acme.com", "b@other.com").stdout
    assert 'passed: [sign] grants commits and tags of "a@acme.com", with authors "*@*"\n' in said
    run(granted, *words, "b@other.com", "a@acme.com", status=1)


def test_without_a_table_the_host_decides(granted: World) -> None:
    """The human's own address is known to the human's git."""
    granted.write_profile("", commands='["git-sign"]')
    said = run(granted, "test", "my", "git-sign", "commit", "a@acme.com").stdout
    assert "not known here: [sign] grants commits and tags of your own address" in said
