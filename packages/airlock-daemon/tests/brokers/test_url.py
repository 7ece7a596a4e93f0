"""A container's git over https: what it fetches and pushes, and what it is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from url_world import ACCOUNT, Site, making_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server that asks for an account; the agent may push there, but not to main."""
    with making_site(tmp_path) as site:
        site.store_account()
        site.grant('protect = ["refs/heads/main"]\ndelete = true\npush_options = ["ci.skip"]\n')
        with site.running():
            yield site


@pytest.mark.parametrize("streamed", [False, True])
def test_a_branch_goes_there_and_back(site: Site, *, streamed: bool) -> None:
    """Push, list, fetch and clone, on passed pipes and in messages; the log has what was asked."""
    site.streamed = streamed
    pushed = site.git("push", "origin", "HEAD:refs/heads/agent/x")
    assert pushed.returncode == 0, pushed.stderr
    assert "[new branch]      HEAD -> agent/x" in pushed.stderr
    cloned = site.git("clone", "--quiet", "-b", "agent/x", site.url, "copy")
    assert (cloned.returncode, cloned.stderr) == (0, "")
    site.git("update-ref", "-d", "refs/remotes/origin/agent/x")
    fetched = site.git("fetch", "origin")
    assert (fetched.returncode, "agent/x    -> origin/agent/x" in fetched.stderr) == (0, True)
    push, *fetches = site.daemon.records("broker")
    head = site.git("rev-parse", "HEAD").stdout.strip()
    assert push["outcome"] == "allowed"
    assert push["detail"].pop("bytes") > 100
    assert push["detail"] == {
        "destination": site.url.removesuffix(".git"),
        "service": "git-receive-pack",
        "refs": [{"ref": "refs/heads/agent/x", "old": "0" * 40, "new": head}],
    }
    assert {fetch["detail"]["service"] for fetch in fetches} == {"git-upload-pack"}
    assert {record["outcome"] for record in site.daemon.records()} == {"allowed"}
    assert ACCOUNT[1] not in site.world.log.read_text()
