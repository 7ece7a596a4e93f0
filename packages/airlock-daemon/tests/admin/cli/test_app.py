"""Tests of `admin.cli.app`: which commands there are, and what is said of wrong usage."""

import os
import subprocess
import sys

import pytest

from airlock_daemon import __version__
from airlock_daemon.admin.cli.app import COMMANDS, load_command
from commanding import Done, airlock_daemon, run
from worlds import World

LOADED = """
import atexit, sys
from airlock_daemon.admin.cli import main
atexit.register(lambda: print(*sys.modules, sep="\\n", file=sys.stderr))
main()
"""


def loaded(*args: str, status: int = 0) -> set[str]:
    """Run `airlock-daemon` with these arguments; return the modules that it had imported."""
    return set(airlock_daemon(*args, status=status, before=("-c", LOADED)).stderr.splitlines())


def commands_among(modules: set[str]) -> set[str]:
    return {name for name in COMMANDS if f"airlock_daemon.admin.cli.{name}" in modules}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_sentence_of_its_help(name: str) -> None:
    """The top level tells it without importing the command; neither drifts from the other."""
    assert load_command(name).help.partition("\n\n")[0] == COMMANDS[name]


def test_help_lists_every_command_and_imports_none() -> None:
    """Each with its whole summary, which fits on a line of 80."""
    done = airlock_daemon("--help")
    for name, summary in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, summary] for line in done.stdout.splitlines())
    assert commands_among(loaded("--help")) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_printed(name: str) -> None:
    """Also with the oldest libraries that the package allows, which `./dev lowest` installs."""
    assert f"airlock {name} " in airlock_daemon(name, "--help").stdout


def test_airlock_is_a_second_name() -> None:
    """Usage and hints say the one by which it was called; its version is in one form for both."""
    code = (
        "import sys; sys.argv[0] = '/x/airlock'; from airlock_daemon.admin.cli import main; main()"
    )
    assert airlock_daemon("log", "--help", before=("-c", code)).stdout.startswith(
        "Usage: airlock log"
    )
    assert airlock_daemon("chek", status=2, before=("-c", code)).stderr.endswith(
        "hint: airlock --help\n"
    )
    assert airlock_daemon("-V", before=("-c", code)).stdout == f"airlock-daemon {__version__}\n"


@pytest.mark.parametrize("words", [("check", "--json"), ("profile", "list"), ("show", "git")])
def test_a_reader_that_has_gone_is_no_fault(world: World, words: tuple[str, ...]) -> None:
    """As in `airlock check --json | head -1`, where the end of it is not wanted."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), *words]
    buffered = {key: each for key, each in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command += ["--agents", str(world.agents_file)]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, env=buffered, check=False
    )
    os.close(writing)
    assert done.stderr == b""


def test_a_command_is_imported_alone_and_without_what_serving_needs(world: World) -> None:
    """Showing a module takes no other command, no event loop and nothing that accepts or runs."""
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    for command in (("show", "git"), ("check",)):
        modules = loaded(*options, *command)
        assert commands_among(modules) == {command[0]}
        assert "trio" not in modules
        for room in ("serving", "request", "command", "connection", "workspace", "audit"):
            assert f"airlock_daemon.{room}" not in modules
    modules = loaded(*options, "log", "tail", status=1)
    assert commands_among(modules) == {"log"}
    assert (
        not {"trio", "airlock_daemon.serving.audit.log", "airlock_daemon.serving.request"} & modules
    )


def test_the_version_is_told_without_the_command_line() -> None:
    """Scripts ask for it often: neither Typer nor a module of a command is loaded."""
    modules = loaded("version")
    assert "typer" not in modules
    assert "msgspec" not in modules


def test_a_plain_start_is_read_without_typer() -> None:
    """Whose memory a daemon would keep for nothing."""
    modules = loaded("--config", "/nowhere", "start", status=1)
    assert "airlock_daemon.serving.daemon.daemon" in modules
    assert not {"typer", "airlock_daemon.admin.cli.app"} & modules


@pytest.mark.parametrize(
    "args", [["version"], ["--version"], ["-V"], ["--json", "--version"], ["--config", "/", "-V"]]
)
def test_the_version_is_told_in_every_way_that_it_is_asked_for(args: list[str]) -> None:
    """As a command and as an option, with and without Typer."""
    assert airlock_daemon(*args).stdout == f"airlock-daemon {__version__}\n"


@pytest.mark.parametrize("name", ["diff", "eject"])
def test_a_command_of_earlier_releases_names_what_replaced_it(name: str) -> None:
    """Whatever stands behind it, as wrong usage."""
    said = wrong(name, "git", "--force").stderr.splitlines()
    assert said[0].startswith(f"airlock: {name} is no command any more: airlock ")
    assert "airlock show NAME" in said[0]


def wrong(*args: str) -> Done:
    return airlock_daemon(*args, status=2)


@pytest.mark.parametrize(
    ("args", "problem", "usage", "hint"),
    [
        (["frobnicate"], "no such command 'frobnicate'", "COMMAND", ""),
        (["chek"], "Did you mean 'check'?", "COMMAND", ""),
        (["--frobnicate", "check"], "no such option: --frobnicate", "COMMAND", ""),
        (
            ["check", "--frobnicate"],
            "no such option: --frobnicate",
            "airlock check",
            "check ",
        ),
        (["test", "my"], "missing argument 'COMMAND'", "COMMAND", "test "),
        (["profile", "show"], "missing argument 'NAME'", "profile show", "profile show "),
        (["check", "more"], "unexpected extra argument", "airlock check", "check "),
    ],
)
def test_wrong_usage_is_told_as_airlocks_own_message(
    args: list[str], problem: str, usage: str, hint: str
) -> None:
    """What was wrong, how it is used, and where to read more; each line is marked, status 2."""
    said = wrong(*args).stderr.splitlines()
    assert all(line.startswith("airlock: ") for line in said)
    assert problem in said[0]
    assert said[1].startswith("airlock: usage: airlock ")
    assert usage in said[1]
    assert said[2] == f"airlock: hint: airlock {hint}--help"


def test_an_option_without_its_value_is_wrong_usage() -> None:
    """Also where Typer does not say which command it was."""
    said = wrong("show", "git", "--agent").stderr.splitlines()
    assert said[0] == "airlock: option '--agent' requires an argument"
    assert said[-1].endswith("--help")


@pytest.mark.parametrize("args", [[], ["profile"], ["agent"], ["log"]])
def test_without_a_command_the_help_is_shown(args: list[str]) -> None:
    """To a person on stderr, and as wrong usage to a script."""
    said = wrong(*args)
    assert said.stdout == ""
    assert said.stderr.startswith("Usage: airlock")
    assert "Commands:" in said.stderr


def test_options_stand_before_a_command_and_after_it(world: World) -> None:
    """Those after it count more."""
    world.write_profile(commands='["sh"]')
    good = "good, with 1 note; agents: my\n"
    assert run(world, "check").stdout.endswith(good)
    config, agents = str(world.config), str(world.agents_file)
    after = ("check", "--config", config, "--agents", agents)
    assert airlock_daemon("--config", "/nowhere", *after).stdout.endswith(good)
    assert airlock_daemon("profile", "--config", config, "list", "--json").stdout == "[]\n"
