"""Tests of `admin.cli.wiring`: the values behind every way to write a container down."""

import csv

import msgspec
import pytest

from airlock_daemon.admin.cli.wiring import (
    Mount,
    Wiring,
    begin_words,
    docker_words,
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


def test_of_an_image_that_is_known_the_path_is_kept_behind_the_commands() -> None:
    """They are in a directory of their own then, and else where most images look first."""
    assert MY.environment == {"PATH": "/opt/airlock-commands:/bin:/own"}
    assert MY.mounts == (
        Mount(source="/s/my", target="/run/airlock", read_only=True),
        Mount(source="/shim", target="/opt/airlock-commands/git", read_only=True),
    )
    unknown = Wiring(sockets="/s/my", shim="/shim", commands=("git",), workspaces=())
    assert unknown.environment == {}
    assert unknown.mounts[1].target == "/usr/local/bin/git"


def test_the_words_for_docker_have_a_user_and_a_terminal_where_there_are() -> None:
    """The workspace alone can be written to."""
    begin, *groups = docker_words(MY, user="1:2", directory="/work/sub", has_terminal=True)
    assert begin == ("docker", "run", "-it", "--rm")
    assert groups == [
        ("--user", "1:2"),
        ("--mount", "type=bind,source=/w,target=/work"),
        ("--workdir", "/work/sub"),
        ("--mount", "type=bind,source=/s/my,target=/run/airlock,readonly"),
        ("--mount", "type=bind,source=/shim,target=/opt/airlock-commands/git,readonly"),
        ("--env", "PATH=/opt/airlock-commands:/bin:/own"),
    ]
    begin, *others = docker_words(MY, user=None, directory="/work/sub", has_terminal=False)
    assert begin == ("docker", "run", "-i", "--rm")
    assert others == groups[1:]


def test_the_containers_own_git_reaches_its_remotes_by_the_shim() -> None:
    """Over ssh and https, where the host's git does not stand in front of it."""
    own = Wiring(sockets="/s/my", shim="/shim", commands=("git-remote", "ssh"), workspaces=())
    assert [mount.target for mount in own.mounts] == [
        "/run/airlock",
        "/usr/local/bin/ssh",
        "/usr/local/bin/git-ssh",
        "/usr/lib/git-core/git-remote-https",
        "/usr/libexec/git-core/git-remote-https",
        "/usr/local/libexec/git-core/git-remote-https",
        "/usr/bin/ssh",
    ]
    assert own.environment == {
        "GIT_LFS_SKIP_SMUDGE": "1",
        "CARGO_NET_GIT_FETCH_WITH_CLI": "true",
        "GIT_SSH_COMMAND": "/usr/local/bin/git-ssh",
        "GIT_SSH_VARIANT": "ssh",
    }
    known = msgspec.structs.replace(own, commands=("git-remote",), search_path="/bin")
    assert [mount.target for mount in known.mounts][:5] == [
        "/run/airlock",
        "/opt/airlock-commands/git-ssh",
        "/opt/airlock-commands/git-lfs-agent",
        "/usr/lib/git-core/git-remote-https",
        "/usr/lib/git-core/git-remote-http",
    ]
    both = Wiring(sockets="/s/my", shim="/shim", commands=("git", "git-remote"), workspaces=())
    targets = ["/run/airlock", "/usr/local/bin/git", "/usr/bin/ssh"]
    assert [mount.target for mount in both.mounts] == targets
    assert both.environment == {}


def test_what_begins_with_the_shim_has_it_under_its_own_name() -> None:
    """It is the entrypoint, and gets the words of the container behind its own."""
    begun = msgspec.structs.replace(MY, networks=("none",), exec_options=("--mounted=x",))
    groups = docker_words(begun, user=None, directory="/work", has_terminal=False)
    shim = "/opt/airlock-commands/airlock-shim"
    assert groups[-2:] == [("--network", "none"), ("--entrypoint", shim)]
    assert Mount(source="/shim", target=shim, read_only=True) in begun.mounts
    assert begin_words(begun, ("sh", "-c")) == ("--exec", "--mounted=x", "sh", "-c")
    assert begin_words(MY, ("sh", "-c")) == ("sh", "-c")


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
