"""Pushes and fetches that wait for a person, over ssh."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from git_world import Remote, make_world

from airlock_daemon.boundary.brokers.git.approval import describe_push
from airlock_daemon.boundary.brokers.git.patient_push import WithoutRefs
from airlock_modules import Destination, PushList, RemoteError, RemoteRequest, Update
from approving import approve, begin, reject, wait_for_questions
from commanding import run
from running import Daemon
from worlds import ANY_REF, World

REQUIRE = '[approve]\nrequire = ["git push * refs/heads/release/**"]\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An agent that may push any branch there, but not a release without a person."""
    world = make_world(tmp_path)
    world.write_profile(f'[git]\npush = ["host{tmp_path}/*"]\n{ANY_REF}{REQUIRE}')
    return world


@pytest.fixture
def remote(world: World) -> Iterator[Remote]:
    with Daemon(world) as daemon:
        yield Remote(world, daemon)


@pytest.mark.parametrize(
    "words",
    [
        ("HEAD:refs/heads/x", "HEAD:refs/heads/release/1"),
        ("HEAD:refs/heads/Release/1",),
        ("HEAD:refs/heads/release",),
    ],
)
def test_no_spelling_avoids_the_question(remote: Remote, words: tuple[str, ...]) -> None:
    """Nor other refs in the same push."""
    wait = begin(remote.git, "push", "origin", *words)
    reject(remote.world)
    assert wait().returncode == 1
    assert remote.refs() == []


def test_no_two_pushes_share_what_an_approval_lasts_for() -> None:
    """A blank in a path or an option is no end of it."""

    def scope(path: str, *options: str) -> tuple[str, ...]:
        destination = Destination(scheme="ssh", user="git", host="h", port=None, path=path)
        push = PushList(updates=(Update("0" * 40, "1" * 40, "refs/heads/x"),), options=options)
        asked = RemoteRequest(destination=destination, service="git-receive-pack")
        return describe_push(push, asked).scope

    scopes = [scope("a"), scope("a b"), scope("a", "b"), scope("a", "b c"), scope("a", "b", "c")]
    assert len(set(scopes)) == len(scopes)
    assert scope("a", "c", "b") == scope("a", "b", "c")


async def test_a_remote_without_packets_is_refused() -> None:
    """Python reads more as a number than git writes as a length."""
    for data in (b"-001", b" 01f", b"0_1f", b"0001", b"+004"):
        with pytest.raises(RemoteError):
            await WithoutRefs(_drop_all).take(data)
    passed: list[bytes] = []

    async def write(data: bytes) -> None:
        passed.append(data)

    others = WithoutRefs(write)
    for byte in b"0008abcd0005x0000000eunpack ok\n0000":
        await others.take(bytes([byte]))
    assert b"".join(passed) == b"000eunpack ok\n0000"


async def _drop_all(_data: bytes) -> None:
    """Write nowhere."""


def test_a_fetch_that_was_taken_back_meanwhile_is_refused(remote: Remote) -> None:
    """Before ssh is started."""
    place = f"host{remote.world.root}"
    remote.world.write_profile(
        f'[git]\nfetch = ["{place}/*"]\n[approve]\nrequire = ["git fetch"]\n'
    )
    run(remote.world, "reload")
    wait = begin(remote.git, "fetch", "origin")
    wait_for_questions(remote.world)
    remote.world.write_profile(f'[git]\nfetch = ["{place}/other"]\n')
    run(remote.world, "reload")
    approve(remote.world)
    fetched = wait()
    assert fetched.returncode != 0
    assert "may not fetch from" in fetched.stderr
