"""Pushes and fetches over https that wait for a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from url_world import Site, making_site

from approving import approve, begin, wait_for_questions
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
