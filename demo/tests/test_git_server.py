"""The throw-away git server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.git_server import GitServer, serve_git
from demo.places import Places, build_variables, make_commit


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "world")


@pytest.fixture
def server(places: Places) -> Iterator[GitServer]:
    with serve_git(places.server, user="alice", password="secret-word") as server:
        yield server


def _run(places: Places, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *words],
        cwd=places.workspace,
        env=build_variables(places.client_home),
        capture_output=True,
        text=True,
        check=check,
    )


def _push(places: Places, url: str) -> subprocess.CompletedProcess[str]:
    return _run(places, "push", url, "main", check=False)


def test_push_whose_length_is_not_known_beforehand_arrives(
    server: GitServer, places: Places
) -> None:
    """git sends in chunks what is more than its buffer, and so does Airlock."""
    make_commit(places, url=server.url)
    (places.workspace / "much").write_bytes(os.urandom(200_000))
    settings = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["add", "much"], ["commit", "--quiet", "--message=much"]):
        _run(places, *settings, *words)
    _run(
        places,
        "-c",
        "http.postBuffer=65536",
        "push",
        _with_login(server.url, "alice:secret-word"),
        "main",
    )
    assert server.read_branch("main") == _run(places, "rev-parse", "HEAD").stdout.strip()


def _with_login(url: str, login: str) -> str:
    return url.replace("http://", f"http://{login}@")


def test_push_without_credential_is_refused(server: GitServer, places: Places) -> None:
    """A push without a password gets 401 and changes nothing."""
    make_commit(places, url=server.url)
    assert _push(places, server.url).returncode != 0
    assert {visit.status for visit in server.visits} == {401}
    assert server.read_branch("main") is None


def test_push_with_wrong_password_is_refused(server: GitServer, places: Places) -> None:
    """A wrong password is as good as none."""
    make_commit(places, url=server.url)
    assert _push(places, _with_login(server.url, "alice:wrong")).returncode != 0
    assert server.read_branch("main") is None


def test_push_with_password_arrives(server: GitServer, places: Places) -> None:
    """With the password a push is accepted, and the server has the client's commit."""
    commit = make_commit(places, url=server.url)
    done = _push(places, _with_login(server.url, "alice:secret-word"))
    assert done.returncode == 0, done.stderr
    assert server.read_branch("main") == commit


def test_clone_needs_the_password_too(server: GitServer, places: Places, tmp_path: Path) -> None:
    """Reading is refused without the password and works with it."""
    make_commit(places, url=server.url)
    _push(places, _with_login(server.url, "alice:secret-word"))
    for url, good in ((server.url, False), (_with_login(server.url, "alice:secret-word"), True)):
        command = ["git", "clone", "--quiet", url, str(tmp_path / f"clone-{good}")]
        variables = build_variables(places.client_home)
        done = subprocess.run(command, env=variables, capture_output=True, check=False)
        assert (done.returncode == 0) is good


def test_port_is_free_afterwards(places: Places) -> None:
    """When the block ends the server answers no more."""
    with serve_git(places.server, user="alice", password="secret-word") as server:
        make_commit(places, url=server.url)
    done = _push(places, _with_login(server.url, "alice:secret-word"))
    assert done.returncode != 0
    assert "Failed to connect" in done.stderr or "Connection refused" in done.stderr
