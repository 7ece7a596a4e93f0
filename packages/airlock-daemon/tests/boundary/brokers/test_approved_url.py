"""Pushes and fetches over https that wait for a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from url_world import Site, making_site

from approving import approve, begin, reject, wait_for_questions
from commanding import run

REQUIRE = """[approve]
require = ["git push * refs/heads/agent/asked/**", "git fetch **"]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for an account; fetches and some pushes wait for a person."""
    with making_site(tmp_path) as site:
        site.store_account()
        site.grant(REQUIRE)
        with site.running():
            yield site


@pytest.mark.parametrize("streamed", [False, True])
def test_a_push_arrives_once_it_is_approved(site: Site, *, streamed: bool) -> None:
    """The server is asked for its refs first, and gets the list of updates after the answer."""
    site.streamed = streamed
    wait = begin(site.git, "push", "origin", "HEAD:refs/heads/agent/asked/1")
    (question,) = wait_for_questions(site.world)
    before = len(site.server.requests)
    run(site.world, "approve", question["id"])
    pushed = wait()
    assert pushed.returncode == 0, pushed.stderr
    assert f"airlock: approval {question['id']} is pending" in pushed.stderr
    assert len(site.server.requests) > before
    (record,) = site.daemon.records("broker")
    assert record["approval"]["id"] == question["id"]


def test_a_rejected_push_does_not_arrive(site: Site) -> None:
    """git prints the reason as the remote's words."""
    wait = begin(site.git, "push", "origin", "HEAD:refs/heads/agent/asked/1")
    wait_for_questions(site.world)
    before = len(site.server.requests)
    reject(site.world, "after the freeze")
    pushed = wait()
    assert pushed.returncode == 1
    assert "after the freeze" in pushed.stderr
    assert len(site.server.requests) == before


def test_a_fetch_waits_too(site: Site) -> None:
    """Before the server is asked for anything."""
    assert site.git("push", "origin", "HEAD:refs/heads/agent/x").returncode == 0
    before = len(site.server.requests)
    wait = begin(site.git, "fetch", "origin")
    (question,) = wait_for_questions(site.world)
    assert question["operation"].startswith("git fetch ")
    assert len(site.server.requests) == before
    approve(site.world)
    assert wait().returncode == 0


@pytest.mark.parametrize("revoked", ["place", "command"])
def test_a_fetch_that_was_taken_back_meanwhile_is_refused(site: Site, *, revoked: str) -> None:
    """Nothing is asked of the server."""
    assert site.git("push", "origin", "HEAD:refs/heads/agent/x").returncode == 0
    before = len(site.server.requests)
    wait = begin(site.git, "fetch", "origin")
    wait_for_questions(site.world)
    if revoked == "place":
        place = site.server.url.removeprefix("https://")
        site.world.write_profile(f'[git]\nfetch = ["{place}/other"]\n')
    else:
        site.world.write_profile("", commands='["sh"]')
    run(site.world, "reload")
    approve(site.world)
    fetched = wait()
    assert fetched.returncode != 0
    assert (
        "may not fetch from" in fetched.stderr or 'add "git-remote" to commands' in fetched.stderr
    )
    assert len(site.server.requests) == before
