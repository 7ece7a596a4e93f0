"""Tests of `airlock_daemon.cli.known_paths`: of which paths the profile alone decides."""

import pytest

from airlock_daemon.cli.known_paths import find_undecided
from worlds import World


@pytest.mark.parametrize(
    ("path", "is_undecided"),
    [
        ("sub/x", False),
        ("sub/../x", False),
        ("~root", False),
        ("/dev/null", False),
        ("/workspace", False),
        ("/workspace/a/b", False),
        ("//workspace/./a", False),
        ("/data", False),
        ("{here}/x", False),
        ("/workspace/../etc", True),
        ("/workspaces", True),
        ("/", True),
        ("..", True),
        ("sub/../../x", True),
    ],
)
def test_the_profile_decides_of_what_it_maps_and_of_what_stays_below(
    world: World, path: str, is_undecided: bool
) -> None:
    """The client's directory decides of what climbs, its container's mounts of the rest."""
    here = world.workspace
    world.write_profile(
        f'[workspace]\nmounts = {{ "/workspace" = "{here}", "/data" = "{here}" }}\n'
        f'same_path = ["{here}"]\n'
    )
    path = path.format(here=here)
    assert find_undecided([path], world.load().generations["my"].agent) == (
        (path,) if is_undecided else ()
    )
