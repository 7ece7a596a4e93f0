"""The daemon ends and starts again under a container that goes on running."""

import pytest
from e2e.world.command import Completed
from e2e.world.scene import Stage

from .errands.errand import Errand
from .remotes.ground import ENVIRONMENT
from .remotes.wire import WIRES, describe

PUSH = "cd /tmp/work && git commit --quiet --allow-empty --message={0} && git push {1} HEAD:{0}"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_errand_succeeds_after_a_restart(user_stage: Stage, errand: Errand, end: str) -> None:
    """The same container can do it before and afterwards; in between it is told what is amiss."""
    scene = user_stage.open_workshop()
    before, between, after = (errand.job(scene) for _ in range(3))
    with scene.setup(scene.images.busybox).running() as client:
        before.do(client).succeeded()
        getattr(scene.airlock, end)()
        alone = between.do(client)
        assert alone.exit_code == 125
        assert alone.stderr.startswith("airlock: ")
        scene.airlock.start()
        after.do(client).succeeded()
    assert before.arrived()
    assert not between.arrived()
    assert after.arrived()


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_containers_own_git_pushes_after_a_restart(
    user_stage: Stage, wire: str, end: str, request: pytest.FixtureRequest
) -> None:
    """Without a daemon it pushes nothing, and shows why."""
    request.getfixturevalue(WIRES[wire].errand)
    scene = WIRES[wire].scene(user_stage)
    repository = scene.project.repository
    with describe(scene).running() as client:

        def push(branch: str) -> Completed:
            script = PUSH.format(f"refs/heads/{branch}", WIRES[wire].url(repository))
            return client.run("sh", "-euc", script, cwd="/", env=ENVIRONMENT)

        client.run("airlock-shim", "--install-git", cwd="/").succeeded()
        client.run("git", "init", "--quiet", "/tmp/work", cwd="/").succeeded()
        push("before").succeeded()
        getattr(scene.airlock, end)()
        alone = push("between")
        assert alone.exit_code == 128
        assert "airlock: " in alone.stderr
        scene.airlock.start()
        push("after").succeeded()
    found = [repository.commit(branch) is not None for branch in ("before", "between", "after")]
    assert found == [True, False, True]
