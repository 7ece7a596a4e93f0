"""Tools under the filter of boxes: they do what they do without it. Others: e2e/faithful."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from confining import run_filtered
from launching import can_build

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.usefixtures("confined"),
]

# Threads, processes, pairs of sockets, signals, timers, shared memory: what languages are made of.
PYTHON = """
import asyncio, concurrent.futures, multiprocessing, os, signal, sqlite3, subprocess, tempfile

async def main():
    process = await asyncio.create_subprocess_exec("echo", "child", stdout=subprocess.PIPE)
    return (await process.communicate())[0]

if __name__ == "__main__":
    print(asyncio.run(main()))
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-1, -2])))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-3, -4])))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=queue.put, args=("spawned",))
    child.start()
    print(queue.get(), child.join())
    with tempfile.TemporaryDirectory() as folder:
        print(sqlite3.connect(os.path.join(folder, "x")).execute("select 1").fetchall())
    os.kill(os.getpid(), signal.SIGCONT)
    print(os.cpu_count(), os.sched_getaffinity(0), os.nice(1))
"""
NODE = """
const { Worker } = require("worker_threads");
const { execFileSync, spawn } = require("child_process");
console.log(execFileSync("echo", ["child"]).toString());
spawn("cat", ["/etc/passwd"]).stdout.on("end", () => console.log("end"));
new Worker("require('worker_threads').parentPort.postMessage(1)", { eval: true })
  .on("message", () => require("fs").promises.readFile("x").then((text) => console.log(`${text}`)));
"""

SCRIPTS = {
    "python3": "python3 p.py",
    "node": "node n.js",
    "npm": 'echo \'{"name":"n","version":"1.0.0"}\' > package.json; npm pack --offline 2>/dev/null',
    "aws": "aws --version; export AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1; "
    "aws --endpoint-url http://127.0.0.1:1 --region r --no-sign-request s3 ls 2>&1; echo $?",
    "make": "printf 'all: a b\\na b:\\n\\t@echo $@\\n' > Makefile; make -j2 -Otarget | sort",
    "gcc": "echo 'int main(){return 3;}' > a.c; gcc -O2 -pipe a.c; ./a.out; echo $?",
    "flock": "flock x timeout 9 taskset 1 ionice -c 3 sh -c 'ulimit -c 0; ulimit -n 64; ulimit -n'",
}

EACH_RUN = ("python3", "node", "gcc")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same files in them."""
    for name in ("with", "without"):
        (tmp_path / name / "f").mkdir(parents=True)
        for file, text in (("x", "line\n"), ("p.py", PYTHON), ("n.js", NODE)):
            (tmp_path / name / "f" / file).write_text(text)
    return tmp_path / "with" / "f", tmp_path / "without" / "f"


def expect_same(folders: tuple[Path, Path], sockets: str, command: list[str]) -> None:
    """The command says and leaves the same under the filter as without it."""
    expected = subprocess.run(command, cwd=folders[1], capture_output=True, text=True, check=False)
    assert expected.returncode == 0, expected.stderr
    assert expected.stdout
    done = run_filtered(sockets, command, directory=folders[0])
    outcomes = [
        (each.returncode, each.stdout, each.stderr.replace(str(folder), ""))
        for each, folder in ((done, folders[0]), (expected, folders[1]))
    ]
    assert outcomes[0] == outcomes[1]


at_night = pytest.mark.nightly


@pytest.mark.parametrize(
    ("tool", "sockets"),
    [
        *(
            pytest.param(tool, "none", marks=() if tool in EACH_RUN else at_night)
            for tool in SCRIPTS
        ),
        *(pytest.param(tool, "inet_and_udp", marks=at_night) for tool in EACH_RUN[:2]),
    ],
)
def test_tools_do_not_notice(folders: tuple[Path, Path], tool: str, sockets: str) -> None:
    """What needs no network works without a socket, and says the same."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    expect_same(folders, sockets, ["/bin/sh", "-c", SCRIPTS[tool]])
