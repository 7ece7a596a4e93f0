"""What git gives the helper of a URL, and nothing else."""

import pytest

from airlock_modules.remotes.destination import Destination, RemoteError, read_url_words


def test_the_words_that_git_gives() -> None:
    """A name and a URL; the user is left out, and the scheme's own port is none."""
    assert read_url_words("https", ["origin", "https://me@GitHub.com:443/acme/app.git/"]) == (
        Destination(scheme="https", user=None, host="github.com", port=None, path="/acme/app.git")
    )
    other = read_url_words("http", ["", "http://[::1]:443/a b~/c"])
    assert other == Destination(scheme="http", user=None, host="[::1]", port=443, path="/a b~/c")
    assert (other.line, other.port_number) == ("http://[::1]:443/a b~/c", 443)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["https://host/a"], "words"),
        (["a", "https://host/a", "x"], "words"),
        (["a", "http://host/a"], "url"),
        (["a", "HTTPS://host/a"], "url"),
        (["a", "https:host/a"], "url"),
        (["a", "https://host"], "url"),
        (["a", "https://host:1:2/a"], "port"),
        (["a", "https://a@b@host/a"], "url"),
        (["a", "https://[::1/a"], "url"),
        (["a", "https://me:secret@host/a"], "password"),
        (["a", "https://:@host/a"], "password"),
        (["a", "https://@host/a"], "user"),
        (["a", "https://a%0ab@host/a"], "user"),
        (["a", "https://a b@host/a"], "user"),
        (["a", "https:///a"], "host"),
        (["a", "https://ho st/a"], "host"),
        (["a", "https://host%2f/a"], "host"),
        (["a", "https://host\\@evil/a"], "user"),
        (["a", "https://host\n.evil/a"], "host"),
        (["a", "https://[host]/a"], "host"),
        (["a", "https://[fe80::1%lo]/a"], "host"),
        (["a", "https://\uff11\uff12\uff17.0.0.1/a"], "host"),
        (["a", "https://host:/a"], "port"),
        (["a", "https://host:0/a"], "port"),
        (["a", "https://host:65536/a"], "port"),
        (["a", "https://host: 443/a"], "port"),
        (["a", "https://host/"], "path"),
        (["a", "https://host//a"], "path"),
        (["a", "https://host/a/../b"], "path"),
        (["a", "https://host/a%2f..%2fb"], "path"),
        (["a", "https://host/a?b"], "path"),
        (["a", "https://host/a#b"], "path"),
        (["a", "https://host/a\nb"], "path"),
        (["a", "https://host/a\rb"], "path"),
        (["a", "https://host/a\\b"], "path"),
        (["a", "https://host/~root/a"], "path"),
        (["a", "https://host/.git"], "path"),
        (["a", f"https://host/{'x' * 5000}"], "path"),
    ],
)
def test_other_words_are_refused(words: list[str], rule: str) -> None:
    """In one line, that quotes no password."""
    with pytest.raises(RemoteError) as caught:
        read_url_words("https", words)
    assert caught.value.rule == rule
    assert caught.value.problem.isprintable()
    assert "secret" not in caught.value.problem
