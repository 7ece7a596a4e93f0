"""What git says to a remote helper, in whatever pieces it comes."""

import pytest

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import HelperReader, answer_helper


def test_git_asks_to_be_connected() -> None:
    """Byte by byte, and what follows is not read."""
    reader = HelperReader()
    found = []
    for byte in b"capabilities\noption verbosity 1\nconnect git-upload-pack\n":
        reader.feed(bytes([byte]))
        found += [command for command in [reader.take()] if command]
    assert found == ["capabilities", "option", "git-upload-pack"]
    assert [answer_helper(command) for command in found] == [
        b"connect\n\n",
        b"unsupported\n",
        b"\n",
    ]
    reader.feed(b"\nrest")
    assert (reader.take(), reader.rest) == ("end", b"rest")


@pytest.mark.parametrize(
    ("line", "rule", "said"),
    [
        (b"list\n", "helper", '"list"'),
        (b"fetch 1 x\n", "helper", '"fetch 1 x"'),
        (b"push a:b\n", "helper", '"push a:b"'),
        (b"stateless-connect git-upload-pack\n", "helper", "stateless-connect"),
        (b"option\n", "helper", '"option"'),
        (b"connect\n", "service", '"" is not'),
        (b"connect git-upload-archive\n", "service", "git-upload-archive is not passed on"),
        (b"connect git-upload-pack \n", "service", '"git-upload-pack "'),
        (b"connect git-upload-pack\r\n", "service", "is not passed on"),
        (b"\xff\n", "helper", "is asked for"),
        (b"option " + b"x" * 5000, "helper", "too long"),
    ],
)
def test_anything_else_is_refused(line: bytes, rule: str, said: str) -> None:
    """By name."""
    reader = HelperReader()
    reader.feed(line)
    with pytest.raises(RemoteError) as caught:
        reader.take()
    assert (caught.value.rule, said in caught.value.problem) == (rule, True), caught.value


def test_a_helper_is_not_kept_answering() -> None:
    """Each answer takes a step of the daemon's, and the next one is asked for at no cost."""
    reader = HelperReader()
    reader.feed(b"capabilities\n" * 500)
    assert [reader.take() for _ in range(200)] == ["capabilities"] * 200
    with pytest.raises(RemoteError, match="more than 200 things"):
        reader.take()
