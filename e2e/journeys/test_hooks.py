"""Hooks of an agent whose clients are containers."""

import json

import pytest
from e2e.world.scene import Scene, Stage
from tasks.blocks import list_blocks

from .errands.git import GitOverSsh
from .remotes.wire import WIRES, describe

HOOK = """\
#!/bin/sh
cat >>"$0.seen"
"""


@pytest.mark.linux_only("elsewhere the kernel shows nothing of a container")
def test_a_hook_sees_whose_container_asks_a_broker(
    user_stage: Stage, git_ssh_errand: GitOverSsh
) -> None:
    """The id that the engine has, and the kernel confirms; one is not taken for the other."""
    scene = WIRES["ssh"].scene(user_stage)
    account, folder = scene.airlock.account, scene.agent.directory
    account.make_directory(folder / "hooks")
    account.write(folder / "hooks/pre-exec", HOOK, mode=0o755)
    scene.airlock.stop()
    scene.airlock.start()
    url = WIRES["ssh"].url(scene.project.repository)
    with describe(scene).running() as one, describe(scene).running() as two:
        for client in (one, two):
            client.run("airlock-shim", "--install-git", cwd="/").succeeded()
            client.run("git", "ls-remote", url, cwd="/").succeeded()
    seen = (folder / "hooks/pre-exec.seen").read_text().splitlines()
    params = [json.loads(line)["params"] for line in seen]
    assert [each["container_id"] for each in params] == [one.id, two.id]
    ended = [record for record in scene.airlock.audit() if record["event"] == "exec"]
    assert [record["container_proven"] for record in ended] == [True, True]


def open_asking_scene(stage: Stage) -> Scene:
    """A scene whose agent has the grant of the page for Claude Code, and waits for a person."""
    page = [block.text for block in list_blocks("docs/start/claude-code.md")]
    (grant,) = (text for text in page if text.startswith("[git]\n"))
    (asks,) = (text for text in page if text.startswith("[approve]\n"))
    place = WIRES["ssh"].place(stage.shared.project.repository)
    assert "git@github.com/acme/app" in grant
    grant = grant.replace("git@github.com/acme/app", place)
    return stage.scene(
        profile=f'commands = ["git-remote"]\n{grant}\n{asks}', commands=("git-remote",)
    )


def test_a_person_is_asked_before_each_push_of_the_containers_own_git(
    user_stage: Stage, git_ssh_errand: GitOverSsh
) -> None:
    """By the grant of the documentation; a fetch goes on unasked, and an alias does not."""
    scene = open_asking_scene(user_stage)
    repository = scene.project.repository
    url = WIRES["ssh"].url(repository)
    with describe(scene).running() as client:
        client.run("airlock-shim", "--install-git", cwd="/").succeeded()
        client.run("git", "clone", "--quiet", url, "/app", cwd="/").succeeded()
        commit = ("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--allow-empty")
        client.run("git", *commit, "--quiet", "--message=x", cwd="/app").succeeded()
        client.run("git", "config", "alias.status-of", "push origin HEAD:agent/x", cwd="/app")
        assert scene.airlock.questions.list_open() == []
        for words, answer in (
            (("push", "origin", "HEAD:agent/x"), ("reject", "--reason", "not today")),
            (("status-of",), ("reject",)),
            (("push", "origin", "HEAD:agent/y"), ("approve",)),
        ):
            with client.start("git", *words, cwd="/app") as push:
                if words != ("status-of",):
                    (asked,) = scene.airlock.questions.wait_for()
                    assert " refs/heads/agent/" in asked["operation"]
                    command, *options = answer
                    scene.airlock.run(command, asked["id"], *options).succeeded()
                push.wait()
            is_approved = answer == ("approve",)
            # The alias pushes the same, and is refused without another question.
            assert ("not today" in push.heard) == (not is_approved)
            assert (repository.commit("agent/y") is not None) == is_approved
    assert repository.commit("agent/x") is None
