"""The host's tools, for an image that has none: they use APIs in boxes that hold no credential."""

import json
import re
import shlex
from collections.abc import Callable

import pytest
from e2e.world.api_services import NPM
from e2e.world.images import Images
from e2e.world.secrets import read_tree

from .place import Place

Run = Callable[..., str]

LOOK = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat ~/.npmrc /run/airlock/* || :; "
"""What a script of a package does to find a credential."""


@pytest.fixture
def run(place: Place, images: Images) -> Run:
    """Type a line in a container that has nothing but a shell."""

    def type_there(line: str) -> str:
        return place.run(line, image=images.busybox, program="sh")

    return type_there


def find_boxes(place: Place, command: str) -> set[str]:
    """The boxes that the log has for a command."""
    log = place.person.account.home / ".local/share/airlock/airlock.log"
    records = map(json.loads, log.read_text().splitlines())
    starts = (each for each in records if each["event"] == "exec-start")
    return {each["sandbox"] for each in starts if each["command"] == command}


def test_gh_reads_and_proposes_and_does_not_merge(place: Place, run: Run, images: Images) -> None:
    """With its own filters, and its own token command, which has nothing to show."""
    line = "gh api user --jq .login; echo $GH_TOKEN; gh auth token; "
    line += "gh pr view 7 -R acme/app --json title --jq .title; "
    line += "gh pr create --title T --body B --head agent/x --base main -R acme/app; "
    line += "gh pr merge 7 -R acme/app --merge 2>&1 || echo failed $?; "
    line += "gh run watch 5 -R acme/app --interval 1 --exit-status >&2; echo ended $?"
    done = place.try_out(line, image=images.busybox, program="sh")
    login, *tokens, title, made, refused = done.succeeded().stdout.splitlines()[:6]
    assert (login, title) == ("ada", "Mend the door")
    assert tokens[0] == tokens[1]
    assert made.endswith("/acme/app/pull/8")
    assert "airlock: " in refused
    assert done.stdout.splitlines()[-2:] == ["failed 1", "ended 0"]
    assert re.search(r"\bgh, npm\b[a-z, ]*: this host's, in a box", done.stderr)
    assert find_boxes(place, "gh") == {"bubblewrap"}


def test_the_images_own_gh_is_preferred(place: Place) -> None:
    """No command is asked of the daemon for it, and `run` says so."""
    done = place.try_out("command -v gh; gh api user --jq .login")
    assert done.succeeded().stdout.split() == ["/usr/bin/gh", "ada"]
    assert "gh, npm: the image's own" in done.stderr
    assert find_boxes(place, "gh") <= {"bubblewrap"}


def test_npm_publishes_and_runs_scripts_that_find_nothing(place: Place, run: Run) -> None:
    """A package's own script looks for the token beside which it is installed."""
    package = {"name": "app", "version": "2.0.0", "scripts": {"postinstall": LOOK}}
    line = f"mkdir box && cd box && echo {shlex.quote(json.dumps(package))} >package.json && "
    line += "npm publish && cd .. && mkdir user && cd user && echo '{}' >package.json && "
    line += "npm install --foreground-scripts --no-audit --no-fund app && ls node_modules"
    said = run(line)
    assert said.endswith("app")
    assert "_authToken=npm_" in said
    assert place.find_leaks(read_tree(place.project.path)) == []
    accounts = {each.account for each in place.asked(NPM)}
    assert accounts <= {"", f"Bearer {place.secrets[NPM]}"}
    assert find_boxes(place, "npm") == {"bubblewrap"}
