"""Servers and clients that say what no git says: each such word ends the conversation."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from https_server import Handler
from url_world import ACCOUNT, Site, making_site

from running import Answer, Daemon, Message, request

Script = Callable[[Handler], bool]
REFS = b"0" * 40 + b" capabilities^{}\0agent=x\n"
BEGINNING = b"001e# service=git-upload-pack\n0000"
SECOND = b"000eversion 2\n000cls-refs\n0000"
KIND = "application/x-git-upload-pack-advertisement"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon whose human has an account at the server."""
    root = tmp_path_factory.mktemp("answers")
    with making_site(root) as site:
        site.store_account()
        site.grant()
        with site.running():
            site.git("push", "--quiet", "origin", "HEAD:x")
            # More than the buffers on the way have room for.
            site.commit("much", size=12 << 20)
            yield site


@pytest.fixture
def site(shared: Site) -> Site:
    """The same, with a server that lets everybody in."""
    shared.server.users = {}
    shared.server.requests.clear()
    shared.server.script = lambda _: False
    return shared


def raw(*lines: str, body: bytes = b"", then: str = "close") -> Script:
    """Answer the first requests with these lines of a head, and with these bytes."""

    def script(handler: Handler) -> bool:
        if handler.command == "POST" and then == "go on":
            return False
        handler.wfile.write("\r\n".join((*lines, "", "")).encode() + body)
        handler.close_connection = then == "close"
        return True

    return script


def plain(body: bytes, *more: str, kind: str = KIND) -> Script:
    """Answer with 200, and a body with its length."""
    length = f"Content-Length: {len(body)}"
    return raw("HTTP/1.1 200 OK", f"Content-Type: {kind}", length, *more, body=body)


OK = ("HTTP/1.1 200 OK", f"Content-Type: {KIND}")
BASIC = 'WWW-Authenticate: Basic realm="x"'


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            raw("HTTP/1.1 302 Found", "Location: https://u:p@evil.example/x/info/refs?token=y"),
            'sends on to "https://evil.example/x", which is not followed',
        ),
        (raw("HTTP/1.1 301 Moved", "Location: \x1b]0;x\x07"), 'sends on to "]0;x\\u{7}"'),
        (raw("HTTP/1.1 307 Temporary", "Content-Length: 0"), 'sends on to ""'),
        (raw("HTTP/1.1 401 No", "WWW-Authenticate: Negotiate"), "only Basic is supported"),
        (raw("HTTP/1.1 401 No", "Content-Length: 0"), "only Basic is supported"),
        (raw("HTTP/1.1 401 No", BASIC, "Content-Length: 0"), "fatal: Authentication failed for '"),
        (raw("HTTP/1.1 404 No", "Content-Length: 0"), "fatal: repository '{url}/' not found"),
        (raw("HTTP/1.1 503 No", "Content-Length: 0"), "The requested URL returned error: 503"),
        (
            raw("HTTP/1.1 403 No", "Content-Type: text/plain", body=b"go \x1b[31maway\nnow"),
            "remote: go [31maway\nremote: now\nfatal: unable to access",
        ),
        (plain(SECOND, kind="text/html"), 'of the type "text/html"'),
        (plain(SECOND, kind=f"{KIND}; x"), "which is not git's"),
        (
            plain(b"%04x" % (len(REFS) + 4) + REFS + b"0000"),
            "does not speak version 2 of git's protocol",
        ),
        (plain(BEGINNING + b"000eversion 1\n"), "does not speak version 2 of git's protocol"),
        (plain(b"001f# service=git-receive-pack\n0000"), "answers for another service"),
        (plain(BEGINNING[:-4] + SECOND), "the answer of the server has no flush"),
        (plain(b"hello"), "is no pkt-line"),
        (plain(b"fff1"), "holds a packet of length 65521"),
        (plain(b""), "was cut off"),
        (plain(b"000ever"), "was cut off"),
        (plain(b"000eERR sorry\n"), "fatal: remote error: sorry"),
        (raw(*OK, "Content-Length: 100", body=SECOND), "was cut off"),
        (raw(*OK, "Transfer-Encoding: chunked", body=b"5\r\n000e"), "was cut off"),
        (raw(*OK, "Transfer-Encoding: chunked", body=b"zz\r\n"), "is not taken: illegal chunk"),
        (
            raw(*OK, "Transfer-Encoding: chunked", "Content-Length: 2", body=b"0\r\n\r\n"),
            "it has two lengths",
        ),
        (raw(*OK, "Content-Length: 2", "Content-Length: 3"), "conflicting Content-Length"),
        (raw(*OK, "Content-Length: -1"), "bad Content-Length"),
        (raw(*OK, "Transfer-Encoding: gzip"), "Only Transfer-Encoding: chunked"),
        (raw(*OK, f"X: {'x' * 200_000}"), "Receive buffer too long"),
        (raw("HTTP/1.1 200 OK", " x: y"), "is not taken"),
        (raw("SSH-2.0-x"), "is not taken"),
        (raw("HTTP/1.1 101 Switching", "Upgrade: h2c", "Connection: upgrade"), "is not taken"),
        (raw(*["HTTP/1.1 100 Continue\r\n"] * 50), "does not begin as one does"),
        (plain(b"x", "Content-Encoding: br"), "packed in a way that was not asked for"),
        (plain(b"x" * 99, "Content-Encoding: gzip"), "it cannot be unpacked"),
        (plain(gzip.compress(SECOND)[:-4], "Content-Encoding: gzip"), "was cut off"),
        (plain(gzip.compress(SECOND) + b"x", "Content-Encoding: gzip"), "something stands behind"),
    ],
)
def test_an_answer_is_not_taken(site: Site, script: Script, said: str) -> None:
    """git shows why; nobody but the server has heard anything, and it no account by itself."""
    site.server.script = script
    listed = site.git("ls-remote", "origin")
    assert listed.returncode == 128
    assert said.replace("{url}", site.url) in listed.stderr
    assert {request for request, _ in site.server.requests} == {
        "GET /app.git/info/refs?service=git-upload-pack"
    }
    assert bool(site.server.requests[-1][1]) == ("Authentication failed" in said)
    assert "a fault of the daemon" not in site.daemon.messages()


