"""The daemon ends and starts again under a container that goes on running."""

import pytest
from e2e.world.scene import Stage

from .errands.errand import Errand
from .errands.git import OwnGit


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_errand_succeeds_after_a_restart(user_stage: Stage, errand: Errand, end: str) -> None:
    """The same container can do it before and afterwards; in between it is told what is amiss."""
    scene = errand.open(user_stage)
    before, between, after = (errand.job(scene) for _ in range(3))
    with errand.setup(scene, "busybox").running() as client:
        before.do(client).succeeded()
        getattr(scene.airlock, end)()
        alone = between.do(client)
        # git ends with a status of its own where its transport fails.
        assert alone.exit_code == (128 if isinstance(errand, OwnGit) else 125)
        assert "airlock: " in alone.stderr
        scene.airlock.start()
        after.do(client).succeeded()
    assert before.arrived()
    assert not between.arrived()
    assert after.arrived()
