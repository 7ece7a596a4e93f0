"""`airlock bridge`: the option that mounts an agent's volume."""

import json

from commanding import run
from worlds import World


def test_the_option_that_mounts_the_volume_is_printed(world: World) -> None:
    """Of a random name, which is the same each time."""
    world.write_profile("[bridge]\n")
    line = run(world, "bridge", "my").stdout
    report = json.loads(run(world, "--json", "bridge", "my").stdout)
    assert line == f"--mount {report['mount']}\n"
    assert report["engine"] == "docker"
    assert report["volume"].startswith("airlock-")
    assert (
        f"type=volume,source={report['volume']},volume-nocopy,target=/run/airlock,readonly" in line
    )


def test_an_agent_without_a_bridge_is_told_how_to_have_one(world: World) -> None:
    """By its profile; no volume is made for it."""
    world.write_profile("")
    refused = run(world, "bridge", "my", status=1)
    assert "agent my has no bridge" in refused.stderr
    assert "[bridge]" in refused.stderr
