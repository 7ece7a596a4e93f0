"""A workspace that is swapped for something else, again and again, while commands enter it."""

import os
from collections.abc import Callable
from functools import partial

import pytest
import trio

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace import directory
from airlock_daemon.boundary.workspace.directory import enter
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import parse_module
from running import repeated
from worlds import World

TRIES = 2000


@pytest.fixture
def generation(world: World) -> Generation:
    """An agent whose profile maps the workspace; `secret` is what it wants."""
    (world.root / "secret").mkdir()
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    return world.load().generations["my"]


def swap_link(world: World) -> None:
    """There is a link to the secret for a moment."""
    away = world.root / "away"
    world.workspace.rename(away)
    world.workspace.symlink_to(world.root / "secret")
    world.workspace.unlink()
    away.rename(world.workspace)


def swap_directory(world: World) -> None:
    """The secret itself is there for a moment."""
    away, secret = world.root / "away", world.root / "secret"
    world.workspace.rename(away)
    secret.rename(world.workspace)
    world.workspace.rename(secret)
    away.rename(world.workspace)


async def enter_often(world: World, generation: Generation) -> set[int]:
    """The inodes of all directories in which a command would have run; some tries are refused."""
    module = parse_module('[command]\nbin = "sh"\n[deny]\nargs = []\n', name="sh", source="sh")
    found = set()
    for _ in range(TRIES):
        try:
            workspace = await enter(
                str(world.workspace),
                peer=Peer(pid=0, uid=0, kind="unseen"),
                generation=generation,
                module=module,
                containers=Containers(os.defpath),
                lookups=trio.CapacityLimiter(2),
            )
        except Denied:
            continue
        found.add(os.fstat(workspace.descriptor).st_ino)
        workspace.close()
    return found


@pytest.mark.parametrize("swap", [swap_link, swap_directory])
async def test_a_command_runs_in_the_noted_directory_or_not_at_all(
    world: World, generation: Generation, swap: Callable[[World], None]
) -> None:
    """Whenever it is entered."""
    own = world.workspace.stat().st_ino
    with repeated(partial(swap, world), pause=lambda: 0):
        found = await enter_often(world, generation)
    assert found <= {own}


async def test_without_a_comparison_it_runs_in_the_secret(
    world: World, generation: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the race is seen to be one."""
    monkeypatch.setattr(directory, "refuse_replaced", lambda *_: None)
    secret = (world.root / "secret").stat().st_ino
    with repeated(partial(swap_directory, world), pause=lambda: 0):
        assert secret in await enter_often(world, generation)
