"""A container's git over https: what it fetches and pushes, and what it is refused."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from https_server import Handler
from url_world import ACCOUNT, Site, making_site

from running import read_answer, request, resident_kib

GRANT = 'protect = ["refs/heads/main"]\ndelete = true\npush_options = ["ci.skip"]\n'
MUCH = 3 << 20

sends_much = pytest.mark.linux_only("elsewhere these clients stream, and wait for no credit")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for an account; the agent may push there, but not to main."""
    with making_site(tmp_path) as site:
        site.store_account()
        site.grant(GRANT)
        with site.running():
            yield site


def read_lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_hooks_see_a_conversation_over_https(tmp_path: Path) -> None:
    """The first each request of it as git makes it, and may refuse; the second how it ended."""
    with making_site(tmp_path) as site:
        site.store_account()
        site.grant()
        site.world.write_hook("pre-exec", f"cat >>'{tmp_path}/seen'; [ ! -e '{tmp_path}/no' ]")
        site.world.write_hook("post-exec", f"cat >>'{tmp_path}/ended'; exit 0")
        with site.running():
            pushed = site.git("push", "origin", "HEAD:agent/x")
            assert pushed.returncode == 0, pushed.stderr
            (tmp_path / "no").touch()
            refused = site.git("push", "origin", "HEAD:agent/y")
            assert refused.returncode == 128
            assert 'the pre-exec hook refuses "git-remote"' in refused.stderr
        assert site.refs() == ["refs/heads/agent/x"]
        seen = [json.loads(line)["params"] for line in read_lines(tmp_path / "seen")]
        (ended,) = map(json.loads, read_lines(tmp_path / "ended"))
    assert [(each["command"], each["args"]) for each in seen] == [
        ("git-remote", ["https", "origin", site.url])
    ] * 2
    assert ended["result"]["exit_code"] == 0
    assert ACCOUNT[1] not in str((seen, ended))


@pytest.mark.parametrize(
    ("words", "streamed"),
    [
        (("HEAD:main",), False),
        (("HEAD:main",), True),
        (("--mirror",), False),
        (("--atomic", "HEAD:x", "HEAD:Main"), True),
        (("-o", "x", "HEAD:x"), False),
    ],
)
def test_what_a_push_may_not_move_stays(
    site: Site, words: tuple[str, ...], *, streamed: bool
) -> None:
    """By whatever spelling; git shows why, and nothing of such a push is sent."""
    site.streamed = streamed
    pushed = site.git("push", "origin", *words)
    assert pushed.returncode == 1, pushed.stderr
    assert "[remote rejected]" in pushed.stderr
    assert "(airlock: " in pushed.stderr
    assert site.refs() == []
    assert not [request for request, _ in site.server.requests if request.startswith("POST")]
    (record,) = site.daemon.records("broker")
    assert (record["outcome"], record["detail"]["bytes"]) == ("denied", 0)


@pytest.mark.parametrize("when", ["POST", "GET"])
@pytest.mark.parametrize("size", [10, pytest.param(MUCH, marks=sends_much)])
def test_the_server_asks_who_it_is_late(site: Site, when: str, size: int) -> None:
    """What is held whole is sent again, and for more it is found out before it is sent."""
    site.server.guarded = lambda request: request.startswith(when)
    site.commit("much", size=size)
    pushed = site.git("push", "origin", "HEAD:x")
    assert (pushed.returncode, site.refs()) == (0, ["refs/heads/x"]), pushed.stderr
    cloned = site.git("clone", "--quiet", "-b", "x", site.url, "copy")
    assert (cloned.returncode, cloned.stderr) == (0, "")
    assert (site.work / "copy" / "much").stat().st_size == size


@sends_much
def test_a_long_request_is_sent_in_pieces(site: Site) -> None:
    """One of a fetch that is more than is held at once."""
    site.git("push", "--quiet", "origin", "HEAD:x")
    seen: list[str | None] = []

    def note(handler: Handler) -> bool:
        seen.append(handler.headers["Transfer-Encoding"])
        return False

    site.server.script = note
    options = [f"--server-option={'x' * 60_000}" for _ in range(25)]
    listed = site.git("ls-remote", *options, "origin")
    assert listed.stdout.endswith("\trefs/heads/x\n"), listed.stderr
    assert seen[-1] == "chunked"


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        (("https", "origin"), "words"),
        (("https", "origin", "http://127.0.0.1:{port}/app.git"), "url"),
        (("http", "origin", "http://127.0.0.1:{port}/app.git"), "git.fetch"),
        (("https", "origin", "https://127.0.0.1/app.git"), "git.fetch"),
        (("https", "origin", "https://127.1:{port}/app.git"), "git.fetch"),
        (("https", "origin", "https://a:b@127.0.0.1:{port}/app.git"), "password"),
        (("https", "origin", "https://127.0.0.1:{port}/../app.git"), "path"),
        (("https", "origin", "https://127.0.0.1:{port}/app.git?x"), "path"),
        (("https", "origin", "https://127.0.0.1:{port}/%61pp.git"), "path"),
        (("https", "origin", "https://127.0.0.1:{port}/app.git"), "needs-stdin"),
    ],
)
def test_other_requests_are_refused(site: Site, args: tuple[str, ...], rule: str) -> None:
    """URLs that are not granted, and clients that cannot carry the conversation."""
    answer = site.daemon.ask(
        "git-remote", *(word.replace("{port}", str(site.server.port)) for word in args)
    )
    assert answer.error["data"]["kind"] == "denied"
    assert (answer.error["data"]["layer"], answer.error["data"]["rule"]) == ("broker", rule)
    assert site.server.requests == []


