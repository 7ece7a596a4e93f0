"""The limits of a box, as the kernel holds them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from confining import limit
from launching import can_build

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.usefixtures("confined"),
]


def run_python(script: str, words: list[str], directory: Path) -> str:
    """What a script says that runs with the limits of `words`."""
    command = [*words, sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory)
    return done.stdout


def test_a_file_ends_where_it_was_said(tmp_path: Path) -> None:
    """A write past the limit fails; the tool is told by a signal, which Python ignores."""
    script = """
with open("file", "wb", buffering=0) as file:
    print(file.write(b"x" * 5000))
    try:
        file.write(b"x")
    except OSError as error:
        print(error.strerror)
"""
    assert run_python(script, limit(file_size=4096), tmp_path) == "4096\nFile too large\n"
    assert (tmp_path / "file").stat().st_size == 4096
    command = [*limit(file_size=4096), "/bin/sh", "-c", "exec cat /dev/zero > other"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == -signal.SIGXFSZ


def test_no_core_is_dumped(tmp_path: Path) -> None:
    """Neither as a file nor to a collector, whatever was allowed before."""
    crash = ["/bin/sh", "-c", "kill -SEGV $$"]
    raised = ["/bin/sh", "-c", 'ulimit -c $(ulimit -H -c); exec "$@"', "sh"]
    dumps = []
    for words in (raised, [*raised, *limit()]):
        child = subprocess.Popen([*words, *crash], cwd=tmp_path)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == -signal.SIGSEGV
        dumps.append(os.WCOREDUMP(status))
        for core in tmp_path.iterdir():
            core.unlink()
    if not dumps[0]:
        pytest.skip("nothing dumps a core here")
    assert not dumps[1]


def test_limits_are_hard_and_never_higher_than_they_were(tmp_path: Path) -> None:
    """Soft and hard limits are the same, but for one that was lower already."""
    script = """
import json, resource
names = ("NPROC", "DATA", "FSIZE", "NOFILE", "CORE", "RTPRIO", "NICE")
print(json.dumps([resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names]))
"""
    numbers = {"processes": 5000, "data": 1 << 30, "file_size": 1 << 32, "open_files": 300}
    limits = json.loads(run_python(script, limit(**numbers), tmp_path))
    assert limits == [[number, number] for number in (*numbers.values(), 1, 0, 0)]
    lower = limit(processes=4000, file_size=1 << 31)
    limits = json.loads(run_python(script, lower + limit(**numbers), tmp_path))
    assert limits[0] == [4000, 4000]
    assert limits[2] == [1 << 31, 1 << 31]
