"""Tests of `airlock_daemon.setup.generation`, and of the readers that it calls."""

import pytest
from msgspec.structs import replace

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.limits import Limits
from worlds import World


def unserved(world: World, name: str = "my") -> list[str]:
    """The faults that keep one agent from being served."""
    return [str(fault) for fault in world.load().unserved[name].faults]


def faults(world: World) -> list[str]:
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


def test_a_good_configuration_is_read(world: World) -> None:
    """Everything on disk comes back as values, with the documented limits."""
    setup = world.load()
    assert setup.config.enable == ("sh", "git")
    assert setup.generations["my"].agent.directory == str(world.agent)
    assert setup.generations["my"].agent.modules.own["sh"].bin == "/bin/sh"
    limits = setup.generations["my"].agent.profile.limits
    # That of memory is a part of what the host has.
    assert replace(limits, box_memory_mb=Limits().box_memory_mb) == Limits()


def test_faults_of_all_files_show_at_once(world: World) -> None:
    """A fault in config.toml does not hide an agent's; each names file, key and remedy."""
    world.write_config("[daemon]\nlog_level = 3\nshutdown_grace = 3\n")
    world.write_profile('[workspace]\nmounts = { "/w" = "/does/not/exist" }\n')
    world.write_module("sh", "/bin/sh", "[deny]\nargs = []\n[allow]\nargs = []\n")
    found = faults(world)
    assert any("config.toml" in f and "log_level" in f for f in found)
    assert any("shutdown_grace" in f and "shutdown_grace_s" in f for f in found)
    assert any("airlock.toml" in f and "mounts" in f and "/does/not/exist" in f for f in found)
    assert any("sh.toml" in f for f in found)


@pytest.mark.parametrize(
    "table", ["[sandbox]\nmode = 'none'", "[hooks]\ntimeout_s = 0", "[limits]\nrunning = 0"]
)
def test_what_is_not_built_or_out_of_range_is_refused_in_config(world: World, table: str) -> None:
    """A table that this release does not have is an error that names it, never ignored."""
    world.write_config(table + "\n")
    name = table.partition("]")[0].lstrip("[")
    assert any(name in f for f in faults(world))


@pytest.mark.parametrize(
    "line",
    [
        "[aws]\nprofiles = ['a']",
        "[aws]\nregions = ['*']",
        "[terraform]\nproviders = ['hashicorp/aws']",
        "[terraform]\nexec = 'yes'",
        "[docker]\nstrict = true",
        "[credentials.aws]\ncommand = ['x']",
        "[git]\nremotes = ['github.com/a/*']",
        "[git]\nprotocols = ['ext']",
        "[git]\nprotocols = ['file']",
        "[workspace]\nhost = true\nread_only = true",
        "[workspace]\nhost = true\nhide = ['/workspace/.env']",
        "[workspace]\nhide = ['.env']",
        "[workspace]\nmounts = { 'relative' = '/tmp' }",
        "[workspace]\nmounts = { '/a/../b' = '/tmp' }",
        "[workspace]\nsame_path = ['/']",
        "[limits]\nrunning = 65",
        "[env]\nset = { 'A=B' = 'x' }",
        "[wrokspace]\nhost = true",
        "[bridge]\nengine = 'lxc'",
        "[bridge]\nport = 1",
    ],
)
def test_what_is_not_built_or_wrong_is_refused_in_a_profile(world: World, line: str) -> None:
    """Each of these lines of an airlock.toml is a fault that names the file and the key."""
    world.write_profile(line + "\n")
    table = line.partition("]")[0].lstrip("[").partition(".")[0]
    assert any("airlock.toml" in f and table in f for f in faults(world))


def test_a_bridge_is_at_docker_unless_another_engine_is_named(world: World) -> None:
    """And there is none without its table."""
    for text, engine in (
        ("", None),
        ("[bridge]\n", "docker"),
        ("[bridge]\nengine='podman'\n", "podman"),
    ):
        world.write_profile(text)
        assert world.load().generations["my"].agent.profile.bridge == engine


def test_a_profile_without_commands_is_refused(world: World) -> None:
    """Neither an empty file nor one without the key grants anything."""
    (world.agent / "airlock.toml").write_text("\n")
    assert any("is empty" in f for f in faults(world))
    (world.agent / "airlock.toml").write_text("[env]\n")
    assert any("commands" in f and "missing" in f for f in faults(world))


def test_a_workspace_that_holds_the_agents_directory_is_refused(world: World) -> None:
    """A container must not be able to write its own profile."""
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{world.root}" }}\n')
    assert any("cannot be a workspace" in f and "agent" in f for f in unserved(world))


def test_registration_names_and_paths_are_checked(world: World) -> None:
    """Bad names, missing directories and unknown keys are all told."""
    world.agents_file.write_text(
        '["../x"]\npath = "a"\n[b]\npath = "nowhere"\ncolour = "red"\n[c]\n'
    )
    found = faults(world)
    assert any("../x" in f for f in found)
    assert any("nowhere" in f for f in found)
    assert any("colour" in f for f in found)
    assert any("[c] path" in f for f in found)


def test_registered_paths_are_relative_to_the_file(world: World) -> None:
    """The registration file can be moved together with the directories that it names."""
    world.agents_file.write_text('[my]\npath = "agents/my"\n')
    assert world.load().generations["my"].agent.directory == str(world.agent)
