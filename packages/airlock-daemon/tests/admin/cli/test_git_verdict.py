"""Tests of `airlock_daemon.admin.cli.verdict`: what a container's own git may say to a remote."""

import json

import pytest

from airlock_daemon.admin.cli.verdict import read_git_words
from commanding import run
from running import Daemon
from worlds import World

GRANT = """\
[git]
push = ["git@host.example/acme/*", "https://host.example/acme/*", "*.other.example/**"]
fetch = ["host.example/up/*"]
refs = ["refs/heads/agent/*", "refs/heads/main", "refs/tags/*"]
protect = ["refs/heads/main"]
push_options = ["ci.skip"]
"""
APP = "git@host.example:acme/app.git"
WEB = "https://host.example/acme/app"


@pytest.fixture
def granted(world: World) -> World:
    """A world whose agent has git-remote, for some places and refs."""
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = ["git", "git-remote"]\n[log]\npath = "{world.log}"\n'
    )
    world.write_profile(GRANT, commands='["git-remote"]')
    return world


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("push", APP, "agent/x"), 'passed: [git] push has "git@host.example/acme/*"'),
        (("push", APP, "agent/x"), 'granted of refs: "refs/heads/agent/x"\n'),
        (("-C", "x", "push", "-f", WEB, "HEAD:agent/x", "tag", "v1"), 'agent/x", "refs/tags/v1"\n'),
        (("push", "--push-option=ci.skip", WEB, "main:refs/heads/agent/y"), 'agent/y"\n'),
        (("push", "-o", "ci.skip", "ssh://git@host.example:22/acme/app", "agent/x"), "passed"),
        (("push", WEB, "HEAD"), "the client's git may name others too\n"),
        (("push", "--all", WEB), "the client's git may name others too\n"),
        (("push", "origin", "HEAD:agent/x"), 'undecided: "origin" is no URL'),
        (("push", "origin", "HEAD:agent/x"), 'granted of refs: "refs/heads/agent/x"\n'),
        (("push", "origin"), "the client's git may name others too\n"),
        (("push",), "undecided: no URL is named"),
        (("push", "me@a.other.example:x/y", "agent/x"), '"*.other.example/**" is a pattern'),
        (("clone", "https://host.example/up/x", "copy"), 'fetch has "host.example/up/*"'),
        (("fetch", "--depth", "1", WEB, "main"), 'push or fetch has "https://host.example/acme/*"'),
    ],
)
def test_what_is_granted(granted: World, args: tuple[str, ...], says: str) -> None:
    """The place by its line, the refs by their full names, and what only the client knows."""
    said = run(granted, "test", "my", "git", *args).stdout
    assert says in said
    assert "\nallowed" in said


@pytest.mark.parametrize(
    ("args", "rule", "says"),
    [
        (("push", APP, "+HEAD:main"), "protect", '"refs/heads/main": [git] protect forbids it'),
        (("push", APP, "agent/x", "other"), "refs", 'denied: "refs/heads/other": [git] refs does'),
        (("push", "origin", "HEAD:main"), "protect", '"refs/heads/main": [git] protect forbids'),
        (("push", "origin", "x"), "refs", "it; allowed: refs/heads/agent/*, refs/heads/main, re"),
        (("push", "-o", "x", "origin"), "push_options", 'the push option "x" is not'),
        (("push", "origin", ":agent/x"), "delete", '"refs/heads/agent/x": deleting is not granted'),
        (("push", APP, ":agent/x"), "delete", '"refs/heads/agent/x": deleting is not granted'),
        (("push", "-d", WEB, "agent/x"), "delete", "deleting is not granted"),
        (("push", "-o", "x", WEB, "agent/x"), "push_options", 'the push option "x" is not'),
        (("push", "-fo", "x", WEB, "agent/x"), "push_options", 'the push option "x" is not'),
        (("push", "git@host.example:other/app", "x"), "git.push", "may not push to"),
        (("push", "https://host.example/up/x", "agent/x"), "git.push", "may not push to"),
        (("ls-remote", "git@[::1]:acme/app"), "git.fetch", "may not fetch from"),
        (("push", "https://u:p@host.example/acme/app", "agent/x"), "password", "no password"),
        (("push", "git@host.example:acme/../x", "agent/x"), "path", "is empty, or has an empty"),
    ],
)
def test_what_is_refused(granted: World, args: tuple[str, ...], rule: str, says: str) -> None:
    """In the words that the client's git would print."""
    said = run(granted, "test", "my", "git", *args, status=1).stdout
    assert says in said
    assert f'rule: "{rule}"\n' in said


def test_an_agent_without_a_grant_goes_where_the_daemon_looks(granted: World) -> None:
    """Which of known_hosts and the helpers of git is asked is said."""
    granted.write_profile("", commands='["git-remote"]')
    said = run(granted, "test", "my", "git", "push", APP, "agent/x").stdout
    assert f"the daemon looks for {APP.replace(':', '/').removesuffix('.git')} in kn" in said
    assert "asks git who has an account" in run(granted, "test", "my", "git", "fetch", WEB).stdout


