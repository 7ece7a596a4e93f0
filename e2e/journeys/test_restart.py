"""The daemon ends and starts again under a container that goes on running."""

import pytest
from e2e.world.scene import Stage

from .errands.errand import Errand


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
