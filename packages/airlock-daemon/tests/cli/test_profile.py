"""`airlock-daemon profile`."""

import json

from commanding import run
from worlds import World


def test_profiles_are_listed_and_shown(world: World) -> None:
    """Name, socket and directory of each agent, and what one may use."""
    (row,) = json.loads(run(world, "profile", "list", "--json").stdout)
    assert row == {"name": "my", "socket": world.socket, "path": str(world.agent)}
    assert run(world, "profile", "list").stdout.split() == ["my", world.socket, str(world.agent)]
    shown = json.loads(run(world, "--json", "profile", "show", "my").stdout)
    assert shown["commands"] == ["sh", "git"]
    assert shown["host"] is True
    assert "host: yes" in run(world, "profile", "show", "my").stdout
    run(world, "profile", "show", "other", status=1)
