"""What Git LFS says: its transfer agent, and its servers."""

import json

import pytest

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.lfs import (
    Action,
    Href,
    Offer,
    Refusal,
    Wanted,
    compose_batch,
    read_batch,
    read_href,
    read_lfs_words,
    read_login,
    read_message,
    read_wanted,
)

OID = "5ab5" * 16
DOWN = Wanted(operation="download", oid=OID, size=3)
UP = Wanted(operation="upload", oid=OID, size=3)


def test_the_api_of_an_https_remote_is_below_it() -> None:
    """As git-lfs finds it; that of a server is where it is said to be."""
    for kind, url, path in (
        ("remote", "https://h/a/b", "/a/b.git/info/lfs"),
        ("remote", "https://h/a/b.git/", "/a/b.git/info/lfs"),
        ("server", "https://h/a/b", "/a/b"),
        ("server", "https://h/a/b.git/info/lfs", "/a/b.git/info/lfs"),
    ):
        request = read_lfs_words(("download", kind, url))
        assert (request.api_path, request.asked.destination.name) == (path, "a/b")
        assert (request.asked.is_push, request.words[0]) == (False, "https")


def test_an_ssh_remote_is_the_place_that_git_would_reach() -> None:
    """In either form of its URL; an upload is a push there."""
    for url in ("git@h:a/b.git", "ssh://git@h/a/b.git"):
        request = read_lfs_words(("upload", "remote", url))
        assert str(request.asked.destination) == "git@h/a/b"
        assert request.asked.is_push


@pytest.mark.parametrize(
    "line", ["upload x 1", f"upload {OID}", f"upload {OID} 01", f"upload {OID} 1 ", f"x {OID} 1"]
)
def test_only_objects_are_asked_for(line: str) -> None:
    """By operation, id and size."""
    assert read_wanted(f"upload {OID} 3".encode()) == UP
    with pytest.raises(RemoteError):
        read_wanted(line.encode())


def test_an_offer_is_read_from_what_a_server_answers() -> None:
    """Headers that say how a request is framed, or where it goes, are left out."""
    href, header = "https://S.example.com:8443/x?sig=1", {"X-A": "b", "Host": "evil", "TE": "x"}
    action = Action(
        href=Href(scheme="https", host="s.example.com", port=8443, target="/x?sig=1"),
        headers=(("X-A", "b"),),
    )
    found = {"oid": OID, "size": 3, "actions": {"download": {"href": href, "header": header}}}
    assert read_batch(_batch(found), DOWN) == Offer(transfer=action)
    both = {"upload": {"href": href, "header": header}, "verify": {"href": href, "header": header}}
    answer = _batch({"oid": OID, "actions": both})
    assert read_batch(answer, UP) == Offer(transfer=action, verify=action)
    assert read_batch(_batch({"oid": OID, "size": 3}), UP) == Offer()
    assert read_login(json.dumps({"href": f"{href}", "header": header}).encode()) == action
    assert json.loads(compose_batch(DOWN))["objects"] == [{"oid": OID, "size": 3}]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"objects": []}',
        b'{"objects": [{"oid": "%s"}, {"oid": "%s"}]}' % (OID.encode(), OID.encode()),
        b'{"objects": [{"oid": "%s"}]}' % OID.encode(),
        b'{"transfer": "tus", "objects": [{"oid": "%s"}]}' % OID.encode(),
    ],
)
def test_another_answer_is_not_taken(answer: bytes) -> None:
    """Also one that says nothing of the object, or twice."""
    with pytest.raises(RemoteError):
        read_batch(answer, DOWN)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "https:///x",
        "https://u@h/x",
        "https://h/a b",
        "https://h/\r\nx",
        "https://h#x",
        "https://h h/x",
    ],
)
def test_a_url_leads_to_one_place(url: str) -> None:
    """No account, fragment, blank or line end is in it, and the message does not repeat it."""
    with pytest.raises(RemoteError) as refused:
        read_href(url)
    assert url not in refused.value.problem


def test_a_place_that_no_line_can_name_has_no_destination() -> None:
    """Nothing is granted by a path that two servers could read in two ways."""
    for target in ("/a/../b", "/a%2e/b", "//x", "/"):
        assert read_href(f"https://h{target}").destination is None
    assert str(read_href("https://h:8443/a/b?x").destination) == "h:8443/a/b"


def test_what_a_server_says_of_an_error_is_read_whole() -> None:
    """Its reader looks for secrets, of which a part could be cut off; "" is no message."""
    said = 'a"' * 500
    assert read_message(json.dumps({"message": said}).encode()) == said
    assert read_message(b"<html>") == ""
    answer = _batch({"oid": OID, "error": {"code": 404, "message": said}})
    assert read_batch(answer, DOWN) == Refusal(code=404, said=said)


@pytest.mark.parametrize("value", [" Bearer x", "Bearer x ", "\tx", "x\t", " ", "a\r\nb", "\xe9"])
def test_a_header_that_http_cannot_carry_is_not_taken(value: str) -> None:
    """Blanks at the ends of a value are not part of it; the message does not repeat it."""
    login = {"href": "https://h/x", "header": {"Authorization": value}}
    with pytest.raises(RemoteError) as refused:
        read_login(json.dumps(login).encode())
    assert refused.value.problem == (
        "the answer of the LFS server is not taken: it names what is no header"
    )
    for fit in ("", "x", "Bearer x\ty"):
        login["header"] = {"A": fit}
        assert read_login(json.dumps(login).encode()).headers == (("A", fit),)


def _batch(answer: dict[str, object]) -> bytes:
    return json.dumps({"objects": [answer]}).encode()