def test_the_words_of_git_remote_are_judged_as_they_are(granted: World) -> None:
    """As git says them to its ssh, and to the helper of a URL."""
    words = ("git-remote", "ssh", "git@host.example", "git-receive-pack 'other/app'")
    assert "may not push to" in run(granted, "test", "my", *words, status=1).stdout
    said = run(granted, "test", "my", "git-remote", "https", "origin", WEB).stdout
    assert 'passed: [git] push or fetch has "https' in said
    said = run(granted, "test", "my", "git-remote", "ftp", "x", status=1).stdout
    assert "it speaks ssh and https" in said


def test_the_words_of_git_lfs_are_those_of_a_fetch_or_push(granted: World) -> None:
    """As the daemon judges them: by the place."""
    words = ("git-remote", "lfs", "download", "remote")
    with Daemon(granted):
        done = run(granted, "test", "my", *words, APP)
        assert ("broker: passed: [git]" in done.stdout, done.stderr) == (True, "")
        done = run(granted, "test", "my", *words, "https://elsewhere.example/x", status=1)
        assert done.stdout.endswith("daemon: denied in the same words\n")
        done = run(granted, "test", "my", *words[:2], "x", status=1)
        assert done.stdout.endswith("daemon: denied in the same words\n")


def test_a_protocol_that_is_not_granted_is_refused(granted: World) -> None:
    """As the daemon refuses it, in the same words."""
    granted.write_profile(f'{GRANT}protocols = ["ssh"]\n', commands='["git-remote"]')
    with Daemon(granted):
        said = run(granted, "test", "my", "git", "fetch", WEB, status=1).stdout
    assert 'denied: "https" is none of the protocols of this agent' in said
    assert said.endswith("daemon: denied in the same words\n")


def test_a_git_in_a_box_is_judged_by_both(granted: World) -> None:
    """The rules of its module come first, then where the broker of its box lets it go."""
    granted.write_profile(GRANT, commands='["git"]')
    boxed = '[deny]\nargs = ["gc"]\n[sandbox]\nbox = "closed"\nbrokers = ["git"]\n'
    granted.write_module("git", "git", boxed)
    said = run(granted, "test", "my", "git", "push", APP, "agent/x").stdout
    assert ("broker: passed: [git] push has" in said, "\nallowed\n" in said) == (True, True)
    assert "broker" not in run(granted, "test", "my", "git", "gc", status=1).stdout
    assert "broker" not in run(granted, "test", "my", "git", "status").stdout
    said = run(granted, "test", "my", "git", "push", APP, "HEAD:main", status=1).stdout
    assert '"refs/heads/main": [git] protect forbids it' in said
    said = run(granted, "test", "my", "git", "push", "git@host.example:x/y", "z", status=1).stdout
    assert "may not push to" in said


def test_the_running_daemon_is_asked_about_the_place(granted: World) -> None:
    """What it says of that must be the same; refs come later in a conversation than a check goes.

    Without a URL there is nothing to ask it.
    """
    with Daemon(granted):
        done = run(granted, "test", "my", "git", "push", APP, "agent/x")
        assert ("daemon: allowed\n" in done.stdout, done.stderr) == (True, "")
        done = run(granted, "test", "my", "git", "push", APP, "main", status=1)
        assert "denied: " in done.stdout
        assert done.stdout.endswith("\ndaemon: its check does not go that far\n")
        done = run(granted, "test", "my", "git", "push", "origin", "main", status=1)
        assert "denied: " in done.stdout
        assert done.stdout.endswith("\ndaemon: not asked, without the address of a remote\n")
        assert (
            "daemon: not asked, without the address of a remote\n"
            in run(granted, "test", "my", "git", "push").stdout
        )
        granted.write_profile(GRANT.replace("acme", "umbrella"), commands='["git-remote"]')
        done = run(granted, "test", "my", "git", "push", APP, "agent/x", status=1)
        assert "the running daemon decides otherwise" in done.stderr
        report = json.loads(
            run(granted, "test", "--json", "my", "git", "push", APP, "x", status=1).stdout
        )
        assert (report["daemon"], report["agrees"]) == ("allowed", False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("host:p", ("ssh", "host", "git-upload-pack 'p'")),
        ("u@[::1]:p", ("ssh", "u@::1", "git-upload-pack 'p'")),
        ("ssh://u@[::1]:22/p", ("ssh", "-p", "22", "u@::1", "git-upload-pack '/p'")),
        ("ssh://host/~u/p", ("ssh", "host", "git-upload-pack '~u/p'")),
        ("https://host/p", ("https", "origin", "https://host/p")),
        ("./host:p", ()),
        ("/srv/p", ()),
    ],
)
def test_a_url_becomes_the_words_of_git(url: str, words: tuple[str, ...]) -> None:
    """As git itself gives them to its ssh and its helpers (git-fetch(1), GIT URLS)."""
    call = read_git_words(("fetch", url))
    assert call is not None
    assert call.words == words
