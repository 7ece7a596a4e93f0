"""A test that hangs fails, says where, and takes no other one along."""

import shutil
import subprocess
import sys
from pathlib import Path

from tasks.places import ROOT

_TESTS = """\
import os
import subprocess
import threading
import trio

async def wait_for_ever():
    await trio.sleep_forever()

async def test_hangs_in_a_task():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_ever)

async def test_follows():
    await trio.sleep(0)

def test_hangs_without_trio():
    threading.Event().wait()

def test_hangs_on_its_way_out():
    reading, _writing = os.pipe()
    with subprocess.Popen(["cat"], stdin=reading):
        threading.Event().wait()

async def test_has_its_own_clock(autojump_clock):
    await trio.sleep(1000)
"""


def test_the_others_go_on(tmp_path: Path) -> None:
    """On trio and without it, the one that hangs fails, and those after it pass."""
    path = tmp_path / "test_hangs.py"
    path.write_text(_TESTS)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    settings = ("-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, "--timeout=1", "-rA", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.partition(" - ")[0].split("::") for line in done.stdout.splitlines()]
    outcomes = {line[1]: line[0].split()[0] for line in lines if len(line) == 2}
    assert outcomes == {
        "test_hangs_in_a_task": "FAILED",
        "test_follows": "PASSED",
        "test_hangs_without_trio": "FAILED",
        "test_hangs_on_its_way_out": "FAILED",
        "test_has_its_own_clock": "PASSED",
    }, done.stdout
    assert "in wait_for_ever" in done.stdout
