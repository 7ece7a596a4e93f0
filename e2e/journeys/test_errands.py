"""Every tool from every kind of container, and only with what the host has."""

import pytest
from e2e.world.own_tools import ENVIRONMENT, own_tools
from e2e.world.scene import Stage

from .errands.errand import Errand, exchanged, put_away

# The daemon's account, the container's user, and its image: with a libc, without one, and with the
# shim alone. Every value stands beside every tool.
CASES = [
    ("root", "someone", "debian"),
    ("user", "daemon", "shim"),
    ("user", "0", "busybox"),
]
SOMEONE = "4711"


@pytest.mark.parametrize(("kind", "who", "image"), CASES)
def test_an_errand_succeeds(
    stages: dict[str, Stage], errand: Errand, kind: str, who: str, image: str
) -> None:
    """What the command is for has come about at the server, and its status is 0."""
    stage = stages[kind]
    scene = errand.scene(stage)
    user = {"daemon": str(stage.account.uid), "someone": SOMEONE}.get(who, who)
    setup = errand.setup(scene, image, user=user)
    job = errand.job(scene)
    if image == "shim":
        job.do_each_alone(setup).succeeded()
    else:
        with setup.running() as client:
            job.do(client).succeeded()
    assert job.arrived()


def test_without_the_hosts_credential_it_fails(stages: dict[str, Stage], errand: Errand) -> None:
    """Airlock adds no power of its own: what is lacking is said."""
    stage = stages["user"]
    scene = errand.scene(stage)
    job = errand.job(scene)
    with errand.setup(scene, "busybox").running() as client, put_away(stage.account, errand):
        failed = job.do(client)
    assert failed.exit_code not in {0, 125, 126, 127}
    assert (errand.told or errand.lacks) in failed.stdout + failed.stderr
    assert not job.arrived()


def test_the_server_refuses_another_credential(stages: dict[str, Stage], errand: Errand) -> None:
    """It looks at what the host shows it: a credential of the same form does not do."""
    stage = stages["user"]
    scene = errand.scene(stage)
    job = errand.job(scene)
    with errand.setup(scene, "busybox").running() as client, exchanged(stage.account, errand):
        failed = job.do(client)
    assert failed.exit_code not in {0, 125, 126, 127}
    assert errand.refused in failed.stdout + failed.stderr
    assert not job.arrived()


def test_without_airlock_the_credential_is_all_that_is_lacking(
    stages: dict[str, Stage], errand: Errand
) -> None:
    """The same command by the container's own tool fails, and with the credential it succeeds."""
    stage = stages["user"]
    scene = errand.scene(stage)
    without, having = errand.job(scene), errand.job(scene)
    with own_tools(scene, home=errand.trusts).running() as client:
        failed = without.do(client, environment=ENVIRONMENT)
    assert failed.exit_code != 0
    assert errand.lacks in failed.stdout + failed.stderr
    assert not without.arrived()
    home = (*errand.trusts, errand.credential)
    with own_tools(scene, home=home).running() as client:
        having.do(client, environment=ENVIRONMENT).succeeded()
    assert having.arrived()
