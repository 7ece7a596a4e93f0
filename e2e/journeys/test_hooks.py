"""Hooks of an agent whose clients are containers."""

import json
import os
import time
from pathlib import Path

from e2e.world.scene import Scene, Stage
from tasks.blocks import list_blocks
from tasks.places import ROOT

from .errands.git import GitOverSsh
from .remotes.wire import WIRES, describe

HOOK = """\
#!/bin/sh
cat >>"$0.seen"
"""


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
    """A scene whose agent has the grant of the page for Claude Code, and the hook that asks."""
    page = list_blocks("docs/how-to/claude-code.md")
    (grant,) = (block.text for block in page if block.text.startswith("[git]\n"))
    place = WIRES["ssh"].place(stage.shared.project.repository)
    assert "git@github.com/acme/app" in grant
    grant = grant.replace("git@github.com/acme/app", place)
    scene = stage.scene(
        profile=f'commands = ["git-remote"]\n{grant}', commands=("git-remote",), start=False
    )
    hooks = stage.account.make_directory(scene.agent.directory / "hooks")
    stage.account.write(
        hooks / "pre-exec", (ROOT / "docs/hooks/ask_a_person.py").read_text(), mode=0o755
    )
    scene.airlock.start()
    return scene


def wait_for_question(scene: Scene) -> Path:
    """The directory of the one question, as soon as it can be answered."""
    until = time.monotonic() + 60
    while not (found := list(scene.agent.directory.glob("questions/*/request"))):
        assert time.monotonic() < until, "nobody was asked"
        os.sched_yield()
    return found[0].parent


def test_a_person_is_asked_before_each_push_of_the_containers_own_git(
    user_stage: Stage, git_ssh_errand: GitOverSsh
) -> None:
    """By the hook and the grant of the documentation; a fetch goes on unasked."""
    scene = open_asking_scene(user_stage)
    repository = scene.project.repository
    url = WIRES["ssh"].url(repository)
    with describe(scene).running() as client:
        client.run("airlock-shim", "--install-git", cwd="/").succeeded()
        client.run("git", "clone", "--quiet", url, "/app", cwd="/").succeeded()
        commit = ("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--allow-empty")
        client.run("git", *commit, "--quiet", "--message=x", cwd="/app").succeeded()
        client.run("git", "config", "alias.status-of", "push origin HEAD:agent/x", cwd="/app")
        assert not (scene.agent.directory / "questions").exists()
        for words, answer in (
            (("push", "origin", "HEAD:agent/x"), "no"),
            (("status-of",), "no"),
            (("push", "origin", "HEAD:agent/x"), "yes"),
        ):
            with client.start("git", *words, cwd="/app") as push:
                asked = wait_for_question(scene)
                text = (asked / "request").read_text()
                (asked / "answer").write_text(f"{answer}\n")
                push.wait()
            lines = text.splitlines()
            assert lines[:2] == ['command: "git-remote"', 'argument: "ssh"']
            assert lines[-2].startswith('argument: "git-receive-pack ')
            assert ("a person at the host said no" in push.heard) == (answer == "no")
            assert (repository.commit("agent/x") is not None) == (answer == "yes")
