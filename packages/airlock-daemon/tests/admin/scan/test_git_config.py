"""Tests of `airlock_daemon.admin.scan.git_config`, which reads what git reads."""

import os
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.admin.scan.git_config import Setting, explain, find_remotes, parse

HARMLESS = """\
[core]
	repositoryformatversion = 0
	filemode = true
	fsmonitor = true
[remote "origin"]
	fetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
	remote = origin
	merge = refs/heads/main
[user]
	name = A Person
[color]
	ui = auto
[gc]
	auto = 0
[maintenance "gc"]
	enabled = false
[submodule "lib"]
	active = true
	url = ssh://git@github.com/acme/lib
	update = rebase
"""
RUN = [
    "core.fsmonitor=/tmp/x",
    "core.hooksPath=.husky",
    "core.sshCommand=ssh -i x",
    "core.gitProxy=x",
    "core.pager=less; x",
    "pager.log=x",
    "core.editor=x",
    "sequence.editor=x",
    "core.askPass=x",
    "core.alternateRefsCommand=x",
    "core.attributesFile=x",
    "core.worktree=/home/me",
    "diff.external=x",
    "diff.a.textconv=x",
    "diff.a.command=x",
    "difftool.a.cmd=x",
    "merge.a.driver=x",
    "mergetool.a.path=x",
    "filter.a.clean=x",
    "filter.a.process=x",
    "alias.st=!x",
    "alias.st=-c core.pager=x log",
    "credential.helper=!x",
    "credential.https://example.com.helper=x",
    "gpg.program=x",
    "gpg.ssh.defaultKeyCommand=x",
    "include.path=x",
    "includeIf.gitdir:/.path=x",
    "remote.o.uploadpack=x",
    "remote.o.receivepack=x",
    "remote.o.vcs=x",
    "remote.o.url=ext::sh -c x",
    "remote.o.pushurl=ext::sh -c x",
    "remote.o.url=/tmp/evil",
    "remote.o.url=../evil",
    "remote.o.url=file:///tmp/evil",
    "branch.main.remote=ext::sh -c x",
    "branch.main.remote=.git/objects/e",
    "branch.main.remote=origin",
    "branch.main.pushRemote=https://example.com/evil",
    "branch.main.mergeOptions=-s evil",
    "remote.pushDefault=.git/objects/e",
    "remote.o.url=https://example.com/evil",
    "remote.o.pushurl=https://example.com/evil",
    "remote.o.push=+refs/heads/agent/x:refs/heads/main",
    "remote.o.fetch=+refs/heads/*:refs/heads/*",
    "remote.o.mirror=true",
    "core.protectHFS=false",
    "gc.recentObjectsHook=x",
    "gc.repackFilterTo=/tmp/x",
    "maintenance.new.setting=x",
    "color.of.tomorrow=x",
    "url.ext::sh -c x .insteadOf=https://github.com/",
    "protocol.ext.allow=always",
    "submodule.a.update=!x",
    "submodule.a.url=ext::sh -c x",
    "interactive.diffFilter=x",
    "sendemail.smtpServer=/x",
    "trailer.a.command=x",
    "tar.a.command=x",
    "hook.a.command=x",
    "browser.a.cmd=x",
    "web.browser=x",
    "init.templateDir=x",
    "lfs.customtransfer.a.path=x",
    "a.setting.of.tomorrow=x",
]
ODD = [
    "[core] fsmonitor = evil # trailing \\\n[user] name = x\n",
    "[user] name = x # \\\n[core] fsmonitor = evil\n",
    '[user] name = "a\\\nb" ; c\n\tfsmonitor = evil\n',
    "[user]\n\tname = a \\\n\tfsmonitor = evil\n[core]\n\tfsmonitor = good\n",
    "[core]fsmonitor=evil\n",
    "[CORE]\n\tFsMonitor=evil\n",
    '[core "x"]\n\tfsmonitor=sub\n[core]\n\tfsmonitor = "a;b#c" d\n',
    '[Diff "A \\"q\\" \\\\ b"]\n\tTextConv = x\n',
    "[alias.sub]\n\tst = !x\n",
    "\ufeff[core]\r\n\tfsmonitor = evil\r\n\tpager\r\n",
    "# [core]\n; fsmonitor = no\n[core]\n# x \\\n fsmonitor = yes-it-is\n",
    '[core]\n\tfsmonitor = a\\tb\\nc\\\\d\\"e\n',
    "[core]\n\tfsmonitor =\n\tpager = \n",
    "[a]\n\tb = 1\n[a] c = 2 \\\n   three\n",
    "[core]\n\tfsmonitor = last line",
    '[core]\n\tworktree = "../out "  \n\tpager = a  " b " ; c\n',
    "[core]\n\tworktree = ../out\x0c\n\tpager = x\xa0\n",
]


def settings_of(text: str) -> list[tuple[str, str]]:
    return [(each.name, each.value) for each in parse(text)]


def test_what_a_fresh_clone_has_is_harmless() -> None:
    """And so are names and colours. Where its remotes are is told, to be noted."""
    address = '[remote "origin"]\n\turl = https://github.com/acme/app\n'
    settings = [*parse(HARMLESS), *parse(address)]
    remotes = find_remotes(settings)
    told = [each for each in settings if explain(each, remotes) is not None]
    assert [each.name for each in told] == ["remote.origin.url"]
    told = [each for each in parse(HARMLESS) if explain(each, remotes) is not None]
    assert told == []


@pytest.mark.parametrize("setting", RUN)
def test_what_runs_something_is_told(setting: str) -> None:
    """Written by git itself; and so is everything that nobody knows to be harmless."""
    name, _, value = setting.partition("=")
    section, _, key = name.rpartition(".")
    top, has_subsection, sub = section.partition(".")
    header = f'[{top} "{sub}"]' if has_subsection else f"[{top}]"
    (found,) = parse(f"{header}\n\t{key} = {value}\n")
    assert explain(found) is not None
    assert found.line == 2


@pytest.mark.parametrize("text", ODD)
def test_it_is_read_as_git_reads_it(text: str, tmp_path: Path) -> None:
    """What git takes for a setting is one here, with the same value: nothing hides in a comment."""
    file = tmp_path / "config"
    file.write_bytes(text.encode())
    listed = subprocess.run(
        ("git", "config", "--file", file, "--null", "--list"),
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout.decode()
    expected = [
        (name, value if has_value else "true")
        for name, has_value, value in (each.partition("\n") for each in listed.split("\0")[:-1])
    ]
    assert [(name, value) for name, value in settings_of(text) if name] == expected


def test_a_line_that_is_no_setting_is_told() -> None:
    """git refuses such a file, or a later one reads it."""
    found = list(parse("[core]\n\t= x\n[core\n\tfsmonitor = x\n"))
    assert [(each.line, each.name) for each in found][:1] == [(2, "")]
    assert all(explain(each) is not None for each in found)
    assert explain(Setting(1, "", "x")) is not None