@pytest.mark.parametrize(
    "script",
    [
        plain(gzip.compress(SECOND), "Content-Encoding: gzip"),
        # An answer to the next request that comes with the one before.
        raw(
            *OK,
            f"Content-Length: {len(SECOND)}",
            body=SECOND + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
            b"Content-Type: application/x-git-upload-pack-result\r\n\r\n0000",
            then="go on",
        ),
        raw("HTTP/1.0 200 OK", f"Content-Type: {KIND}", body=SECOND),
        raw("HTTP/1.1 103 Early\r\n", *OK, "Connection: close", body=SECOND),
    ],
)
def test_an_answer_is_taken_as_it_is_meant(site: Site, script: Script) -> None:
    """Packed, with something behind it, ended by its connection: then the server's refs follow."""

    def once(handler: Handler) -> bool:
        return handler.command == "GET" and script(handler)

    site.server.script = once
    listed = site.git("ls-remote", "origin")
    assert listed.stdout.endswith("\trefs/heads/x\n"), listed.stderr


@pytest.mark.parametrize("word", ["fetch", "push"])
@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("HTTP/1.1 302 Found\r\nLocation: https://evil.example/", "which is not followed"),
        ("HTTP/1.1 500 No", "returned error: 500"),
        ("HTTP/1.1 413 No\r\nConnection: close", "returned error: 413"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html", "which is not git's"),
    ],
)
def test_a_request_is_not_answered_well(site: Site, word: str, head: str, said: str) -> None:
    """Of a push no more is sent then."""

    def script(handler: Handler) -> bool:
        if handler.command == "GET":
            return False
        handler.wfile.write(f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
        handler.close_connection = True
        return True

    site.server.script = script
    words = ("fetch", "origin") if word == "fetch" else ("push", "origin", "HEAD:y")
    done = site.git(*words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "refs/heads/y" not in site.refs()


def test_git_is_not_set_writing_by_an_answer_that_is_not_whole(site: Site) -> None:
    """It has no flush of it: a git that writes when its helper ends is ended without a word."""
    for script in (raw(*OK, "Content-Length: 100", body=SECOND), plain(SECOND[:-4])):
        site.server.script = script
        answer = converse(site, "connect git-upload-pack\n")
        assert "was cut off" in answer.error["message"]
        assert answer.text() == "\n" + SECOND[:-4].decode()


def test_a_fetch_that_is_cut_off(site: Site) -> None:
    """An answer that is whole for HTTP, and not for git, keeps nobody waiting."""

    def script(handler: Handler) -> bool:
        kind = "application/x-git-upload-pack-result"
        return handler.command != "GET" and plain(b"0009ready", kind=kind)(handler)

    site.server.script = script
    listed = site.git("ls-remote", "origin")
    assert (listed.returncode, "was cut off" in listed.stderr) == (128, True)


def test_a_kept_connection_that_has_ended_is_opened_again(site: Site) -> None:
    """The server closes it after each answer, and says nothing of that."""

    def script(handler: Handler) -> bool:
        handler.close_connection = True
        return False

    site.server.script = script
    listed = site.git("ls-remote", "origin")
    assert (listed.returncode, listed.stderr) == (0, "")


def test_a_server_that_answers_before_it_has_heard(site: Site) -> None:
    """A push that is refused at its head ends there, however much of it there is."""
    site.server.users = dict((ACCOUNT,))
    site.server.guarded = lambda _: False

    def script(handler: Handler) -> bool:
        if handler.command == "GET":
            return False
        # Not a byte of the body is read.
        handler.wfile.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        handler.close_connection = True
        return True

    site.server.script = script
    pushed = site.git("push", "origin", "HEAD:y")
    assert "returned error: 403" in pushed.stderr


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("list\n", "helper"),
        ("connect git-upload-archive\n", "service"),
        ("connect git-upload-pack\n0000", "helper"),
        ("capabilities\nconnect git-receive-pack\r\n", "service"),
        ("x" * 5000, "helper"),
    ],
)
def test_words_that_git_does_not_say(site: Site, said: str, rule: str) -> None:
    """They end the conversation before the server hears of it."""
    answer = converse(site, said)
    assert (answer.error["data"]["layer"], answer.error["data"]["rule"]) == ("broker", rule)
    assert site.server.requests == []


