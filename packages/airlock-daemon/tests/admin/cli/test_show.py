"""`airlock show`: what it prints, used as an override."""

import json

import pytest

from airlock_modules import (
    builtin_names,
    builtin_security,
    builtin_text,
    parse_module,
)
from commanding import run
from worlds import UNSAID, World


@pytest.mark.parametrize("name", builtin_names())
def test_show_prints_a_valid_override(world: World, name: str) -> None:
    """What is shown can be put into commands/ as it is."""
    text = run(world, "show", name).stdout
    parse_module(text, name=name, source="test")


def test_show_for_an_agent_prints_its_override(world: World) -> None:
    """The module that is active for the agent is shown, the built-in one where it has none."""
    assert "/bin/sh" in run(world, "show", "sh", "--agent", "my").stdout
    assert run(world, "show", "git", "--agent", "my").stdout == run(world, "show", "git").stdout
    run(world, "show", "sh", status=1)
    run(world, "show", "git", "--agent", "other", status=1)


def test_show_for_an_agent_prints_the_hosts_module_where_it_has_none(world: World) -> None:
    """Which is active for it; without an agent the built-in one is shown, to begin with."""
    world.write_shared_module("git", "/bin/shared-git")
    world.write_shared_module("sh", "/bin/shared-sh")
    assert "/bin/shared-git" in run(world, "show", "git", "--agent", "my").stdout
    assert "/bin/shared" not in run(world, "show", "sh", "--agent", "my").stdout
    assert run(world, "show", "git").stdout == builtin_text("git")


@pytest.mark.parametrize(
    ("name", "more", "box"),
    [
        ("sh", UNSAID, "refused: {source} names no [sandbox] box"),
        (
            "sh",
            '[sandbox]\nbox = "home"\n',
            "home (unprotected): it can read and send away every credential in your home",
        ),
        ("git", UNSAID, "closed"),
    ],
)
def test_the_box_of_a_module_that_a_person_wrote_is_told(
    world: World, name: str, more: str, box: str
) -> None:
    """In a comment before it, since the file may say nothing of it; it stays a valid module."""
    world.write_module(name, f"/bin/{name}", f"[deny]\nargs = []\n{more}")
    source = world.agent / "commands" / f"{name}.toml"
    shown = run(world, "show", name, "--agent", "my").stdout
    assert shown == f"# sandbox: {box.format(source=source)}\n{source.read_text()}"
    parse_module(shown, name=name, source="test")


def test_programs_are_told_where_a_module_is_from(world: World) -> None:
    """With --json there is its source beside the text."""
    told = json.loads(run(world, "show", "sh", "--agent", "my", "--json").stdout)
    source = world.agent / "commands" / "sh.toml"
    assert told == {
        "command": "sh",
        "source": str(source),
        "sandbox": "off: it runs on the host as the daemon's user",
        "toml": source.read_text(),
    }
    assert json.loads(run(world, "show", "git", "--json").stdout)["toml"] == builtin_text("git")


@pytest.mark.parametrize("name", builtin_names())
def test_what_a_module_covers_is_told(world: World, name: str) -> None:
    """Its SECURITY.md as it stands, which is a page of the documentation too."""
    assert run(world, "show", name, "--security").stdout == builtin_security(name)
    told = json.loads(run(world, "show", name, "--security", "--json").stdout)
    assert told == {
        "command": name,
        "source": f"built-in module {name}",
        "security": builtin_security(name),
    }


def test_of_a_module_that_a_person_wrote_nothing_is_promised(world: World) -> None:
    """What holds of the built-in one need not hold of what stands in its place."""
    world.write_shared_module("git", "/bin/shared-git")
    said = run(world, "show", "git", "--agent", "my", "--security", status=1).stderr
    assert "is of its built-in module, and this agent has" in said
    assert "airlock check" in said
    assert run(world, "show", "ssh", "--agent", "my", "--security").stdout
    assert "there is no module for sh" in run(world, "show", "sh", "--security", status=1).stderr
