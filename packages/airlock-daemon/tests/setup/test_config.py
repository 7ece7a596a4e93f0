"""Tests of `airlock_daemon.setup.config`."""

import logging

import pytest

from airlock_daemon.errors import SetupError
from worlds import World

EXAMPLE = '[commands]\n    enable = ["git-remote", "terraform"]'


def faults(world: World, text: str | None) -> list[str]:
    """What is wrong with a config.toml of this text, or with none."""
    path = world.config / "config.toml"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("text", [None, "", "[commands]\n", "[commands]\nenable = []\n"])
def test_enabling_nothing_is_answered_with_the_lines_to_write(
    world: World, text: str | None
) -> None:
    """Without a file, without the key, and with an empty list."""
    (fault,) = faults(world, text)
    assert "config.toml" in fault
    assert fault.endswith(f"\n    {EXAMPLE}")


@pytest.mark.parametrize("value", ['"git"', "[1]", "true"])
def test_a_value_of_another_type_is_one_fault(world: World, value: str) -> None:
    """That nothing is enabled follows from it, and is not a second one."""
    (fault,) = faults(world, f"[commands]\nenable = {value}\n")
    assert "[commands] enable" in fault
    assert "enables no command" not in fault


def test_a_level_that_is_none_is_ignored_and_told(world: World) -> None:
    """Releases up to v0.4 took any text, so that theirs do not keep this one from starting."""
    world.write_config('[daemon]\nlog_level = "trace"\n')
    setup = world.load()
    assert setup.config.log_level == logging.INFO
    (warning,) = setup.warnings
    assert '[daemon] log_level: "trace" is ignored' in str(warning)


def test_a_path_for_tools_may_begin_at_home(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each of its entries; what is absolute in no way is a fault."""
    monkeypatch.setenv("HOME", "/home/me")
    world.write_config('[daemon]\npath = "/usr/bin:~/bin"\n')
    assert world.load().config.path == "/usr/bin:/home/me/bin"
    (fault,) = faults(world, '[commands]\nenable = ["sh"]\n[daemon]\npath = "bin:/usr/bin"\n')
    assert '[daemon] path: "bin" is not absolute' in fault
