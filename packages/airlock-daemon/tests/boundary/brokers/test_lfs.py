"""Large files of Git LFS: who gets which, by which accounts, and what the agent sees of that."""

import base64
import hashlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from git_world import CLIENT
from https_server import Handler, serving
from lfs_service import OBJECT_TOKEN, SIGNATURE, TOKEN, LfsService
from url_world import ACCOUNT, Site, making_site

from airlock_daemon.boundary.brokers.http import Answer, HttpClient, Request
from airlock_daemon.boundary.fairness import Rounds, TurnQueue
from airlock_daemon.errors import Failed
from airlock_modules.remotes.lfs import read_lfs_words
from approving import approve, reject, wait_for_questions
from commanding import reload, run

CONTENT = os.urandom(300_000)
OID = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for an account, which the human's git has. The daemon does not run yet."""
    with making_site(tmp_path) as site:
        site.store_account()
        site.grant()
        yield site


@pytest.fixture
def lfs(site: Site) -> LfsService:
    """Its large files."""
    return LfsService(site.server, site.root / "objects")


class Agent:
    """The transfer agent of a container, which is the shim there; `seen` is all that it hears."""

    def __init__(self, site: Site, *words: str, streamed: bool = False) -> None:
        command = [sys.executable, str(CLIENT), str(site.world.socket), str(int(streamed)), "lfs"]
        self.process = subprocess.Popen(
            [*command, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self.seen = b""

    def say(self, data: bytes) -> None:
        """Say something."""
        self._stdin.write(data)
        self._stdin.flush()

    def hear(self) -> tuple[str, bytes]:
        """The next word that is not `data`, and what came with it and before it."""
        content = b""
        while True:
            word, _, count = self._read_line().partition(b" ")
            data = self._stdout.read(int(count)) if count else b""
            self.seen += data
            content += data
            if word != b"data":
                return word.decode(), content

    def _read_line(self) -> bytes:
        line = self._stdout.readline()
        assert line.endswith(b"\n"), self.end()
        return line[:-1]

    def end(self) -> tuple[int, str]:
        """Say nothing more; returns the exit status and what was said on stderr."""
        with self.process as process:
            assert process.stderr is not None
            self._stdin.close()
            said = process.stderr.read()
        return process.returncode, said.decode()

    def download(self, oid: str = OID, size: int = len(CONTENT)) -> tuple[str, bytes]:
        """Ask for an object."""
        self.say(f"download {oid} {size}\n".encode())
        return self.hear()

    def upload(self, content: bytes, oid: str | None = None) -> tuple[str, bytes]:
        """Send an object, if it is wanted."""
        oid = oid or hashlib.sha256(content).hexdigest()
        self.say(f"upload {oid} {len(content)}\n".encode())
        heard = self.hear()
        if heard[0] == "send":
            self.say(content)
            heard = self.hear()
        return heard


@contextmanager
def asking(site: Site, *words: str, streamed: bool = False) -> Iterator[Agent]:
    """Have an agent ask, and end."""
    agent = Agent(site, *words, streamed=streamed)
    try:
        yield agent
    except BaseException:
        # It may wait for something that does not come any more.
        agent.process.kill()
        raise
    finally:
        if agent.process.returncode is None:
            agent.end()


def operations(site: Site) -> list[tuple[str, str]]:
    """What the log has of brokers: outcomes and operations."""
    return [
        (each["outcome"], each["detail"]["operation"]) for each in site.daemon.records("broker")
    ]


def test_an_upload_is_part_of_a_push(site: Site, lfs: LfsService) -> None:
    """Who may fetch alone may download; a rule against pushing is one against uploading."""
    place = site.server.url.removeprefix("https://")
    lfs.add(CONTENT)
    site.world.write_profile(f'[git]\npush = ["{place}/other"]\nfetch = ["{place}/app"]\n')
    with site.running():
        status, said = Agent(site, "upload", "remote", site.url).end()
        assert status == 126
        assert "airlock: this agent may not push to " in said
        with asking(site, "download", "remote", site.url) as agent:
            assert agent.download()[0] == "done"
        status, said = Agent(site, "download", "remote", f"{site.server.url}/third").end()
        assert (status, "may not fetch from" in said) == (126, True)
    assert not [each for each, _ in site.server.requests if "third" in each]
    site.grant('\n[deny]\ngit = ["push"]\n')
    with site.running():
        assert Agent(site, "upload", "remote", site.url).end()[0] == 126


def test_what_was_withdrawn_ends_at_the_next_object(site: Site, lfs: LfsService) -> None:
    """A conversation may be as long as its agent wants."""
    lfs.add(CONTENT)
    with site.running(), asking(site, "download", "remote", site.url) as agent:
        assert agent.download()[0] == "done"
        place = site.server.url.removeprefix("https://")
        site.world.write_profile(f'[git]\nfetch = ["{place}/other"]\n')
        assert reload(site.world).returncode == 0
        word, said = agent.download()
        assert (word, b"may not fetch from" in said) == ("error", True)


def test_each_object_waits_for_a_person(site: Site, lfs: LfsService) -> None:
    """Before the server hears of it; what is rejected is an error of that object alone."""
    site.grant('[approve]\nrequire = ["git lfs upload"]\n')
    with (
        site.running(),
        ThreadPoolExecutor() as pool,
        asking(site, "upload", "remote", site.url) as agent,
    ):
        waiting = pool.submit(agent.upload, CONTENT)
        (question,) = wait_for_questions(site.world)
        assert question["operation"].endswith(f" {OID} {len(CONTENT)}")
        assert not site.server.requests
        approve(site.world)
        assert waiting.result() == ("done", b"")
        waiting = pool.submit(agent.upload, b"other")
        reject(site.world, "too large for us")
        word, said = waiting.result()
        assert (word, b"too large for us" in said) == ("error", True)
    assert [each.name for each in lfs.folder.iterdir()] == [OID]


@pytest.mark.parametrize("pattern", ["git push", "git push * refs/**", "git * **/app"])
def test_an_upload_waits_where_any_push_does(site: Site, lfs: LfsService, pattern: str) -> None:
    """One answer is for the conversation, whose objects git-lfs names one by one."""
    site.grant(f'[approve]\nrequire = ["{pattern}"]\n')
    place = site.url.removeprefix("https://").removesuffix(".git")
    with site.running(), ThreadPoolExecutor() as pool:
        with asking(site, "upload", "remote", site.url) as agent:
            waiting = pool.submit(agent.upload, CONTENT)
            (question,) = wait_for_questions(site.world)
            assert question["operation"] == f"git lfs upload {place}"
            assert not site.server.requests
            approve(site.world)
            assert waiting.result() == ("done", b"")
            assert agent.upload(b"other") == ("done", b"")
        with asking(site, "upload", "remote", site.url) as agent:
            waiting = pool.submit(agent.upload, b"third")
            reject(site.world, "not today")
            word, said = waiting.result()
            assert (word, b"not today" in said) == ("error", True)
        first, second, third = site.daemon.records("broker")
    assert first["approval"]["id"] == second["approval"]["id"] == question["id"]
    assert third["approval"]["rejected"]
    assert len([*lfs.folder.iterdir()]) == 2


def test_uploads_at_the_same_time_share_a_question(site: Site, lfs: LfsService) -> None:
    """git-lfs starts eight processes, and an agent may have four questions."""
    site.grant('[approve]\nrequire = ["git push"]\n')
    with site.running(), ThreadPoolExecutor() as pool, ExitStack() as stack:
        agents = [stack.enter_context(asking(site, "upload", "remote", site.url)) for _ in range(6)]
        waiting = [pool.submit(each.upload, b"%d" % number) for number, each in enumerate(agents)]
        while wait_for_questions(site.world)[0]["waiting"] < len(agents):
            time.sleep(0.05)
        run(site.world, "pending")
        approve(site.world)
        assert [each.result() for each in waiting] == [("done", b"")] * len(agents)
    assert len([*lfs.folder.iterdir()]) == len(agents)


def test_an_upload_is_not_asked_about_for_the_sake_of_a_ref(site: Site, lfs: LfsService) -> None:
    """It names none, and the same content may be pushed to another ref unasked."""
    site.grant('[approve]\nrequire = ["git push * refs/heads/main", "git fetch"]\n')
    with site.running(), asking(site, "upload", "remote", site.url) as agent:
        assert agent.upload(CONTENT) == ("done", b"")
    assert [each.name for each in lfs.folder.iterdir()] == [OID]


def test_a_download_waits_where_a_fetch_does(site: Site, lfs: LfsService) -> None:
    """An answer for a while is for what is fetched, too."""
    lfs.add(CONTENT)
    site.grant('[approve]\nrequire = ["git fetch"]\n')
    with site.running(), ThreadPoolExecutor() as pool:
        with asking(site, "download", "remote", site.url) as agent:
            waiting = pool.submit(agent.download)
            approve(site.world, "--for", "10m")
            assert waiting.result() == ("done", CONTENT)
        with asking(site, "download", "remote", site.url) as agent:
            assert agent.download() == ("done", CONTENT)
        assert site.git("ls-remote", "origin").returncode == 0


def test_a_record_names_no_approval_of_another_object(site: Site, lfs: LfsService) -> None:
    """Of two in one conversation one is asked about."""
    site.grant(f'[approve]\nrequire = ["git lfs upload * {OID}"]\n')
    with site.running(), ThreadPoolExecutor() as pool:
        with asking(site, "upload", "remote", site.url) as agent:
            waiting = pool.submit(agent.upload, CONTENT)
            question = approve(site.world)
            assert waiting.result() == ("done", b"")
            assert agent.upload(b"other") == ("done", b"")
        asked, other = site.daemon.records("broker")
    assert asked["approval"]["id"] == question["id"]
    assert not other.get("approval")
    assert len([*lfs.folder.iterdir()]) == 2


def test_other_words_are_refused(site: Site, lfs: LfsService) -> None:
    """Nothing is asked then."""
    with site.running():
        for words, says in (
            (("download", "remote", "/etc"), "no URL of ssh or https"),
            (("download", "remote", "https://a:b@example.com/x"), "password"),
            (("list", "remote", site.url), "no words of the agent"),
            (("download", site.url), "no words of the agent"),
            (("download", "remote", f"{site.url}/../x"), "part"),
        ):
            status, said = Agent(site, *words).end()
            assert (status, says in said) == (126, True), said
    assert not lfs.heads


def test_other_lines_end_the_conversation(site: Site, lfs: LfsService) -> None:
    """Also the line of an upload in a conversation for downloads."""
    nothing = "0" * 64
    with site.running():
        for line in (f"upload {nothing} 1", "download ../x 1", f"download {nothing} -1", "x" * 300):
            agent = Agent(site, "download", "remote", site.url)
            agent.say(f"{line}\n".encode())
            status, said = agent.end()
            assert (status, "git-remote is refused" in said) == (126, True), said
    assert not lfs.heads


@pytest.mark.parametrize("is_killed", [False, True])
def test_an_upload_that_is_cut_off_is_none(site: Site, lfs: LfsService, *, is_killed: bool) -> None:
    """The server does not get the end of its body, and the record says so."""
    with site.running():
        agent = Agent(site, "upload", "remote", site.url)
        agent.say(f"upload {OID} {len(CONTENT)}\n".encode())
        assert agent.hear()[0] == "send"
        agent.say(CONTENT[:1000])
        if is_killed:
            agent.process.kill()
        status, _ = agent.end()
        # A killed agent does not wait for the daemon, which writes its records before it stops.
        site.daemon.stop()
    (record,) = site.daemon.records("broker")
    assert status == (-9 if is_killed else 126)
    assert not (lfs.folder / OID).exists()
    assert record["outcome"] == "aborted"
    assert record["reason"] == "the conversation ended in the middle of the object"


def test_a_server_that_takes_less_than_the_object_has_not_taken_it(
    site: Site, lfs: LfsService
) -> None:
    """It answers before the agent has sent all of it."""
    with site.running():
        agent = Agent(site, "upload", "remote", site.url)
        served = lfs.answer

        def answer_early(handler: Handler) -> bool:
            if handler.command != "PUT":
                return served(handler)
            handler.close_connection = True
            handler.send_response(200)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True

        site.server.script = answer_early
        agent.say(f"upload {OID} {len(CONTENT)}\n".encode())
        assert agent.hear()[0] == "send"
        word, said = agent.hear()
        agent.end()
        assert (word, b"before the whole object was sent" in said) == ("error", True)
        assert operations(site)[0][0] == "failed"
    assert not lfs.verified


def test_an_upload_that_the_server_refuses_ends_with_its_status(
    site: Site, lfs: LfsService
) -> None:
    """What is left of it is not read."""
    with site.running(), asking(site, "upload", "remote", site.url) as agent:
        word, said = agent.upload(CONTENT, oid="1" * 64)
    assert (word, b"answered 422;" in said) == ("error", True)
    assert b"another content" not in said


def test_content_that_the_server_leaves_unread_becomes_no_request(
    site: Site, lfs: LfsService
) -> None:
    """It would take it for the next one, with the account of the one behind."""
    lfs.header = {"X-Token": "none"}
    with site.running(), asking(site, "upload", "remote", site.url) as agent:
        content = b"PUT /objects/all HTTP/1.1\r\nContent-Length: 0\r\nX-Any: "
        oid = hashlib.sha256(content).hexdigest()
        # At once: a refusal that comes before the content ends the conversation.
        agent.say(f"upload {oid} {len(content)}\n".encode() + content)
        assert [agent.hear()[0], agent.hear()[0]] == ["send", "error"]
        agent.upload(b"next")
    requests = [request for request, _ in lfs.heads]
    assert "PUT /objects/all" not in requests
    assert sum(each.endswith("/objects/batch") for each in requests) >= 2


def test_another_server_gets_nothing_of_this_one(site: Site, lfs: LfsService) -> None:
    """A server sends on to another, or names it: neither account nor token goes there."""
    lfs.add(CONTENT)
    other = site.root / "other"
    other.mkdir()
    with serving(other, site.root / "authority.pem") as storage:
        there = LfsService(storage, site.root / "stored")
        there.add(CONTENT)
        lfs.storage = storage.url
        lfs.redirects = True
        place = site.server.url.removeprefix("https://")
        with site.running():
            with asking(site, "download", "remote", site.url) as agent:
                word, said = agent.download()
            assert word == "error"
            assert f'fetch = ["{storage.url}/**"]'.encode() in said
            assert not there.heads
        line = storage.url.removeprefix("https://")
        site.world.write_profile(f'[git]\npush = ["{place}/**"]\nfetch = ["https://{line}/**"]\n')
        with site.running(), asking(site, "download", "remote", site.url) as agent:
            assert agent.download() == ("done", CONTENT)
    assert {head.get("Authorization") for _, head in there.heads} == {None}
    assert SIGNATURE.encode() not in agent.seen


def test_the_account_stays_below_the_repository(site: Site, lfs: LfsService) -> None:
    """Else an agent that could have its own words answered would read what is another's."""
    lfs.add(CONTENT)
    lfs.redirects = True
    with site.running(), asking(site, "download", "remote", site.url) as agent:
        assert agent.download() == ("done", CONTENT)
    heads = {path: head.get("Authorization") for path, head in lfs.heads}
    assert heads.pop("POST /app.git/info/lfs/objects/batch") == site.authorization
    assert heads == {f"GET /sent-on/{OID}": None, f"GET /objects/{OID}": None}


def test_what_the_api_was_shown_is_not_repeated(site: Site, lfs: LfsService) -> None:
    """An error that has the account in some spelling is told without its words, also where the
    account would be cut off in what is shown of them.
    """
    user, password = ACCOUNT
    account = base64.b64encode(f"{user}:{password}".encode()).decode()
    with site.running():
        for said in (password, account, f"Basic {account}", "x" * 285 + password):
            for status, says in ((403, b"answered 403;"), (200, b"repeats what the server was")):
                lfs.refusal = (status, f"you sent {said}")
                with asking(site, "download", "remote", site.url) as agent:
                    assert agent.download()[0] == "error"
                assert says in agent.seen
                assert b"you sent" not in agent.seen
        for status in (403, 200):
            lfs.refusal = (status, "over quota")
            with asking(site, "download", "remote", site.url) as agent:
                assert b'"over quota"' in agent.download()[1]


def test_a_password_that_is_quoted_when_shown_is_found(site: Site, lfs: LfsService) -> None:
    """It is looked for in what came, before that is quoted."""
    password = 'CANARY-\\"quoted"-é'
    site.store_account(password)
    lfs.refusal = (200, f"you sent {password}")
    with site.running(), asking(site, "download", "remote", site.url) as agent:
        assert agent.download()[0] == "error"
    assert b"repeats what the server was shown" in agent.seen
    assert b"CANARY" not in agent.seen


def test_of_a_transfer_the_status_alone_is_told(site: Site, lfs: LfsService) -> None:
    """Its server can repeat any part of a signature, a path, or a token."""
    lfs.add(CONTENT)
    with site.running():
        lfs.failing = lambda handler: f"no {handler.path} {handler.headers['Authorization'][-9:]}"
        for operation in ("download", "upload"):
            with asking(site, operation, "remote", site.url) as agent:
                word, said = agent.download() if operation == "download" else agent.upload(b"new")
            assert (word, b"answered 403;" in said) == ("error", True)
            assert b'"no ' not in said
        served = lfs.answer
        lfs.failing = None

        def fail_verification(handler: Handler) -> bool:
            if handler.path == "/verify":
                lfs.failing = lambda _: f"you sent {OBJECT_TOKEN[-9:]}"
            return served(handler)

        site.server.script = fail_verification
        with asking(site, "upload", "remote", site.url) as agent:
            word, said = agent.upload(b"newer")
        assert (word, b"answered 403;" in said) == ("error", True)
        assert b"you sent" not in said


def test_a_part_of_the_url_that_a_remote_names_is_not_repeated(site: Site, lfs: LfsService) -> None:
    """git-lfs-authenticate may put a token into it: none of it is known to the agent."""
    key = "CANARY-part-of-url"
    href = f"{site.server.url}/{key}-a/x?key={key}%2Fb"
    use_ssh(site, f'{{"href":"{href}","header":{{"Authorization":"RemoteAuth {TOKEN}"}}}}')
    site.world.write_profile('[git]\npush = ["git@127.0.0.1/acme/*"]\n')
    with site.running():
        for said in (f"{key}-a", f"{key}/b", f"{key}%2Fb"):
            lfs.refusal = (200, f"no {said}")
            site.server.script = lfs._batch
            with asking(site, "download", "remote", "git@127.0.0.1:acme/app") as agent:
                assert agent.download()[0] == "error"
            assert b"repeats what the server was shown" in agent.seen, agent.seen
            assert b"CANARY" not in agent.seen


def test_a_token_with_a_blank_is_in_no_message(site: Site, lfs: LfsService) -> None:
    """What HTTP cannot carry is refused before anything is made of it, and the next is served."""
    lfs.add(CONTENT)
    with site.running():
        with asking(site, "download", "remote", site.url) as agent:
            for value in (f" RemoteAuth {OBJECT_TOKEN}", f"RemoteAuth {OBJECT_TOKEN} "):
                lfs.header = {"Authorization": value}
                word, said = agent.download()
                assert (word, b"no header" in said) == ("error", True)
            lfs.header = None
            assert agent.download() == ("done", CONTENT)
        assert OBJECT_TOKEN not in site.daemon.messages()


async def test_a_request_that_http_cannot_carry_is_told_without_its_words() -> None:
    """The library of HTTP repeats the header in its error."""
    near, far = trio.testing.memory_stream_pair()

    async def connect() -> trio.abc.Stream:
        return near

    async def read(answer: Answer) -> int:
        return answer.status

    client = HttpClient(connect, TurnQueue(Rounds()))
    headers = (("Host", "h"), ("Authorization", f"{TOKEN} "))
    with pytest.raises(Failed) as failed:
        await client.exchange(Request(method="GET", target="/", headers=headers), read)
    assert "would not be valid HTTP" in failed.value.message
    assert TOKEN not in "".join(traceback.format_exception(failed.value))
    assert await far.receive_some() == b""


def test_few_connections_are_kept(site: Site, lfs: LfsService) -> None:
    """A server can name another one for each object: connections do not grow by that."""
    lfs.add(CONTENT)
    counts: list[int] = []
    with ExitStack() as stack:
        others = []
        for number in range(12):
            folder = site.root / f"other-{number}"
            folder.mkdir()
            other = stack.enter_context(serving(folder, site.root / "authority.pem"))
            LfsService(other, site.root / f"stored-{number}").add(CONTENT)
            others.append(other.url)
        lines = ", ".join(f'"{url}/**"' for url in (site.server.url, *others))
        site.world.write_profile(f"[git]\nfetch = [{lines}]\n")
        with site.running(), asking(site, "download", "remote", site.url) as agent:
            for lfs.storage in others:
                assert agent.download() == ("done", CONTENT)
                counts.append(count_sockets(site.daemon.process.pid))
            # One that was closed is met again.
            lfs.storage = others[0]
            assert agent.download() == ("done", CONTENT)
    assert counts[4:] == [counts[3]] * 8


def count_sockets(pid: int) -> int:
    """The sockets that a process holds."""
    held = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            held += str(each.readlink()).startswith("socket:")
    return held


def test_an_account_that_is_not_taken_is_said(site: Site, lfs: LfsService) -> None:
    """In the words of a person's way out."""
    site.server.users[ACCOUNT[0]] = "another"
    with site.running(), asking(site, "download", "remote", site.url) as agent:
        word, said = agent.download()
    assert (word, b"does not take the account or token" in said) == ("error", True)


def test_a_server_of_its_own_is_a_place_of_the_grant(site: Site, lfs: LfsService) -> None:
    """`lfs.url` names the API; what stands before /info/lfs is the place."""
    lfs.add(CONTENT)
    with site.running():
        with asking(site, "download", "server", f"{site.server.url}/store/x") as agent:
            assert agent.download() == ("done", CONTENT)
        with asking(site, "download", "server", f"{site.server.url}/y.git/info/lfs") as agent:
            assert agent.download() == ("done", CONTENT)
        assert Agent(site, "download", "server", "https://localhost/x").end()[0] == 126
    asked = {path for path, _ in lfs.heads if path.startswith("POST")}
    assert asked == {"POST /store/x/objects/batch", "POST /y.git/info/lfs/objects/batch"}
    assert read_lfs_words(("download", "remote", "https://h/a")).api_path == "/a.git/info/lfs"


LOGIN = '{{"href":"{url}/app.git/info/lfs","header":{{"Authorization":"RemoteAuth {token}"}}}}'


def use_ssh(site: Site, said: str, *, status: int = 0) -> None:
    """Have the human's ssh note its words and say this."""
    programs = site.root / "bin"
    programs.mkdir(exist_ok=True)
    ssh = programs / "ssh"
    ssh.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{site.root}/notes\n"
        f"cat <<'END'\n{said}\nEND\nexit {status}\n"
    )
    ssh.chmod(0o755)
    config = site.world.config / "config.toml"
    config.write_text(
        config.read_text().replace('path = "/usr/bin', f'path = "{programs}:/usr/bin')
    )


def test_over_ssh_the_remote_says_where_they_are(site: Site, lfs: LfsService) -> None:
    """By git-lfs-authenticate of the human's ssh, whose token stays on the host."""
    use_ssh(site, LOGIN.format(url=site.server.url, token=TOKEN))
    site.world.write_profile('[git]\npush = ["git@127.0.0.1/acme/*"]\n')
    lfs.add(CONTENT)
    with site.running():
        with asking(site, "download", "remote", "git@127.0.0.1:acme/app.git") as agent:
            assert agent.download() == ("done", CONTENT)
        notes = (site.root / "notes").read_text().splitlines()
        assert notes[-3:] == ["--", "git@127.0.0.1", "git-lfs-authenticate 'acme/app.git' download"]
        assert "-oBatchMode=yes" in notes
        with asking(site, "upload", "remote", "ssh://git@127.0.0.1/acme/app.git") as agent:
            assert agent.upload(b"new") == ("done", b"")
        assert operations(site)[0] == (
            "allowed",
            f"git lfs download git@127.0.0.1/acme/app {OID} {len(CONTENT)}",
        )
        assert Agent(site, "download", "remote", "git@127.0.0.1:other/x").end()[0] == 126
    assert TOKEN.encode() not in agent.seen


def test_an_ssh_remote_that_says_something_else(site: Site) -> None:
    """Nothing is asked of a server that the grant keeps from the agent."""
    use_ssh(site, "")
    site.world.write_profile('[git]\npush = ["git@127.0.0.1/acme/*"]\n')
    with site.running():
        for said, says in (
            ("Welcome", b"not what an LFS server says"),
            ('{"href": ""}', b"does not say where"),
            ('{"href": "ftp://h/x"}', b"no URL of https"),
            ('{"href": "http://127.0.0.1/x"}', b"is not named in the grant"),
            ('{"href": "https://localhost/x"}', b"is not named in the grant"),
            ('{"href": "https://h/x", "header": {"A b": "c"}}', b"no header"),
            ("", b"does not say where its large files are"),
        ):
            use_ssh(site, said, status=0 if said else 1)
            with asking(site, "download", "remote", "git@127.0.0.1:acme/app") as agent:
                word, heard = agent.download()
            assert (word, says in heard) == ("error", True), heard