def test_a_check_covers_the_place(site: Site) -> None:
    """As a request would, and asks nobody."""
    allowed = site.daemon.ask("git-remote", "https", "x", site.url, method="check")
    assert allowed.last["result"]["decision"] == "allowed"
    elsewhere = "https://localhost/app.git"
    denied = site.daemon.ask("git-remote", "https", "x", elsewhere, method="check")
    assert 'fetch = ["https://localhost/app"]' in denied.error["data"]["hint"]
    assert site.server.requests == []


def test_a_place_to_fetch_from_is_none_to_push_to(site: Site) -> None:
    """What is wanted there is judged when the client says it."""
    place = site.server.url.removeprefix("https://")
    site.world.write_profile(f'[git]\nfetch = ["{place}/**"]\n[deny]\ngit = ["fetch"]\n')
    assert site.daemon.stop() == 0
    with site.running():
        pushed = site.git("push", "origin", "HEAD:x")
        assert "airlock: this agent may not push to" in pushed.stderr
        fetched = site.git("ls-remote", "origin")
        assert 'airlock: git with "fetch" is refused' in fetched.stderr
    assert site.server.requests == []


def test_git_archive_is_refused_by_name(site: Site) -> None:
    """Over https no version of git has it for such a server, either."""
    archived = site.git("archive", f"--remote={site.url}", "HEAD")
    assert archived.returncode != 0
    assert "git-upload-archive is not passed on" in archived.stderr


@sends_much
def test_memory_stays_where_it_was(site: Site) -> None:
    """However much is pushed and cloned: it goes through the daemon in pieces."""
    site.git("ls-remote", "origin")
    before = resident_kib(site.daemon.process.pid, "VmHWM")
    site.commit("much", size=16 << 20)
    pushed = site.git("push", "--quiet", "origin", "HEAD:x")
    assert pushed.returncode == 0, pushed.stderr
    for streamed in (False, True):
        site.streamed = streamed
        copy = f"copy-{streamed}"
        cloned = site.git("clone", "--quiet", "--bare", "-b", "x", site.url, copy)
        assert cloned.returncode == 0, cloned.stderr
    assert resident_kib(site.daemon.process.pid, "VmHWM") - before < 10 * 1024


def test_a_signal_ends_it(site: Site) -> None:
    """As it ends a command: the server's slowness keeps nobody."""
    arrived, release = threading.Event(), threading.Event()

    def script(handler: Handler) -> bool:
        arrived.set()
        return release.wait(30)

    site.server.script = script
    with site.daemon.connect() as connection:
        features = ["signals", "exit-signal", "stdin", "base64"]
        words = ("git-remote", "https", "origin", site.url)
        connection.sendall(request(*words, features=features))
        said = b"capabilities\nconnect git-upload-pack\n"
        for method, params in (("stdin", {"data": said.decode()}), ("signal", {"name": "SIGINT"})):
            message = {"jsonrpc": "2.0", "method": method, "params": params}
            if method == "signal":
                assert arrived.wait(30)
            else:
                while connection.recv(1) != b"\n":
                    pass
            connection.sendall(json.dumps(message).encode() + b"\n")
        answer = read_answer(connection)
    release.set()
    assert (answer.exit_code, answer.last["result"]["signal"]) == (130, "SIGINT")
    (record,) = site.daemon.records()
    assert (record["exit_code"], record["signal"]) == (130, "SIGINT")


@sends_much
def test_a_client_that_leaves_takes_its_conversation_along(site: Site) -> None:
    """The server sees the end of the connection, in the middle of a push."""
    left = threading.Event()

    def script(handler: Handler) -> bool:
        if handler.command == "GET":
            return False
        while handler.rfile.read(1):
            pass
        left.set()
        return True

    site.server.script = script
    site.commit("much", size=MUCH)
    with site.starting("push", "origin", "HEAD:x") as process:
        while not [request for request, _ in site.server.requests if "POST" in request]:
            assert process.poll() is None
            os.sched_yield()
        os.killpg(process.pid, signal.SIGKILL)
    assert left.wait(30)
