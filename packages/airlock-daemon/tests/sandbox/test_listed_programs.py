"""What a box with credentials executes where its module lists programs: these and no other."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.command.launcher import find_launcher
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.platform.linux.loading import Loaded, find_loaded
from airlock_daemon.setup.checking import check_files
from boxing import PYTHON, needs_bubblewrap, open_world, write_boxes
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

LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")


@pytest.fixture
def tool() -> Iterator[Path]:
    """A static tool that executes what it is told to, with helpers in a directory beside it."""
    with tempfile.TemporaryDirectory(prefix="tool-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        for name in ("bin", "helpers/deep"):
            (root / name).mkdir(parents=True)
        shutil.copy(build_confined(), root / "bin" / "tool")
        shutil.copy(find_launcher(), root / "helpers" / "helper")
        shutil.copy(find_launcher(), root / "helpers" / "deep" / "helper")
        shutil.copy(find_launcher(), root / "bin" / "unlisted")
        shutil.copy("/bin/echo", root / "helpers" / "dynamic")
        (root / "helpers" / "script").write_text("#!/bin/sh\necho airlock: airlock-launch: \n")
        (root / "helpers" / "script").chmod(0o755)
        yield root


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon with boxes and `/workspace`, in which a static program lies."""
    with open_world() as world:
        write_boxes(world)
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        shutil.copy(find_launcher(), world.workspace / "helper")
        yield world


def write_tool(world: World, program: Path | str, *programs: str) -> None:
    """Have `git` run a program in a holding box with such a list."""
    box = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'
    listed = ", ".join(f'"{each}"' for each in programs)
    held = f'programs = [{listed}]\n[credentials]\nenv.TOKEN = "HOME"\n'
    world.write_module("git", str(program), box + held)


