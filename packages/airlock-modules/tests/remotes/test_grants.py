"""Which places a line of a grant names."""

import pytest

from airlock_modules.remotes.destination import Destination, RemoteError, Scheme
from airlock_modules.remotes.grants import covers_ref, find_place, read_place


def destination(
    path: str,
    *,
    scheme: Scheme = "ssh",
    user: str | None = "git",
    host: str = "github.com",
    port: int | None = None,
) -> Destination:
    """One repository."""
    return Destination(scheme=scheme, user=user, host=host, port=port, path=path)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("github.com/acme/*", destination("acme/app.git")),
        ("github.com/acme/*", destination("/acme/app")),
        ("github.com/acme/*", destination("acme/app/.git")),
        ("github.com/acme/*", destination("acme/app", scheme="https", user=None)),
        ("git@GitHub.com/acme/app.git", destination("/acme/app")),
        ("github.com/acme/**", destination("acme/team/app")),
        ("ssh://github.com/**", destination("a/b")),
        ("http://github.com/**", destination("a/b", scheme="http")),
        ("127.0.0.1:2222/**", destination("srv/x", host="127.0.0.1", port=2222)),
        ("[::1]:22/x", destination("x", host="[::1]")),
        ("*.example.com/x", destination("x", host="a.example.com")),
    ],
)
def test_a_line_names(line: str, place: Destination) -> None:
    """With or without a user, a slash in front, .git behind, in whatever case the host is."""
    assert read_place(line).covers(place)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("github.com/acme/*", destination("acme/team/app")),
        ("github.com/acme/*", destination("acme/")),
        ("github.com/acme/*", destination("acme/.git")),
        ("github.com/acme/*", destination("/acme/app/x/.git")),
        ("github.com/acme/*", destination("Acme/app")),
        ("github.com/acme/app", destination("acme/app2")),
        ("github.com/acme/*", destination("acme/app", scheme="http")),
        ("https://github.com/**", destination("a/b")),
        ("git@github.com/**", destination("a/b", user="root")),
        ("git@github.com/**", destination("a/b", user=None)),
        ("github.com/**", destination("a/b", port=2222)),
        ("github.com/**", destination("a/b", host="github.com.evil.example")),
        ("github.com/**", destination("a/b", host="github.com.")),
        ("github.com:22/**", destination("a/b", scheme="https")),
        ("github.com:2222/**", destination("a/b")),
        ("githubxcom/**", destination("a/b")),
        ("*.example.com/**", destination("x", host="example.com")),
    ],
)
def test_a_line_does_not_name(line: str, place: Destination) -> None:
    """Other paths, users, ports, schemes and hosts that look alike."""
    assert not read_place(line).covers(place)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "github.com",
        "github.com/",
        "/x",
        "a b/x",
        "git@/x",
        "git@@host/x",
        "ftp://host/x",
        "host/[ab]",
        "host/a?",
        "host/{a,b}",
        "host/***",
        "host:0/x",
        "host:/x",
        "-host/x",
        "h*st%/x",
    ],
)
def test_what_is_no_such_line_is_refused(line: str) -> None:
    """Patterns of other tools would be read as plain text, and grant nothing."""
    with pytest.raises(RemoteError):
        read_place(line)


def test_a_line_that_names_the_host_is_found_first() -> None:
    """Only such a host may have private addresses."""
    places = [read_place(line) for line in ("*.com/**", "github.com/acme/*")]
    assert find_place(places, destination("acme/app")) is places[1]
    assert find_place(places, destination("other/app")) is places[0]
    assert find_place(places, destination("x", host="example.org")) is None


def test_patterns_cover_a_ref_as_a_push_is_judged() -> None:
    """One of them is enough; what is no pattern covers nothing."""
    patterns = ("refs/heads/m*", "refs/tags/**", "refs/heads/[x]")
    assert covers_ref(patterns, "refs/heads/main")
    assert covers_ref(patterns, "refs/tags/a/b")
    assert not covers_ref(patterns, "refs/heads/m/n")
    assert not covers_ref(patterns, "refs/heads/[x]")
    assert not covers_ref((), "refs/heads/main")
