"""Tests of `airlock_daemon.setup.paths`."""

from pathlib import Path

import airlock_daemon
from airlock_daemon.setup.paths import Locations, reserve


def _locate(config: Path, *, sockets: Path, agents: str | None = None) -> Locations:
    return Locations(
        config_dir=str(config), sockets_dir=str(sockets), agents=agents, state_dir="/none"
    )


def test_both_directions_are_refused(tmp_path: Path) -> None:
    """A directory that contains Airlock's files is no workspace, nor one inside of them."""
    config, agent = tmp_path / "home" / "config", tmp_path / "home" / "agent"
    reserved = reserve(
        _locate(config, sockets=config / "sockets"),
        state_dir=str(tmp_path / "no state"),
        log="-",
        agents={"my": str(agent)},
        search_path="",
    )
    assert "contains the configuration" in (reserved.conflict(str(tmp_path)) or "")
    assert 'lies in the directory of agent "my"' in (reserved.conflict(str(agent / "ws")) or "")
    assert reserved.conflict(str(tmp_path / "home" / "configuration")) is None
    assert reserved.conflict("/") is not None


def test_the_installation_is_reserved(tmp_path: Path) -> None:
    """A container that could write the daemon's code would be the daemon."""
    reserved = reserve(
        _locate(tmp_path, sockets=tmp_path),
        state_dir=str(tmp_path / "no state"),
        log="-",
        agents={},
        search_path="",
    )
    package = Path(airlock_daemon.__file__).parent
    assert "installation" in (reserved.conflict(str(package.parent)) or "")


def test_only_what_a_container_has_mounted_may_be_a_home(tmp_path: Path) -> None:
    """It lies in a reserved place; what stands beside it, or contains it, is reserved for all."""
    containers = tmp_path / "config" / "containers"
    reserved = reserve(
        _locate(tmp_path / "config", sockets=tmp_path / "config" / "sockets"),
        state_dir=str(tmp_path / "no state"),
        log="-",
        agents={"nested": str(containers / "homes" / "other" / "agent")},
        search_path="",
    )
    for place in ("homes/my", "homes/my/deep"):
        assert reserved.conflict(str(containers / place), may_be_home=True) is None
        assert "the configuration" in (reserved.conflict(str(containers / place)) or "")
    for place in ("", "homes", "images", "images/x", "etc", "homes/other", "homes/other/agent"):
        said = reserved.conflict(str(containers / place), may_be_home=True)
        assert said is not None, place
    assert reserved.private.conflict(str(containers / "homes" / "my")) is not None


def test_links_to_airlocks_files_do_not_hide_them(tmp_path: Path) -> None:
    """The real place of the configuration counts, not the name it was given by."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    reserved = reserve(
        _locate(tmp_path / "link", sockets=tmp_path / "link" / "sockets"),
        state_dir=str(tmp_path / "no state"),
        log=str(tmp_path / "log" / "airlock.log"),
        agents={},
        search_path="",
    )
    assert reserved.conflict(str(real / "inside")) is not None
    assert "audit log" in (reserved.conflict(str(tmp_path / "log")) or "")


def test_where_programs_are_taken_from_is_reserved(tmp_path: Path) -> None:
    """A container that has a directory of the PATH mounted could put a tool of its own there."""
    (tmp_path / "link").symlink_to(tmp_path / "app" / "venv" / "bin")
    reserved = reserve(
        _locate(Path("/nowhere"), sockets=Path("/nowhere")),
        state_dir=str(tmp_path / "no state"),
        log="-",
        agents={},
        search_path=f"/usr/bin:{tmp_path}/link",
    )
    assert "of the daemon's PATH" in (reserved.conflict(str(tmp_path / "app")) or "")
    assert reserved.conflict(str(tmp_path / "other")) is None


def test_what_says_who_is_an_agent_and_what_hooks_run_is_reserved(tmp_path: Path) -> None:
    """Wherever it lies: a container that could write it would choose agents, and programs."""
    reserved = reserve(
        Locations(
            config_dir="/nowhere",
            sockets_dir="/nowhere",
            agents=str(tmp_path / "registered" / "agents.toml"),
            state_dir="/none",
        ),
        state_dir=str(tmp_path / "no state"),
        log="-",
        agents={"my": str(tmp_path / "my")},
        hooks={"my": (str(tmp_path / "my" / "own"), str(tmp_path / "hooks" / "pre"))},
        search_path="",
    )
    assert "the registration file" in (reserved.conflict(str(tmp_path / "registered")) or "")
    assert 'a hook of agent "my"' in (reserved.conflict(str(tmp_path / "hooks")) or "")
