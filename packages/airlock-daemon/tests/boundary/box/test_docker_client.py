"""What runs in the box of docker: its client and the plugins of the system, and nothing else.

The client is a static program here that executes what it is told to, or Python.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared_fixtures
from airlock_daemon.boundary.command.launcher import find_launcher
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.setup.checking import check_files
from boxing import CLOSED, PYTHON, needs_bubblewrap, write_boxes
from confining import build_confined
from launching import can_build
from running import Daemon
from worlds import World

pytestmark = [
    needs_bubblewrap,
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.skipif(not landlock_version(), reason="needs Landlock"),
    pytest.mark.usefixtures("confined"),
]

RAN = "airlock: airlock-launch: "
"""What the helper says, which is a static program, when it is executed."""
SECRET = "s3cr3t-value"
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
LOADER = next(each for each in LOADERS if os.path.exists(each))
# Whatever the client may be led to by a link or a path, it would read: all that can be found.
SEARCH = """\
import os
SECRET = "s3cr3t" + "-value"
found = []

def look(path, depth):
    try:
        if os.path.isdir(path):
            if depth:
                for name in os.listdir(path):
                    look(os.path.join(path, name), depth - 1)
        elif os.path.isfile(path) and SECRET.encode() in open(path, "rb").read(100000):
            found.append(path)
    except OSError:
        pass

for top in ("/home", "/run", "/tmp", "/etc", "/var", "/dev", "/workspace", "/root"):
    look(top, 6)
for name in ("environ", "mountinfo", "cmdline", "fd/3", "cwd"):
    for number in ("self", "thread-self", "1", str(os.getpid())):
        look(f"/proc/{number}/{name}", 2)
place = os.environ.get("DOCKER_CONFIG", "/run")
print(found, os.listdir("/proc") if place != "/run" else [], place)
print(SECRET in open(place + "/config.json").read() if place != "/run" else None)
"""

mapped = shared_fixtures.mapped


@pytest.fixture
def tool() -> Iterator[Path]:
    """The client, and a helper beside it."""
    with tempfile.TemporaryDirectory(prefix="tool-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        (root / "bin").mkdir()
        shutil.copy(build_confined(), root / "bin" / "tool")
        shutil.copy(find_launcher(), root / "bin" / "helper")
        yield root


@pytest.fixture
def world(mapped: World) -> World:
    """A daemon with boxes and `/workspace`, in which a static program lies; a person's login."""
    shutil.copy(find_launcher(), mapped.workspace / "helper")
    (mapped.workspace / "helper").chmod(0o755)
    (mapped.root / "home" / ".docker").mkdir(parents=True)
    login = f'{{"auths": {{"a.example": {{"auth": "{SECRET}"}}}}}}'
    (mapped.root / "home" / ".docker" / "config.json").write_text(login)
    return mapped


def serve(world: World) -> Daemon:
    """A daemon of that person."""
    home = str(world.root / "home")
    return Daemon(world, environment={"HOME": home, "DOCKER_HOST": "", "DOCKER_CONFIG": ""})


def run(daemon: Daemon, *args: str) -> str:
    """What the client says on both streams."""
    answer = daemon.ask("git", *args, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text() + answer.text("stderr")


@pytest.mark.parametrize("is_bound", [True, False])
def test_nothing_runs_beside_the_client(world: World, tool: Path, is_bound: bool) -> None:
    """Neither the system's programs, nor an agent's, by path, by a loader or out of memory.

    In a closed box, which holds nothing, all of it runs.
    """
    box = CLOSED + ('brokers = ["docker"]\n' if is_bound else f'read = ["{tool}"]\n')
    world.write_module("git", str(tool / "bin" / "tool"), box)
    helper = str(tool / "bin" / "helper")
    with serve(world) as daemon:
        said = {
            words: run(daemon, *words)
            for words in (
                ("run", "none", "/bin/echo", "ran"),
                ("run", "none", "/bin/sh", "-c", "echo ran"),
                ("run", "none", LOADER, "/bin/echo", "ran"),
                ("run", "none", helper),
                ("run", "none", "/workspace/helper"),
                ("memory", "/workspace/helper"),
            )
        }
    for words, each in said.items():
        has_run = each == "ran\n" or each.startswith(RAN)
        assert has_run != is_bound, (words, each)


def test_a_client_with_a_loader_loads_its_own_libraries_alone(world: World) -> None:
    """The loader runs, and finds no other code: neither the system's nor an agent's."""
    world.write_module("git", PYTHON, f'{CLOSED}brokers = ["docker"]\n')
    shutil.copy("/bin/echo", world.workspace / "echo")
    (world.workspace / "echo").chmod(0o755)
    start = (
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    os.dup2(1, 2)\n"
        "    try: os.execv(sys.argv[1], sys.argv[1:])\n"
        "    except OSError as error: print(error.strerror, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    with serve(world) as daemon:
        assert run(daemon, "-Sc", start, "/bin/echo", "ran") == "Permission denied\n"
        assert run(daemon, "-Sc", start, LOADER, PYTHON, "-Sc", "print('ran')") == "ran\n"
        for path in ("/bin/echo", "/workspace/echo"):
            said = run(daemon, "-Sc", start, LOADER, path, "ran")
            assert "failed to map segment" in said, said


def test_nobody_who_is_not_told_comes_upon_the_logins(world: World) -> None:
    """No directory on the way can be listed, /proc says nothing, and each command has another."""
    world.write_module("git", PYTHON, f'{CLOSED}brokers = ["docker"]\n')
    with serve(world) as daemon:
        first, second = (run(daemon, "-Ic", SEARCH).split() for _ in range(2))
    assert (first[:2], first[3]) == (["[]", "[]"], "True")
    assert first[2] != second[2]


def test_the_search_finds_what_can_be_listed(world: World) -> None:
    """So that the test above would see it."""
    (world.workspace / "config.json").write_text(SECRET)
    world.write_module("git", PYTHON, CLOSED)
    with serve(world) as daemon:
        assert "'/workspace/config.json'" in run(daemon, "-Ic", SEARCH)


@pytest.mark.parametrize("place", ["script", "workspace"])
def test_a_client_that_cannot_be_kept_to_is_refused(world: World, tool: Path, place: str) -> None:
    """A script, whose interpreter would run anything, and one by way of a workspace."""
    program = tool / "bin" / "script"
    if place == "script":
        program.write_text("#!/bin/sh\necho ran\n")
        program.chmod(0o755)
    else:
        (world.workspace / "link").symlink_to(tool / "bin" / "tool")
        program.symlink_to(world.workspace / "link")
    world.write_module("git", str(program), f'{CLOSED}brokers = ["docker"]\n')
    with serve(world) as daemon:
        error = daemon.ask("git", cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "programs")
    assert "cannot be kept to docker and its plugins" in error["message"]


def test_landlock_leads_to_no_engine(world: World, tool: Path) -> None:
    """It has no network namespace, and no home of its own."""
    write_boxes(world, mode="landlock")
    world.write_module("git", str(tool / "bin" / "tool"), f'{CLOSED}brokers = ["docker"]\n')
    with serve(world) as daemon:
        error = daemon.ask("git", cwd="/workspace").error
        daemon.stop()
        assert "warning: git: refused, since Landlock makes no box that leads" in daemon.messages()
    assert error["data"]["rule"] == "no-box"
    assert "needs one that bubblewrap makes" in error["message"]
    found = [each.problem for each in check_files(world.locations).findings if each.name == "box"]
    assert found == ["cannot be made by Landlock, so the command is refused"]
