"""Which credential a push uses: the host's, chosen by the host."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.world.account import Account
from e2e.world.command import run
from e2e.world.home import add_key
from e2e.world.keys import KeyPair
from e2e.world.project import TOOLS
from e2e.world.scene import GIT_SSH, Stage

KEY_CHOSEN = {"GIT_SSH_COMMAND": "ssh -i ~/.ssh/project_a_key"}


def test_a_profile_chooses_the_key(user_stage: Stage) -> None:
    """GIT_SSH_COMMAND in a profile selects that key; another agent goes on with the usual one."""
    chosen = add_key(user_stage.account, "project_a_key")
    user_stage.server.authorize(chosen)
    for environment, key in ((KEY_CHOSEN, chosen), ({}, user_stage.key)):
        scene = user_stage.open_remotes(environment=environment)
        setup = scene.own_git(scene.images.git_alone)
        setup.run("git", "push", "origin", "main").succeeded()
        assert scene.project.repository.commit("main") == scene.project.head()
        assert scene.project.repository.keys_used() == [key.public]


def test_a_daemon_of_root_has_the_ssh_of_a_profile(stages: dict[str, Stage]) -> None:
    """It reaches the server by GIT_SSH_COMMAND, which names another file of ssh's settings."""
    stage = stages["root"]
    try:
        scene = stage.open_remotes()
        setup = scene.own_git(scene.images.debian)
        setup.run("git", "push", "origin", "main").succeeded()
    finally:
        stage.clear()
    assert scene.project.repository.commit("main") == scene.project.head()
    assert scene.project.repository.keys_used() == [stage.key.public]


def test_a_container_cannot_choose_the_key(user_stage: Stage) -> None:
    """It can name one to the shim only, in the words of ssh, and those are refused."""
    scene = user_stage.open_remotes()
    words = f"{GIT_SSH} -i ~/.ssh/project_a_key"
    with scene.own_git(scene.images.debian).running() as client:
        pushed = client.run("git", "push", "origin", "main", env={"GIT_SSH_COMMAND": words})
    assert pushed.exit_code == 128
    assert '"-i" is no option that git gives ssh' in pushed.stderr
    assert scene.project.repository.keys_used() == []


def test_an_ssh_agent_has_the_key(user_stage: Stage) -> None:
    """The one of the profile, whose key is in no file any more; the container hears of none."""
    key = add_key(user_stage.account, "agents_key")
    user_stage.server.authorize(key)
    with _holding(user_stage.account, key) as socket:
        scene = user_stage.open_remotes(environment={"SSH_AUTH_SOCK": str(socket)})
        with scene.own_git(scene.images.debian).running() as client:
            client.run("git", "push", "origin", "main").succeeded()
            said = client.run("git", "-c", "alias.look=!env", "look").succeeded().stdout
    assert scene.project.repository.commit("main") == scene.project.head()
    assert scene.project.repository.keys_used() == [key.public]
    assert "SSH_AUTH_SOCK" not in said


@contextmanager
def _holding(account: Account, key: KeyPair) -> Iterator[Path]:
    """Run an ssh-agent of the account that has a key, whose file is removed."""
    socket = account.home / ".ssh" / "agent"
    environment = {**account.environment(path=TOOLS), "SSH_AUTH_SOCK": str(socket)}

    def call(*argv: str) -> str:
        done = run(argv, cwd="/", env=environment, uid=account.uid, gid=account.gid)
        return done.succeeded().stdout

    # It serves when this returns, and goes on by itself.
    found = re.search(r"SSH_AGENT_PID=([0-9]+)", call("ssh-agent", "-s", "-a", str(socket)))
    assert found is not None
    try:
        call("ssh-add", "-q", str(key.path))
        key.path.unlink()
        yield socket
    finally:
        os.kill(int(found[1]), signal.SIGTERM)