@pytest.mark.parametrize(
    ("service", "said", "rule"),
    [
        ("git-upload-pack", "0032want " + "1" * 40 + "\n", "fetch"),
        ("git-upload-pack", "0011command=push", "fetch"),
        ("git-upload-pack", "0011command=fetch", "fetch"),
        ("git-receive-pack", "0011command=fetch0000", "push-list"),
        ("git-receive-pack", "0009hello", "push-list"),
    ],
)
def test_requests_that_git_does_not_send(site: Site, service: str, said: str, rule: str) -> None:
    """They are not passed on."""
    answer = converse(site, f"connect {service}\n", said)
    assert answer.error["data"]["rule"] == rule
    assert not [asked for asked, _ in site.server.requests if asked.startswith("POST")]
    assert site.daemon.records("broker")[-1]["outcome"] == "denied"


@pytest.mark.parametrize("said", ["", "\n", "capabilities\n\n"])
def test_a_helper_of_which_nothing_is_wanted(site: Site, said: str) -> None:
    """It ends well, and has asked nobody."""
    assert converse(site, said).exit_code == 0
    assert site.server.requests == []


def converse(site: Site, *said: str) -> Answer:
    """Say this in messages, the second once the server has answered the first, and then end."""
    with site.daemon.connect() as connection:
        words = ("git-remote", "https", "origin", site.url)
        connection.sendall(request(*words, features=["stdin", "base64"]))
        lines = connection.makefile("rb")
        assert b'"start"' in lines.readline()
        for text in said:
            if text is not said[0]:
                assert b'"output"' in lines.readline()
            message = {"jsonrpc": "2.0", "method": "stdin", "params": {"data": text}}
            connection.sendall(json.dumps(message).encode() + b"\n")
        end = {"jsonrpc": "2.0", "method": "stdin", "params": {"eof": True}}
        with suppress(BrokenPipeError):
            connection.sendall(json.dumps(end).encode() + b"\n")
        heard: list[Message] = []
        with suppress(ConnectionResetError):
            heard.extend(map(json.loads, lines))
        return Answer(heard)


def test_a_server_that_is_idle_is_given_up(tmp_path: Path) -> None:
    """With what a person can do; here after a moment, instead of minutes."""
    ended = threading.Event()

    def wait(_: Handler) -> bool:
        ended.wait(60)
        return True

    sooner = (
        "import airlock_daemon.boundary.brokers.http.client as client; client.QUIET_S = 0.2; "
        "from airlock_daemon.admin.cli import main; main()"
    )
    with making_site(tmp_path) as site:
        site.grant()
        site.server.script = wait
        environment = {"HOME": str(site.home), **site.environment}
        with Daemon(site.world, program=("-c", sooner), environment=environment):
            listed = site.git("ls-remote", "origin")
        ended.set()
    assert "the server was idle for 0.2 s" in listed.stderr
    assert "a person on the host can see whether it answers there" in listed.stderr
