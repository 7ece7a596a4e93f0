"""What the documentation shows is what the programs take: commands, options, and files."""

import re
import shlex
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.cli.app import COMMANDS, load_command
from airlock_daemon.setup.config import load_config
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import parse_profile
from airlock_modules import Fault, parse_module

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_GLOBAL = {"--config", "--sockets", "--agents", "--json", "--help", "-h"}


def find_blocks(language: str) -> list[object]:
    """Each block of that language, by the page that it stands on."""
    return [
        pytest.param(textwrap.dedent(text), id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (_, found, text) in enumerate(_BLOCK.findall(page.read_text("utf-8")))
        if found == language
    ]


@pytest.mark.parametrize("text", find_blocks("toml"))
def test_a_file_that_is_shown_is_read(text: str, tmp_path: Path) -> None:
    """As the module, profile or configuration that it is a part of, without a fault."""
    found = tomllib.loads(text)
    faults: list[Fault] = []
    if found.keys() & {"commands", "daemon", "log", "hooks"} and "enable" in str(found):
        path = tmp_path / "config.toml"
        path.write_text(text)
        load_config(str(path), faults=faults, warnings=faults)
    elif found.keys() & {"command", "allow", "examples", "args", "exec"} or "args" in str(found):
        begun = "" if "command" in found else '[command]\nbin = "gh"\n'
        rules = "" if found.keys() & {"allow", "deny"} else '[allow]\nargs = ["pr"]\n'
        parse_module(begun + rules + text, name="gh", source="gh.toml")
    else:
        begun = "" if "commands" in found else "commands = []\n"
        parse_profile(
            begun + text, source="airlock.toml", upper=Limits(), modules=Modules(), faults=faults
        )
    assert faults == []


@pytest.mark.parametrize("text", find_blocks("sh"))
def test_a_command_that_is_shown_is_there(text: str) -> None:
    """With each option that stands before the words of a tool."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["airlock-daemon"]:
            continue
        command, rest = _find(words[1:])
        known = {name for each in command.params for name in each.opts} | _GLOBAL
        for word in rest:
            if not word.startswith("-"):
                break
            assert word.partition("=")[0] in known, line


def _find(words: list[str]) -> tuple[Any, list[str]]:
    name, *rest = words
    assert name in COMMANDS, name
    command = load_command(name)
    while getattr(command, "commands", None):
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest
