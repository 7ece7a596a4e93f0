"""What git gives its ssh, and nothing else."""

import pytest

from airlock_modules.remotes.destination import Destination
from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.ssh_words import RemoteRequest, read_ssh_words


def test_the_words_that_git_gives() -> None:
    """Options in any order, a user or none, a port that is ssh's own or another."""
    words = ["-o", "SendEnv=GIT_PROTOCOL", "-p", "2222", "-4", "git@GitHub.com"]
    assert read_ssh_words([*words, "git-upload-pack '/acme/app.git/'"]) == RemoteRequest(
        destination=Destination(
            scheme="ssh", user="git", host="github.com", port=2222, path="/acme/app.git"
        ),
        service="git-upload-pack",
        family=4,
        sends_protocol=True,
    )
    plain = read_ssh_words(["-p", "22", "host", "git-receive-pack 'a b/c'"])
    assert plain.destination == Destination(
        scheme="ssh", user=None, host="host", port=None, path="a b/c"
    )
    assert (plain.family, plain.sends_protocol) == (None, False)


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_an_address_has_one_form(host: str) -> None:
    """git takes the brackets away before it calls its ssh."""
    request = read_ssh_words([host, "git-upload-pack 'a'"])
    assert request.destination.host == "[::1]"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["-oProxyCommand=id", "host", "git-upload-pack 'a'"], "words"),
        (["-o", "ProxyCommand=id", "host", "git-upload-pack 'a'"], "words"),
        (["-o", "SendEnv=*", "host", "git-upload-pack 'a'"], "words"),
        (["-G", "host"], "words"),
        (["host"], "words"),
        (["host", "git-upload-pack 'a'", "x"], "words"),
        (["host", "-p", "22", "git-upload-pack 'a'"], "words"),
        (["host", "id"], "words"),
        (["host", "git-upload-pack a"], "words"),
        (["host", "git-upload-pack 'a'; id"], "words"),
        (["host", "git-upload-pack 'a'\nid ''"], "path"),
        (["host", "git-upload-archive 'a'"], "service"),
        (["host", "git-shell 'a'"], "service"),
        (["host", "git-lfs-authenticate a upload"], "lfs"),
        (["-p", "0", "host", "git-upload-pack 'a'"], "port"),
        (["-p", "65536", "host", "git-upload-pack 'a'"], "port"),
        (["-p", "22 ", "host", "git-upload-pack 'a'"], "port"),
        (["-p", "\u0662\u0662", "host", "git-upload-pack 'a'"], "port"),
        (["a b@host", "git-upload-pack 'a'"], "user"),
        (["%h@host", "git-upload-pack 'a'"], "user"),
        (["-x@host", "git-upload-pack 'a'"], "words"),
        (["@host", "git-upload-pack 'a'"], "user"),
        (["a@b@host", "git-upload-pack 'a'"], "user"),
        (["ssh://host", "git-upload-pack 'a'"], "host"),
        (["host%lo", "git-upload-pack 'a'"], "host"),
        (["fe80::1%lo", "git-upload-pack 'a'"], "host"),
        (["\uff11\uff12\uff17.0.0.1", "git-upload-pack 'a'"], "host"),
        (["", "git-upload-pack 'a'"], "host"),
        (["host", "git-upload-pack ''"], "path"),
        (["host", "git-upload-pack '/'"], "path"),
        (["host", "git-upload-pack '~root/x'"], "path"),
        (["host", "git-upload-pack '/~root/x'"], "path"),
        (["host", "git-upload-pack '.git'"], "path"),
        (["host", "git-upload-pack 'x/.. /y'"], "path"),
        (["host", "git-upload-pack 'x & y'"], "path"),
        (["host", "git-upload-pack '**'"], "path"),
        (["host", f"git-upload-pack '{'x' * 5000}'"], "path"),
        (["h" * 300, "git-upload-pack 'x'"], "host"),
        (["host", "git-upload-pack '--help'"], "path"),
        (["host", "git-upload-pack 'a/../b'"], "path"),
        (["host", "git-upload-pack '//a'"], "path"),
        (["host", "git-upload-pack 'a//b'"], "path"),
        (["host", "git-upload-pack './a'"], "path"),
        (["host", "git-upload-pack 'a%2f..'"], "path"),
        (["host", "git-upload-pack 'a'\\''b'"], "path"),
        (["host", "git-upload-pack 'a\u202eb'"], "path"),
        (["host", "git-upload-pack 'a\udcff'"], "path"),
    ],
)
def test_other_words_are_refused(words: list[str], rule: str) -> None:
    """Options, shell text, users and hosts that ssh expands, paths that lead elsewhere."""
    with pytest.raises(RemoteError) as refused:
        read_ssh_words(words)
    assert refused.value.rule == rule
    assert refused.value.problem.isprintable()
