"""`git-lfs-agent`, the transfer agent of git-lfs: what it says to both sides."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fake_daemons import Conversation, FakeDaemon
from fake_messages import RESULT, error, start_message
from fake_tools import PATIENCE_S, Tool

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on PATH")

OID = "5ab5" * 16
URL = "https://example.com/acme/app.git"


class Agent:
    """An agent that runs in a repository, as git-lfs speaks with it."""

    def __init__(self, process: "subprocess.Popen[str]", repository: Path) -> None:
        self.process = process
        self.repository = repository

    def say(self, event: str, **members: object) -> None:
        """Say a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"event": event, **members}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next line, of those that are no progress."""
        assert self.process.stdout is not None
        while (said := json.loads(self.process.stdout.readline())).get("event") == "progress":
            assert said["oid"] == OID
        return dict(said)

    def begin(self, operation: str, remote: str = "origin") -> None:
        """Begin as git-lfs does."""
        self.say("init", operation=operation, remote=remote, concurrent=True)
        assert self.hear() == {}

    def end(self) -> int:
        """End as git-lfs does; returns the exit status."""
        self.say("terminate")
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def repository(folder: Path) -> Path:
    """A repository with one remote."""
    repository = folder / "work"
    configure(repository, "remote.origin.url", URL, first=("init", "--quiet", str(repository)))
    return repository


def configure(repository: Path, name: str, value: str, *, first: tuple[str, ...] = ()) -> None:
    """Set something in a repository, after another command of git's."""
    git = ("git", "-C", str(repository))
    for words in ([("git", *first)] if first else []) + [(*git, "config", name, value)]:
        subprocess.run(words, check=True)


