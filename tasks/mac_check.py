"""``./dev mac-check``: what a Mac alone can prove, as a report to paste into an issue."""

import argparse
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tasks.environment import Environment, prepare_environment
from tasks.places import ROOT

_SELF_TEST = ("-m", "airlock_daemon", "doctor", "--self-test")

_TESTS = ("packages/airlock-protocol", "packages/airlock-modules")

_TIMEOUT_S = 600.0

# The last lines of a step say what failed.
_MAX_LINES = 60

Step = tuple[str, Sequence[str]]
Ask = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a program; returns its exit status and what it printed."""

_FACTS: Mapping[str, Sequence[str]] = {
    "macOS": ("sw_vers", "-productVersion"),
    "build": ("sw_vers", "-buildVersion"),
    "kernel": ("uname", "-srm"),
    "file system of /": ("diskutil", "info", "/"),
    "open files": ("launchctl", "limit", "maxfiles"),
    "docker": ("docker", "version", "--format", "{{.Client.Version}} {{.Server.Version}}"),
    "engine": ("docker", "info", "--format", "{{.OperatingSystem}} {{.KernelVersion}}"),
}


def run_mac_check(arguments: Sequence[str]) -> int:
    """Run each step, print the report, and return 0 if none has failed, else 1."""
    parser = argparse.ArgumentParser(
        prog="./dev mac-check",
        description="Check on this machine what Linux cannot prove, in about ten minutes, and "
        "print a report. It names versions, and no file, user or host.",
    )
    parser.add_argument("--quick", action="store_true", help="the system's calls alone: seconds")
    options = parser.parse_args(arguments)
    environment = prepare_environment("default")
    has_engine = ask(_FACTS["engine"])[0] == 0
    steps = list_steps(environment, is_quick=options.quick, has_engine=has_engine)
    report, is_good = write_report(steps, ask)
    print(report)
    return 0 if is_good else 1


def list_steps(environment: Environment, *, is_quick: bool, has_engine: bool) -> list[Step]:
    """The steps by name, with the programs that they run; none where an engine is missing."""
    python = str(environment.python)
    steps: list[Step] = [("the system's calls", (python, *_SELF_TEST))]
    if not is_quick:
        steps.append(("protocol and evaluator", (python, "-m", "pytest", "-q", *_TESTS)))
        steps.append(("command line", (python, "-m", "airlock_daemon", "--help")))
        steps.append(("a bridge", (python, "-m", "tasks.mac_bridge") if has_engine else ()))
    return steps


def write_report(steps: Sequence[Step], ask: Ask) -> tuple[str, bool]:
    """Return the report as Markdown, and whether every step that could run ended with 0."""
    lines = ["### `./dev mac-check`", "", "| what | |", "|---|---|"]
    lines += [f"| {name} | {_read_fact(name, words, ask)} |" for name, words in _FACTS.items()]
    lines.append(f"| Python | {platform.python_version()} {platform.machine()} |")
    failed = []
    for name, words in steps:
        if not words:
            lines += ["", f"**{name}: needs an engine**"]
            continue
        status, said = ask(words)
        verdict: Literal["passed", "failed"] = "failed" if status else "passed"
        if status:
            failed.append(name)
        shown = _hide_folder(said).splitlines()[-_MAX_LINES:]
        lines += ["", f"**{name}: {verdict}**", "", "```text", *shown, "```"]
    lines += ["", f"Failed: {', '.join(failed)}" if failed else "Nothing failed."]
    return "\n".join(lines), not failed


def _read_fact(name: str, words: Sequence[str], ask: Ask) -> str:
    status, said = ask(words)
    if status:
        return "not known"
    if name == "file system of /":
        kinds = [line.partition(":")[2] for line in said.splitlines() if "Personality" in line]
        return kinds[0].strip() if kinds else "not known"
    return " ".join(said.split()).replace("|", "/")


def _hide_folder(text: str) -> str:
    """Leave out where the checkout and the home are, which name the user."""
    for folder, shown in ((ROOT, "CHECKOUT"), (Path.home(), "HOME")):
        # Either may be a symlink, and is printed in both ways.
        text = text.replace(str(folder.resolve()), shown).replace(str(folder), shown)
    return text


def ask(
    words: Sequence[str], *, cwd: Path = ROOT, longest_s: float = _TIMEOUT_S
) -> tuple[int, str]:
    """Run a program; return its exit status and what it printed."""
    if shutil.which(words[0]) is None:
        return 127, f"{words[0]} is not installed"
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{words[0]}: no end after {longest_s:.0f} s"
    return done.returncode, done.stdout
