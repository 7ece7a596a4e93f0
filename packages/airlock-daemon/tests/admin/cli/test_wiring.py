"""Tests of `admin.cli.wiring`: the values behind every way to write a container down."""

import csv

import msgspec
import pytest

from airlock_daemon.admin.cli.wiring import (
    Mount,
    Wiring,
    list_replaceable,
    list_shims,
)
from worlds import World

MY = Wiring(
    sockets="/s/my",
    shim="/shim",
    commands=("git",),
    workspaces=(Mount(source="/w", target="/work"),),
    search_path="/bin:/own",
)


@pytest.mark.parametrize("path", ["/plain", "/a,b", '/say "hi"', "/two\nlines", "/a=b"])
def test_the_option_of_a_mount_is_one_line_of_csv(path: str) -> None:
    """Whatever its paths are, which is how docker reads it."""
    (fields,) = csv.reader([Mount(source=path, target="/t", read_only=True).option], strict=True)
    assert fields == ["type=bind", f"source={path}", "target=/t", "readonly"]


def test_a_bridge_has_the_sockets_and_the_shim_in_its_volume() -> None:
    """So that containers in a virtual machine need no other path of this host."""
    wiring = msgspec.structs.replace(MY, volume="airlock-1")
    whole, shim = (mount.option for mount in wiring.mounts)
    assert whole == "type=volume,source=airlock-1,volume-nocopy,target=/run/airlock,readonly"
    assert shim == (
        "type=volume,source=airlock-1,volume-nocopy,volume-subpath=airlock-shim,"
        "target=/opt/airlock-commands/git,readonly"
    )


def test_the_images_own_tool_comes_before_one_that_reaches_apis(world: World) -> None:
    """Whose shim comes last in PATH. A module of APIs alone has no shim."""
    world.write_profile(commands='["git", "gh", "anthropic"]')
    agent = world.load().generations["my"].agent
    shims = list_shims(agent, ("sh", "gh", "git", "git-remote", "anthropic"))
    replaceable = list_replaceable(agent, shims)
    assert (shims, replaceable) == (("gh", "git"), ("gh",))
    wiring = msgspec.structs.replace(MY, commands=shims, replaceable=replaceable)
    targets = ["/opt/airlock-host-commands/gh", "/opt/airlock-commands/git"]
    assert [mount.target for mount in wiring.mounts[1:]] == targets
    path = "/opt/airlock-commands:/bin:/own:/opt/airlock-host-commands"
    assert wiring.environment["PATH"] == path
    unknown = msgspec.structs.replace(wiring, search_path=None)
    targets[1] = "/usr/local/bin/git"
    assert [mount.target for mount in unknown.mounts[1:]] == targets