@contextmanager
def running(daemon: FakeDaemon, repository: Path) -> Iterator[Agent]:
    """Have an agent run."""
    with subprocess.Popen(
        [daemon.link("git-lfs-agent")],
        cwd=repository,
        env={**os.environ, "AIRLOCK_SOCKET": str(daemon.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Agent(process, repository)
        finally:
            process.kill()


def accept(daemon: FakeDaemon) -> tuple[Conversation, list[str], Tool]:
    """Take the agent's conversation: the arguments of git-remote, and its streams."""
    conversation = daemon.accept()
    request = json.loads(conversation.read_request(keep_descriptors=True))
    assert request["params"]["command"] == "git-remote"
    conversation.send(start_message("fds"))
    return conversation, request["params"]["args"], conversation.run_tool()


def read_line(tool: Tool) -> bytes:
    """The next line of what the agent says to the daemon, b"" at its end."""
    line = b""
    while not line.endswith(b"\n") and (byte := tool.read(1)):
        line += byte
    return line


def test_objects_come_and_go_in_one_conversation(daemon: FakeDaemon, repository: Path) -> None:
    """It is begun for the first object; what is downloaded is on the file system of the objects."""
    with running(daemon, repository) as agent:
        agent.begin("download")
        agent.say("download", oid=OID, size=6, action=None)
        conversation, args, tool = accept(daemon)
        assert args == ["lfs", "download", "remote", URL]
        with tool:
            for _ in range(2):
                assert read_line(tool) == f"download {OID} 6\n".encode()
                tool.write(b"data 4\nabcddata 2\nefdone\n")
                said = agent.hear()
                path = Path(said["path"])
                assert (said["event"], said["oid"], path.read_bytes()) == (
                    "complete",
                    OID,
                    b"abcdef",
                )
                assert os.path.samefile(path.parent, repository / ".git/lfs/tmp")
                path.unlink()
                agent.say("download", oid=OID, size=6, action=None)
            assert read_line(tool)
            tool.write(b"error 11\nairlock: no")
            said = agent.hear()
            assert said["error"] == {"code": 1, "message": "airlock: no"}
            assert not list(path.parent.iterdir())
            agent.say("terminate")
            assert read_line(tool) == b""
        conversation.send(RESULT)
        assert agent.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_an_upload_is_sent_where_it_is_wanted(
    daemon: FakeDaemon, repository: Path, size: int
) -> None:
    """Byte for byte; one that the server has is not sent."""
    content = os.urandom(size)
    (repository / "object").write_bytes(content)
    with running(daemon, repository) as agent:
        agent.begin("upload")
        agent.say("upload", oid=OID, size=size, path=str(repository / "object"), action=None)
        conversation, args, tool = accept(daemon)
        assert args == ["lfs", "upload", "remote", URL]
        with tool:
            assert read_line(tool) == f"upload {OID} {size}\n".encode()
            tool.write(b"send\n")
            assert tool.read(size) == content
            tool.write(b"done\n")
            assert agent.hear() == {"event": "complete", "oid": OID}
            agent.say("upload", oid=OID, size=size, path=str(repository / "object"), action=None)
            assert read_line(tool) == f"upload {OID} {size}\n".encode()
            tool.write(b"done\n")
            assert agent.hear() == {"event": "complete", "oid": OID}
        conversation.send(RESULT)
        assert agent.end() == 0


def test_an_upload_that_is_given_up_ends_its_conversation(
    daemon: FakeDaemon, repository: Path
) -> None:
    """The daemon does not read on; the next object is for another conversation."""
    (repository / "object").write_bytes(bytes(3_000_000))
    with running(daemon, repository) as agent:
        agent.begin("upload")
        for _ in range(2):
            path = str(repository / "object")
            agent.say("upload", oid=OID, size=3_000_000, path=path, action=None)
            conversation, _, tool = accept(daemon)
            with tool:
                assert read_line(tool)
                tool.write(b"send\n")
                assert tool.read(1000)
                tool.write(b"error 4\nfull")
            conversation.send(RESULT)
            assert agent.hear()["error"]["message"] == "full"
        assert agent.end() == 0


def test_what_the_daemon_refuses_is_told(daemon: FakeDaemon, repository: Path) -> None:
    """The shim's own words, for each object that is asked for; and where it says none, that."""
    with running(daemon, repository) as agent:
        agent.begin("download")
        agent.say("download", oid=OID, size=1)
        conversation = daemon.accept()
        conversation.read_request()
        conversation.send(error(-32600, "no line", hint="add it"))
        message = agent.hear()["error"]["message"]
        assert message == "airlock: no line\nairlock: hint: add it"
        agent.say("download", oid=OID, size=1)
        conversation, _, tool = accept(daemon)
        tool.close(tool.stdout)
        conversation.send(RESULT)
        message = agent.hear()["error"]["message"]
        assert message == "airlock: the daemon ended the conversation"
        for descriptor in (tool.stdin, tool.stderr):
            tool.close(descriptor)
        assert agent.end() == 0


def test_a_server_that_is_configured_is_meant(daemon: FakeDaemon, repository: Path) -> None:
    """By git's configuration, or else by the repository's own file; the URL to push to counts."""
    server = "https://lfs.example.com/x"
    cases: list[tuple[str, str, list[str]]] = [
        ("remote.origin.pushurl", "git@host:x", ["upload", "remote", "git@host:x"]),
        ("remote.other.lfsurl", server, ["download", "remote", URL]),
        ("remote.origin.lfsurl", server, ["download", "server", server]),
        ("lfs.url", f"{server}/y", ["upload", "server", f"{server}/y"]),
    ]
    for name, value, words in cases:
        configure(repository, name, value)
        assert ask(daemon, repository, words[0]) == ["lfs", *words]
    for name in ("lfs.url", "remote.origin.lfsurl"):
        subprocess.run(["git", "config", "--unset", name], cwd=repository, check=True)
    (repository / ".lfsconfig").write_text("[lfs]\nurl = https://own.example.com/z\n")
    (repository / "below").mkdir()
    own = ["lfs", "download", "server", "https://own.example.com/z"]
    assert ask(daemon, repository / "below", "download") == own


def ask(daemon: FakeDaemon, repository: Path, operation: str) -> list[str]:
    """What an agent in a repository asks for."""
    with running(daemon, repository) as agent:
        agent.begin(operation)
        agent.say(operation, oid=OID, size=1, path="/dev/null")
        conversation, args, tool = accept(daemon)
        with tool:
            pass
        conversation.send(RESULT)
        assert "error" in agent.hear()
        assert agent.end() == 0
    return args


def test_what_is_amiss_in_the_repository_is_told(daemon: FakeDaemon, repository: Path) -> None:
    """A file that is not there, one that has become shorter, a folder that cannot be made."""
    (repository / "object").write_bytes(b"abc")
    with running(daemon, repository) as agent:
        agent.begin("upload")
        for path in ("missing", "object"):
            agent.say("upload", oid=OID, size=9, path=str(repository / path))
            conversation, _, tool = accept(daemon)
            with tool:
                if path == "object":
                    tool.write(b"send\n")
                problem = agent.hear()["error"]["message"]
            conversation.send(RESULT)
            assert problem.startswith("airlock: the file to upload cannot be read, or has another")
        assert agent.end() == 0
    (repository / ".git/lfs").write_text("")
    with running(daemon, repository) as agent:
        agent.begin("download")
        agent.say("download", oid=OID, size=9)
        conversation, _, tool = accept(daemon)
        conversation.send(RESULT)
        with tool:
            problem = agent.hear()["error"]["message"]
        assert problem.startswith("airlock: the downloaded file cannot be written below .git/lfs")
        assert agent.end() == 0


def test_a_remote_without_a_url_is_told(daemon: FakeDaemon, folder: Path) -> None:
    """As outside of a repository."""
    folder = folder / "empty"
    folder.mkdir()
    with running(daemon, folder) as agent:
        agent.begin("download", remote="")
        agent.say("download", oid=OID, size=9)
        problem = agent.hear()["error"]["message"]
        assert problem == "airlock: git does not say which URL the remote has"
        assert agent.end() == 0
