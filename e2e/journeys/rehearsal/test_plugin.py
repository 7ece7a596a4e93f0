"""The plugin, as Claude Code and Codex take it from a checkout, and as they are given the next."""

import json
import os
from pathlib import Path

import pytest
from e2e.world.command import Completed, run
from e2e.world.npm_package import SYSTEM, extract_program

from .releases import Release

pytestmark = pytest.mark.nightly  # the programs have 400 MB each


@pytest.fixture
def checkout(releases: tuple[Release, Release], tmp_path: Path) -> Path:
    """Return a person's checkout of the first release."""
    checkout = tmp_path / "checkout"
    run(("git", "clone", "--quiet", str(releases[0].checkout), str(checkout))).succeeded()
    return checkout


def _pull(checkout: Path, release: Release) -> None:
    run(("git", "pull", "--quiet", str(release.checkout), "HEAD"), cwd=str(checkout)).succeeded()


def _call(program: Path, *words: str, cwd: Path) -> Completed:
    """Run it with a home of its own, in which it is new."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(program.parent)}
    return run((str(program), *words), cwd=str(cwd), env=variables, longest_s=120).succeeded()


def test_claude_code_accepts_the_manifests_and_updates_the_plugin(
    releases: tuple[Release, Release], checkout: Path, tmp_path: Path
) -> None:
    """Without a warning; it has the skill, and the command that registers an agent."""
    package = f"@anthropic-ai/claude-code-{SYSTEM}"
    claude = extract_program(tmp_path, package, "claude", tmp_path / "claude")

    def plugin(*words: str) -> str:
        return _call(claude, "plugin", *words, cwd=checkout).stdout

    for manifest in (".", "channels/plugin"):
        plugin("validate", "--strict", manifest)
    plugin("marketplace", "add", "./")
    plugin("install", "airlock@airlock")
    for number, release in enumerate(releases):
        if number:
            _pull(checkout, release)
            plugin("marketplace", "update", "airlock")
            plugin("update", "airlock@airlock")
        details = plugin("details", "airlock")
        assert f"airlock {release.version}\n" in details
        assert "Skills (2)  agent-add, airlock" in details


def test_codex_tells_its_model_of_the_skill(
    releases: tuple[Release, Release], checkout: Path, tmp_path: Path
) -> None:
    """From the same manifests; of a directory it takes the next version when it is added again."""
    package = f"@openai/codex@0.171.0-{SYSTEM}"
    codex = extract_program(tmp_path, package, "bin/codex", tmp_path / "codex")
    _call(codex, "plugin", "marketplace", "add", str(checkout), cwd=checkout)
    for number, release in enumerate(releases):
        if number:
            _pull(checkout, release)
        _call(codex, "plugin", "add", "airlock@airlock", cwd=checkout)
        listed = _call(codex, "plugin", "list", cwd=checkout).stdout
        assert f"installed, enabled  {release.version} " in listed
        said = _call(codex, "debug", "prompt-input", "hello", cwd=checkout).stdout
        assert "- airlock:airlock: Use when a message begins with" in json.dumps(json.loads(said))
