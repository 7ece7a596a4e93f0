"""The examples of docs/hooks, as the documentation tells to install them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from running import Daemon, Message
from worlds import World

EXAMPLES = Path(__file__).parents[5] / "docs" / "hooks"

URL = "git@github.com:acme/app.git"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


def install(world: World, example: str, name: str) -> None:
    """Copy an example to where the daemon looks for a hook; `git` says what it is asked."""
    (world.agent / "hooks").mkdir()
    shutil.copy(EXAMPLES / example, world.agent / "hooks" / name)
    world.write_module("git", "/bin/echo")


def test_secrets_are_taken_out_of_output(world: World) -> None:
    """On both streams, in text and in other bytes; the rest stays as it was."""
    install(world, "redact_output.py", "post-exec")
    token = "ghp_" + "a1" * 18
    with Daemon(world) as daemon:
        script = f"echo 'url https://{token}@x/'; echo 'key AKIA{'A' * 16} end' >&2; exit 3"
        answer = daemon.shell(script)
        assert answer.text() == "url https://[redacted]@x/\n"
        assert answer.text("stderr") == "key [redacted] end\n"
        assert answer.exit_code == 3
        answer = daemon.shell(f"printf 'a\\377{token}'; echo '{KEY}' >&2")
        assert answer.text() == "a\ufffd[redacted]"
        assert answer.text("stderr") == "[redacted]\n"
        answer = daemon.shell("echo '-----BEGIN RSA PRIVATE KEY-----'; echo AAAA")
        assert answer.text() == "[redacted]"


@pytest.mark.parametrize("message", ["", "{}", '{"result":{"exit_code":0,"stdout":1}}'])
def test_output_that_cannot_be_looked_at_is_withheld(message: str) -> None:
    """The example never fails, because that would send the output as it was."""
    done = subprocess.run(
        [EXAMPLES / "redact_output.py"], input=message.encode(), capture_output=True, check=True
    )
    result: Message = json.loads(done.stdout)["result"]
    assert (result["exit_code"], result["stdout"]) == (1, "")


def test_remotes_are_pinned(world: World) -> None:
    """A name becomes the URL of the host's owner, and everything else is refused."""
    install(world, "pin_git_remotes.py", "pre-exec")
    good = {
        ("push", "origin", "main"): f"push {URL} main",
        ("-C", "sub", "push", "-q", "origin", "main"): f"-C sub push -q {URL} main",
        ("fetch", "origin"): f"fetch {URL} +refs/heads/*:refs/remotes/origin/*",
        ("commit", "-m", "push"): "commit -m push",
        ("log",): "log",
    }
    bad = (
        ("push",),
        ("push", "evil", "main"),
        ("push", "git@github.com:evil/app.git", "main"),
        ("push", "--repo=evil", "origin"),
        ("push", "origin", "--receive-pack=x"),
        ("fetch", "--multiple", "origin", "evil"),
        ("-c", "remote.origin.url=evil", "push", "origin"),
        ("clone", URL),
        ("remote", "update"),
        (),
    )
    with Daemon(world) as daemon:
        for args, expected in good.items():
            assert daemon.ask("git", *args).text() == f"{expected}\n"
        assert daemon.ask("sh", "-c", "echo other").text() == "other\n"
        for args in bad:
            assert daemon.ask("git", *args).error["data"]["rule"] == "refused"
        raw = {"base64": "/w=="}
        assert daemon.ask("git", "push", raw).error["data"]["rule"] == "refused"  # type: ignore[arg-type]
