"""The plugin, as Claude Code and Codex take it from this repository."""

import json
import os
from pathlib import Path

import pytest
from e2e.world.command import Completed, run
from e2e.world.npm_package import SYSTEM, extract_program
from e2e.world.wheels import CHECKOUT

pytestmark = pytest.mark.nightly  # the programs have 400 MB each


def _call(program: Path, *words: str) -> Completed:
    """Run it from the checkout, with a home of its own, in which it is new."""
    variables = {"PATH": os.environ["PATH"], "HOME": str(program.parent)}
    done = run((str(program), *words), cwd=str(CHECKOUT), env=variables, longest_s=120)
    return done.succeeded()


def test_claude_code_accepts_the_manifests_and_installs_the_plugin(tmp_path: Path) -> None:
    """Without a warning; it has the skill, and the command that registers an agent."""
    package = f"@anthropic-ai/claude-code-{SYSTEM}"
    claude = extract_program(tmp_path, package, "claude", tmp_path / "claude")
    for manifest in (".", "channels/plugin"):
        _call(claude, "plugin", "validate", "--strict", manifest)
    _call(claude, "plugin", "marketplace", "add", "./")
    _call(claude, "plugin", "install", "airlock@airlock")
    assert "Skills (2)  agent-add, airlock" in _call(claude, "plugin", "details", "airlock").stdout


def test_codex_tells_its_model_of_the_skill(tmp_path: Path) -> None:
    """From the same manifests."""
    package = f"@openai/codex@0.171.0-{SYSTEM}"
    codex = extract_program(tmp_path, package, "bin/codex", tmp_path / "codex")
    _call(codex, "plugin", "marketplace", "add", str(CHECKOUT))
    _call(codex, "plugin", "add", "airlock@airlock")
    prompt = json.dumps(json.loads(_call(codex, "debug", "prompt-input", "hello").stdout))
    assert "- airlock:airlock: Use when a message begins with" in prompt
