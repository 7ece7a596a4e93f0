"""What git gives its ssh, and nothing else."""

import pytest

from airlock_modules.remotes.destination import Destination, RemoteError
from airlock_modules.remotes.git_protocol import RemoteRequest
from airlock_modules.remotes.ssh_words import find_transport, names_transport, read_ssh_words


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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("me@host git-upload-pack 'a/b.git'", ("me@host", "git-upload-pack 'a/b.git'")),
        ("host git receive-pack '/a b'", ("host", "git-receive-pack '/a b'")),
        ("host git-receive-pack /a/b", ("host", "git-receive-pack '/a/b'")),
        (
            "-x -oBatchMode=yes -6 -p 2222 -l me host -oSendEnv=GIT_PROTOCOL git-upload-pack 'a'",
            ("-6", "-o", "SendEnv=GIT_PROTOCOL", "-p", "2222", "me@host", "git-upload-pack 'a'"),
        ),
        (
            "ssh://me@host:2222/ git-upload-pack 'a'",
            ("-p", "2222", "me@host", "git-upload-pack 'a'"),
        ),
        ("-i key host git-upload-pack 'a'", None),
        ("-n host git-upload-pack 'a'", None),
        ("-t host git-upload-pack 'a'", None),
        ("-s host git-upload-pack 'a'", None),
        ("host git-upload-pack 'a'; id", None),
        ("host git-upload-pack 'a''b'", None),
        ("host git-upload-pack $HOME", None),
        ("host git-upload-archive 'a'", None),
        ("host uptime", None),
        ("host", None),
        ("-V", None),
        ("", None),
    ],
)
def test_what_others_give_ssh_becomes_what_git_gives(
    line: str, words: tuple[str, ...] | None
) -> None:
    """Options that say how to connect are left out, and what is no more than that is none."""
    options, _, command = line.partition(" git")
    args = [*options.split(), f"git{command}"] if command else options.split()
    assert find_transport(args) == words
    if words is not None:
        read_ssh_words(words)


@pytest.mark.parametrize(
    ("command", "is_named"),
    [
        ("git-receive-pack 'x'", True),
        ("/usr/bin/git  receive-pack x", True),
        ("GIT-RECEIVE-PACK x", True),
        ("git\treceive-pack 'x'", True),
        ("git\nreceive-pack 'x'", True),
        ("git \r\v\fupload-pack 'x'", True),
        ("git-up''load-\\pack x", True),
        ("git-upload-archive 'x'", True),
        ("git-shell -c x", True),
        ("git push origin main", False),
        ("git fetch --upload-pack=x", False),
        ("tar -x git-upload.tar", False),
    ],
)
def test_a_command_of_gits_is_found_in_other_spellings(command: str, *, is_named: bool) -> None:
    """Those that servers of git take for the same."""
    assert names_transport(command) is is_named