def run(daemon: Daemon, *args: str) -> str:
    """What the tool says on both streams."""
    answer = daemon.ask("git", *args, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text() + answer.text("stderr")


def test_what_is_listed_runs_and_nothing_else_does(world: World, tool: Path) -> None:
    """Neither the system's programs, nor the client's, by path, by a loader or out of memory."""
    helper = tool / "helpers" / "helper"
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/**")
    loader = next(each for each in LOADERS if os.path.exists(each))
    with Daemon(world) as daemon:
        for path in (helper, tool / "helpers" / "deep" / "helper"):
            assert run(daemon, "run", "none", str(path)).startswith(RAN)
        for words in (
            ("run", "none", "/bin/sh", "-c", "echo ran"),
            ("run", "none", loader, "/bin/echo", "ran"),
            ("run", "none", loader, str(helper)),
            ("run", "none", str(tool / "helpers" / "dynamic"), "ran"),
            ("run", "none", str(tool / "helpers" / "script")),
            ("run", "none", str(tool / "bin" / "unlisted")),
            ("run", "none", "/workspace/helper"),
            ("memory", str(helper)),
            ("memory", "/workspace/helper"),
        ):
            assert run(daemon, *words) == "CannotExecute", words


def test_all_of_this_runs_where_everything_may(world: World, tool: Path) -> None:
    """So that the test above would see what is not kept."""
    write_tool(world, tool / "bin" / "tool", "*")
    (world.workspace / "helper").chmod(0o755)
    loader = next(each for each in LOADERS if os.path.exists(each))
    with Daemon(world) as daemon:
        assert run(daemon, "run", "none", "/bin/sh", "-c", "echo ran") == "ran\n"
        assert run(daemon, "run", "none", loader, "/bin/echo", "ran") == "ran\n"
        for words in (
            ("run", "none", str(tool / "bin" / "unlisted")),
            ("run", "none", "/workspace/helper"),
            ("memory", "/workspace/helper"),
        ):
            assert run(daemon, *words).startswith(RAN), words


def test_a_program_with_a_loader_can_be_listed_and_loads_nothing_else(
    world: World, tool: Path
) -> None:
    """Its loader is executed too, and finds no other code: neither the system's nor a client's."""
    dynamic = tool / "helpers" / "dynamic"
    write_tool(world, tool / "bin" / "tool", str(dynamic))
    shutil.copy("/bin/echo", world.workspace / "echo")
    (world.workspace / "echo").chmod(0o755)
    loaded = find_loaded("/bin/echo") or Loaded(None, ())
    shutil.copy(loaded.libraries[0], world.workspace / "lib.so")
    loader = next(each for each in LOADERS if os.path.exists(each))
    with Daemon(world) as daemon:
        assert run(daemon, "run", "none", str(dynamic), "ran") == "ran\n"
        assert run(daemon, "run", "none", loader, str(dynamic), "ran") == "ran\n"
        for words in (("/bin/sh", "-c", "echo ran"), (str(tool / "bin" / "unlisted"),)):
            assert run(daemon, "run", "none", *words) == "CannotExecute", words
        assert run(daemon, "memory", str(dynamic)) == "CannotExecute"
        for words in (
            ("/bin/echo", "ran"),
            ("/usr/bin/python3", "-c", "print('ran')"),
            ("/workspace/echo", "ran"),
            ("--preload", "/workspace/lib.so", str(dynamic), "ran"),
            ("--preload", "/usr/lib/x86_64-linux-gnu/libm.so.6", str(dynamic), "ran"),
        ):
            said = run(daemon, "run", "none", loader, *words)
            assert "failed to map segment" in said or "cannot be preloaded" in said, words


def test_the_tool_itself_may_have_a_loader(world: World, tool: Path) -> None:
    """It runs, with what it lists, and nothing else does."""
    write_tool(world, PYTHON, str(tool / "helpers" / "helper"))
    script = (
        "import subprocess, sys\n"
        "try: print(subprocess.run(sys.argv[1:], capture_output=True, text=True).stderr, end='')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    with Daemon(world) as daemon:
        assert run(daemon, "-Sc", script, str(tool / "helpers" / "helper")).startswith(RAN)
        assert run(daemon, "-Sc", script, "/bin/echo") == "Permission denied\n"


def test_a_file_alone_can_be_listed_by_path_or_name(world: World, tool: Path) -> None:
    """A name is searched on the daemon's PATH, and a file in the home is in the box's own."""
    home = tool / "home"
    (home / ".tool").mkdir(parents=True)
    shutil.copy(find_launcher(), home / ".tool" / "helper")
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/helper", "unlisted", "~/.tool/helper")
    path = f"/usr/bin:/bin:{tool}/bin"
    with Daemon(world, environment={"PATH": path, "HOME": str(home)}) as daemon:
        for program in ("helpers/helper", "bin/unlisted"):
            assert run(daemon, "run", "none", str(tool / program)).startswith(RAN)
        assert run(daemon, "run", "none", "/home/airlock/.tool/helper").startswith(RAN)
        deep = str(tool / "helpers" / "deep" / "helper")
        assert run(daemon, "run", "none", deep) == "CannotExecute"


@pytest.mark.parametrize(
    ("program", "entry", "problem"),
    [
        ("TOOL/helpers/script", "TOOL/helpers/**", 'script" needs an interpreter'),
        ("TOOL/bin/tool", "TOOL/helpers/script", 'script" needs an interpreter'),
        ("TOOL/bin/tool", "no-such-program", "is not an executable on the host"),
        ("TOOL/bin/tool", "TOOL/none/**", "is no directory of the host"),
        ("TOOL/bin/tool", "WORKSPACE/helper", "leads through a workspace"),
        ("TOOL/bin/tool", "TOOL/link/**", "leads through a workspace"),
    ],
)
def test_a_list_that_could_not_be_kept_is_refused(
    world: World, tool: Path, program: str, entry: str, problem: str
) -> None:
    """With what to write instead."""
    (tool / "link").symlink_to(world.workspace / "link")
    (world.workspace / "link").symlink_to(tool / "helpers")
    entry = entry.replace("TOOL", str(tool)).replace("WORKSPACE", str(world.workspace))
    write_tool(world, program.replace("TOOL", str(tool)), entry)
    with Daemon(world) as daemon:
        error = daemon.ask("git", cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "programs")
    assert problem in error["message"], error["message"]
    assert 'programs = [] for the tool alone, or ["*"]' in error["data"]["hint"]


def test_check_tells_what_would_not_run(world: World, tool: Path) -> None:
    """Before a command finds out; of a directory the first file that is no use."""
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/**", "no-such-program")
    found = check_files(world.locations).findings
    assert [each.problem for each in found if each.key == "sandbox.programs"] == [
        f'"{tool}/helpers/dynamic" is no static program, and is not executed',
        '"no-such-program" is not an executable on the host',
    ]
