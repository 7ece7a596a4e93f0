"""The daemon ends and starts again under a container that goes on running."""

from e2e.world.scene import Stage

from .errands.errand import Errand
from .errands.git import OwnGit


def test_an_errand_succeeds_after_a_restart(user_stage: Stage, errand: Errand) -> None:
    """The same container can do it before and afterwards; in between it is told what is amiss."""
    scene = errand.open(user_stage)
    before, stopped, between, killed, after = (errand.job(scene) for _ in range(5))
    with errand.setup(scene, "busybox").running() as client:
        before.do(client).succeeded()
        for end, alone, again in (
            (scene.airlock.stop, stopped, between),
            (scene.airlock.kill, killed, after),
        ):
            end()
            failed = alone.do(client)
            # git ends with a status of its own where its transport fails.
            assert failed.exit_code == (128 if isinstance(errand, OwnGit) else 125)
            assert "airlock: " in failed.stderr
            scene.airlock.start()
            again.do(client).succeeded()
    assert all(job.arrived() for job in (before, between, after))
    assert not any(job.arrived() for job in (stopped, killed))
