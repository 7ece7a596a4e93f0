"""The pages of docs/grants say the same of each grant, and what `airlock test` says."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from tasks.blocks import PAGES, list_blocks
from tasks.places import ROOT

from airlock_daemon.admin.cli import main

Call = Callable[[Sequence[str], int], str]
"""Calls `airlock` with these words, expects this exit status, and returns what it printed."""

GRANTS = [page for page in PAGES if page.startswith("docs/grants/")]
OF_CALLS = {"docs/grants/docker.md"}
"""An engine's calls are judged when they come: e2e/journeys/test_docker.py types those refused."""
HEADINGS = ["Default", "Widen", "Refused", "What remains"]
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "work",
    "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example:6443"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "work", "context": {"cluster": "c", "user": "u", "namespace": "web"}}],
}


@dataclass(frozen=True, slots=True)
class Example:
    """A line that asks `airlock test`, the lines shown below it, and how it is granted.

    `heading` is that of its section; `widened` is the TOML block above it in *Widen*, else "".
    """

    line: str
    shown: tuple[str, ...]
    heading: str
    widened: str

    @property
    def is_allowed(self) -> bool:
        """Whether the page says so."""
        return any(line.startswith("allowed") for line in self.shown)


@dataclass(frozen=True, slots=True)
class Grant:
    """A page: the lines that make its agent and key, its default tables, and its examples."""

    added: tuple[str, ...]
    tables: tuple[str, ...]
    examples: tuple[Example, ...]


def read_grant(page: str) -> Grant:
    """Read the blocks of a page by its headings."""
    added: list[str] = []
    tables: list[str] = []
    examples: list[Example] = []
    widened = ""
    for block in list_blocks(page):
        heading = _find_heading(page, block.line)
        if block.language == "sh":
            made = ("airlock agent add ", "ssh-keygen ")
            added += [each for each in block.text.splitlines() if each.startswith(made)]
        elif block.language == "toml" and heading == "Default":
            tables.append(block.text)
        elif block.language == "toml":
            widened = block.text
        elif block.language == "text":
            examples += _read_examples(block.text, heading, widened if heading == "Widen" else "")
    return Grant(tuple(added), tuple(tables), tuple(examples))


def _find_heading(page: str, line: int) -> str:
    lines = (ROOT / page).read_text("utf-8").splitlines()[:line]
    return next(each[3:] for each in reversed(lines) if each.startswith("## "))


def _read_examples(text: str, heading: str, widened: str) -> Iterator[Example]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        if line.startswith("airlock test "):
            yield Example(line, tuple(shown), heading, widened)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a person with two projects of GitHub's, and a context of Kubernetes."""
    for name in ("app", "infra"):
        project = tmp_path / "src" / name
        for words in (
            ("init", "--quiet", "--initial-branch=main", str(project)),
            ("-C", str(project), "remote", "add", "origin", f"git@github.com:acme/{name}.git"),
        ):
            subprocess.run(("git", *words), check=True)
    (tmp_path / ".ssh").mkdir(0o700)
    programs = tmp_path / "bin"
    programs.mkdir()
    kubectl = programs / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(_CLUSTER)}\nEND\n")
    kubectl.chmod(0o755)
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(json.dumps(_CLUSTER))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for name in ("KUBECONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "src/app")
    return tmp_path


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, in this process."""

    def call(words: Sequence[str], status: int) -> str:
        monkeypatch.setattr(sys, "argv", ["airlock", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == status, (words, said)
        return said.out

    return call


@pytest.mark.parametrize("page", GRANTS)
def test_a_page_has_the_same_headings(page: str) -> None:
    """In the same order."""
    assert _HEADING.findall((ROOT / page).read_text("utf-8")) == HEADINGS


@pytest.mark.parametrize("page", GRANTS)
def test_what_a_page_says_is_decided_so(page: str, home: Path, call: Call) -> None:
    """By the profile that `agent add` writes, the tables of *Default*, and those of *Widen*.

    What *Widen* allows is refused without its table.
    """
    grant = read_grant(page)
    wanted = {"Default"} if page in OF_CALLS else {"Default", "Widen", "Refused"}
    assert {each.heading for each in grant.examples} == wanted
    for line in grant.added:
        program, *words = shlex.split(line.replace("~", str(home)))
        if program == "airlock":
            call([*words, "--yes"], 0)
        else:
            subprocess.run((program, "-q", *words), check=True)
    (profile,) = (home / ".config/airlock/agents").glob("*/airlock.toml")
    by_default = tomllib.loads(profile.read_text())
    for table in grant.tables:
        by_default = widen(by_default, table)
    for each in grant.examples:
        _, *words = shlex.split(each.line)
        profile.write_text(tomlkit.dumps(by_default))
        if each.heading == "Widen":
            call(words, 1)
            profile.write_text(tomlkit.dumps(widen(by_default, each.widened)))
        assert each.is_allowed == (each.heading != "Refused"), each
        said = call(words, 0 if each.is_allowed else 1)
        assert {*each.shown} <= {*said.splitlines()}, said


def widen(profile: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A profile with the keys of a block in place of its own."""
    merged = dict(profile)
    for name, value in tomllib.loads(text).items():
        is_table = isinstance(value, dict)
        merged[name] = {**merged.get(name, {}), **value} if is_table else value
    return merged
