"""Hooks of an agent whose clients are containers."""

import json

from e2e.world.scene import Stage

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
