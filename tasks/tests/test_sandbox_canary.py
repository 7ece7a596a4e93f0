"""The canary for any sandbox, without one: what is a verdict, and what says nothing."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tasks.places import ROOT

CANARY = ROOT / "docker" / "canary" / "canary.py"
END = json.dumps({"probe": "end", "what": "", "data": ""})


def try_it(home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run `canary.py try`, with a program of Python in the place of a sandbox."""
    argv = [sys.executable, str(CANARY), "try", f"--home={home}", "--", *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_what_comes_out_is_told(tmp_path: Path) -> None:
    """In the form of the attack's lines; silence is a pass if the attack ended."""
    shown = "import os; print(os.environ['GITHUB_TOKEN'][::-1])"
    told = try_it(tmp_path / "a", sys.executable, "-c", f"{shown}; print('{END}')")
    assert (told.returncode, "CAME OUT: $GITHUB_TOKEN" in told.stdout) == (1, True)
    silent = try_it(tmp_path / "b", sys.executable, "-c", f"print('{END}')")
    assert (silent.returncode, "22 planted, 0 came out" in silent.stdout) == (0, True)


@pytest.mark.parametrize("command", [["/no/such/sandbox"], [sys.executable, "-c", ""]])
def test_an_attack_that_was_not_carried_out_is_no_verdict(
    tmp_path: Path, command: list[str]
) -> None:
    """Neither a pass nor a leak."""
    assert try_it(tmp_path / "home", *command).returncode == 2


def test_a_home_with_credentials_is_refused(tmp_path: Path) -> None:
    """Which is no verdict either."""
    (tmp_path / ".netrc").touch()
    done = try_it(tmp_path, "true")
    assert (done.returncode, "exists already" in done.stdout) == (2, True)


def test_without_proc_the_files_are_read_all_the_same(tmp_path: Path) -> None:
    """A probe that fails is no probe: the attack has not run to its end."""
    (tmp_path / "key").write_text("CANARY")
    words = f"""
import os, sys
sys.path.insert(0, {str(CANARY.parent)!r})
import canary
has_none = lambda path: (_ for _ in ()).throw(FileNotFoundError(path))
canary.os.listdir = has_none
canary.os.walk = lambda top: [({str(tmp_path)!r}, [], ["key"])]
canary.run_tools = canary.write_wishes = lambda: None
canary.ask_sockets = {{}}.__getitem__ if sys.argv[1:] else lambda: None
canary.attack()
"""
    for more, ended in ((), True), (("failing",), False):
        argv = [sys.executable, "-B", "-c", words, *more]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        [read] = [row for row in rows if row["probe"] == "files"]
        assert base64.b64decode(read["data"]) == b"CANARY"
        assert (rows[-1]["probe"] == "end") is ended
