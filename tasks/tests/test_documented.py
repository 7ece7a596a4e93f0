"""What the documentation shows is what the programs take: commands, options, and files."""

import pwd
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tasks.__main__ import main
from tasks.blocks import PAGES, list_blocks, list_inline
from tasks.places import ROOT

from airlock_daemon.admin.cli.app import COMMANDS, load_command
from airlock_daemon.setup.config import Config
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import parse_profile
from airlock_modules import PRESETS, Fault, parse_module

_DEV = re.compile(r"^\./dev ([a-z-]+)", re.MULTILINE)
_GLOBAL = {"--config", "--sockets", "--agents", "--json", "--help", "-h"}


def find_blocks(language: str) -> list[object]:
    """Each block of that language, by the page that it stands on."""
    return [
        pytest.param(block.text, id=f"{page}-{block.line}")
        for page in PAGES
        for block in list_blocks(page)
        if block.language == language
    ]


@pytest.mark.parametrize("text", find_blocks("toml"))
def test_a_file_that_is_shown_is_read(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the module, profile or configuration that it is a part of, without a fault."""
    found = tomllib.loads(text)
    faults: list[Fault] = []
    box = found.get("sandbox", {})
    if "user" in box:
        # Whoever it is.
        monkeypatch.setattr(pwd, "getpwnam", lambda _: pwd.getpwuid(1))
        text = f'[commands]\nenable = ["git"]\n{text}'
        found = tomllib.loads(text)
    if found.keys() & {"commands", "daemon", "log", "hooks"} and "enable" in str(found):
        path = tmp_path / "config.toml"
        path.write_text(text)
        Config.load(str(path), faults=faults, warnings=faults)
    elif isinstance(found.get("api"), list):
        parse_module(text, name="tracker", source="tracker.toml")
    elif found.keys() & {
        "command",
        "allow",
        "examples",
        "args",
        "exec",
        "sandbox",
    } or "args" in str(found):
        begun = "" if "command" in found else '[command]\nbin = "gh"\n'
        rules = "" if found.keys() & {"allow", "deny"} else '[allow]\nargs = ["pr"]\n'
        parse_module(begun + rules + text, name="gh", source="gh.toml")
    else:
        begun = "" if "commands" in found else "commands = []\n"
        parse_profile(
            begun + text, source="airlock.toml", upper=Limits(), modules=Modules(), faults=faults
        )
    assert faults == []


def test_each_block_about_modules_makes_a_module() -> None:
    """A whole one as it stands; tables put into the whole one above, as the page says."""
    whole, shown = "", 0
    for block in list_blocks("docs/tool/write-a-module.md"):
        if block.language != "toml" or block.text.startswith("# config.toml"):
            continue
        found = tomllib.loads(block.text)
        if "command" in found:
            whole = block.text
            parse_module(whole, name="tool", source=str(block))
        else:
            replaced = {"allow", "deny"} if found.keys() & {"allow", "deny"} else set()
            kept = [
                table
                for table in re.split(r"^(?=\[)", whole, flags=re.MULTILINE)
                if not tomllib.loads(table).keys() & (found.keys() | replaced)
            ]
            parse_module("".join(kept) + block.text, name="tool", source=str(block))
        shown += 1
    assert shown > 10


@pytest.mark.parametrize("text", find_blocks("sh"))
def test_a_command_that_is_shown_is_there(text: str) -> None:
    """With each option that stands before the words of a tool."""
    for line in text.replace("\\\n", " ").splitlines():
        _look_at(shlex.split(line, comments=True))


@pytest.mark.parametrize("page", PAGES)
def test_a_command_in_a_sentence_is_there(page: str) -> None:
    """As one in a block is."""
    for code in list_inline(page):
        if code.startswith("airlock "):
            _look_at(code.replace("|", " ").split())


@pytest.mark.parametrize("page", PAGES)
def test_a_command_of_the_checkout_is_there(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`./dev COMMAND`, in a block or a sentence."""
    assert main(["--help"]) == 0
    known = re.findall("^  ([a-z-]+) ", capsys.readouterr().out, re.MULTILINE)
    shown = [*list_inline(page), *(block.text for block in list_blocks(page))]
    assert {name for code in shown for name in _DEV.findall(code)} <= {*known}


def _look_at(words: list[str]) -> None:
    if words[:1] != ["airlock"]:
        return
    command, rest = _find(words[1:])
    known = {name for each in command.params for name in each.opts} | _GLOBAL
    for word in rest:
        if not word.startswith("-"):
            break
        assert word.partition("=")[0] in known, words


def _find(words: list[str]) -> tuple[Any, list[str]]:
    name, *rest = words
    assert name in COMMANDS, name
    command = load_command(name)
    while getattr(command, "commands", None):
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def test_the_page_of_networks_has_what_the_presets_open() -> None:
    """Each preset in a row, with all of its names, at the port that the page says."""
    text = (ROOT / "docs/everyday/network.md").read_text("utf-8")
    rows = re.findall(r"^\| `(@.*?)` \| (.*) \|$", text, re.MULTILINE)
    listed = {preset: {*re.findall("`(.*?)`", hosts)} for preset, hosts in rows}
    opened = {name: {entry.partition(":")[0] for entry in PRESETS[name]} for name in PRESETS}
    assert listed == opened
    assert {entry.partition(":")[2] for each in PRESETS.values() for entry in each} == {"443"}
