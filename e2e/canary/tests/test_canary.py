"""Every attack on the brokers, and whether each could have worked."""

import pytest
from e2e.canary.attack import GUARANTEES, Family, select
from e2e.canary.catalogue import FAMILIES
from e2e.canary.families import servers, signing, urls
from e2e.canary.run import Told, carry_out, list_surprises, say_tried
from e2e.world import engine
from e2e.world.need import need
from e2e.world.openssh import RELEASES, OpenSsh

ATTACKS = [attack for family in FAMILIES if family.why_not() is None for attack in family.attacks]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_nothing_leaks(family: Family, told: Told) -> None:
    """No canary reaches a client, nothing changes on host or server, and nothing is left."""
    need(family.why_not())
    results = carry_out(family.attacks)
    told(f"{family.name}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("which", RELEASES)
def test_nothing_leaks_with_other_releases_of_openssh(which: str, alone: None, told: Told) -> None:
    """The oldest and the newest ssh and sshd that can be had, with the git of their time."""
    need(engine.why_not())
    openssh = OpenSsh.make(which)
    # Of these no ssh is asked; an old ssh-keygen signs nothing.
    others = {*urls.FAMILY.attacks, *servers.FAMILY.attacks, *signing.FAMILY.attacks}
    results = carry_out([each for each in ATTACKS if each not in others], openssh=openssh)
    told(f"{openssh.version}: {say_tried(results)}")
    assert list(list_surprises(results)) == []


@pytest.mark.parametrize("guard", GUARANTEES)
def test_attacks_work_where_their_guard_is_off(guard: str, told: Told) -> None:
    """An attack that could not succeed would test nothing."""
    # A few of each hundred: `./dev canary --without each` has all of them.
    chosen = select(ATTACKS, guard)[::4]
    assert chosen
    results = carry_out(chosen, without=guard)
    told(f"without {guard}: {len(results)} attacks tried, all have to leak")
    assert [result.attack.name for result in results if not result.leaks] == []
