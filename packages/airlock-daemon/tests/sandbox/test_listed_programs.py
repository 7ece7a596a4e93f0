"""What a box with credentials executes where its module lists programs: these and no other."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.command.launcher import find_launcher
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.platform.linux.loading import Loaded, find_loaded
from airlock_daemon.setup.checking import check_files
from boxing import PYTHON, mapped_world, needs_bubblewrap
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
LOADER = next(each for each in LOADERS if os.path.exists(each))


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
    with mapped_world() as world:
        shutil.copy(find_launcher(), world.workspace / "helper")
        yield world


def write_tool(
    world: World, program: Path | str, *programs: str, more: str = "", hidden: str = ""
) -> None:
    """Have `git` run a program in a holding box with such a list.

    `more` are lines of its table, and `hidden` is a file that it holds at a hidden place.
    """
    box = f'[deny]\nargs = []\n[sandbox]\nbox = "closed"\n{more}'
    listed = ", ".join(f'"{each}"' for each in programs)
    held = f'programs = [{listed}]\n[credentials]\nenv.TOKEN = "HOME"\n'
    if hidden:
        held += f'[credentials.files]\n"${{TOOL_KEY}}" = "{hidden}"\n'
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
    with Daemon(world) as daemon:
        for path in (helper, tool / "helpers" / "deep" / "helper"):
            assert run(daemon, "run", "none", str(path)).startswith(RAN)
        for words in (
            ("run", "none", "/bin/sh", "-c", "echo ran"),
            ("run", "none", LOADER, "/bin/echo", "ran"),
            ("run", "none", LOADER, str(helper)),
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
    with Daemon(world) as daemon:
        assert run(daemon, "run", "none", "/bin/sh", "-c", "echo ran") == "ran\n"
        assert run(daemon, "run", "none", LOADER, "/bin/echo", "ran") == "ran\n"
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
    write_tool(world, tool / "bin" / "tool", str(dynamic), more="dynamic = true\n")
    shutil.copy("/bin/echo", world.workspace / "echo")
    (world.workspace / "echo").chmod(0o755)
    loaded = find_loaded("/bin/echo") or Loaded(None, ())
    shutil.copy(loaded.libraries[0], world.workspace / "lib.so")
    with Daemon(world) as daemon:
        assert run(daemon, "run", "none", str(dynamic), "ran") == "ran\n"
        assert run(daemon, "run", "none", LOADER, str(dynamic), "ran") == "ran\n"
        for words in (("/bin/sh", "-c", "echo ran"), (str(tool / "bin" / "unlisted"),)):
            assert run(daemon, "run", "none", *words) == "CannotExecute", words
        assert run(daemon, "memory", str(dynamic)) == "CannotExecute"
        refused: tuple[tuple[str, ...], ...] = (
            ("/bin/echo", "ran"),
            ("/usr/bin/python3", "-c", "print('ran')"),
            ("/workspace/echo", "ran"),
            ("--preload", "/workspace/lib.so", str(dynamic), "ran"),
            ("--preload", "/usr/lib/x86_64-linux-gnu/libm.so.6", str(dynamic), "ran"),
        )
        for each in refused:
            said = run(daemon, "run", "none", LOADER, *each)
            assert "failed to map segment" in said or "cannot be preloaded" in said, each


def test_the_tool_itself_may_have_a_loader(world: World, tool: Path) -> None:
    """It runs, with what it lists, and nothing else does."""
    write_tool(world, PYTHON, str(tool / "helpers" / "helper"), more="dynamic = true\n")
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
        ("TOOL/helpers/script", "TOOL/helpers/**", 'script" is no static program'),
        ("TOOL/bin/tool", "TOOL/helpers/script", 'script" is no static program'),
        # A loader would obey the variables and arguments that an agent chooses.
        ("TOOL/bin/tool", "TOOL/helpers/dynamic", 'dynamic" is no static program'),
        (PYTHON, "TOOL/helpers/**", "is no static program"),
        ("TOOL/bin/tool", LOADER, "is a loader, and no program"),
        (LOADER, "TOOL/helpers/**", "is a loader, and no program"),
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
    shutil.copy(LOADER, tool / "helpers" / "ld.so")
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/**", "no-such-program")
    found = check_files(world.locations).findings
    assert [each.problem for each in found if each.key == "sandbox.programs"] == [
        f'"{tool}/helpers/dynamic" is no static program, and is not executed',
        f'"{tool}/helpers/ld.so" is a loader, and no program',
        '"no-such-program" is not an executable on the host',
    ]


def test_a_person_is_told_of_a_packed_program(world: World, tool: Path) -> None:
    """Its headers are the packer's: what it unpacks may load what it is told to."""
    content = bytearray(Path(find_launcher()).read_bytes())
    content[2048:2052] = b"UPX!"
    for place in ("packed", "helpers/packed"):
        (tool / place).write_bytes(content)
        (tool / place).chmod(0o755)
        write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/helper", f"{tool}/{place}")
        told = [
            each.problem
            for each in check_files(world.locations).findings
            if each.key == "sandbox.programs"
        ]
        assert told == [f'"{tool}/{place}" is packed by UPX, which hides whether it has a loader']


def test_a_person_is_told_of_a_shell_among_the_programs(world: World, tool: Path) -> None:
    """Known by /etc/shells, under whatever name; and in general, since nobody knows them all."""
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/**", "unlisted")
    shells = tool / "shells"
    shells.write_text(f"# shells\n/no/such/shell\n{tool}/bin/link\n")
    (tool / "bin" / "link").symlink_to(tool / "bin" / "unlisted")
    place = f"mount --bind {shells} /etc/shells && exec "
    check = [
        sys.executable,
        "-m",
        "airlock_daemon",
        "check",
        "--config",
        world.locations.config_dir,
    ]
    check += ["--agents", str(world.locations.agents)]
    found = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", place + shlex.join(check)],
        env={"PATH": f"/usr/bin:/bin:{tool}/bin", "HOME": str(tool)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(found.stdout.split())
    assert f'"{tool}/bin/unlisted" is a shell (/etc/shells), which runs what an agent wrote' in said
    assert said.count("/etc/shells") == 1
    assert "unlisted, and a shell, interpreter or busybox among these would run anything" in said


def test_a_listed_program_asks_brokers(world: World, tool: Path) -> None:
    """The stand-in for git's ssh is executed beside the list; it holds nothing and is static."""
    write_tool(world, tool / "bin" / "tool", f"{tool}/helpers/**", more='brokers = ["git"]\n')
    with Daemon(world) as daemon:
        said = run(daemon, "run", "none", "/run/airlock/git-ssh", "host", "git-upload-pack 'x'")
        assert said.startswith("airlock: "), said
        assert run(daemon, "run", "none", "/bin/true") == "CannotExecute"


def test_the_tool_alone_has_no_broker(world: World, tool: Path) -> None:
    """It would have to execute what asks: a person is told before, and the command is refused."""
    write_tool(world, tool / "bin" / "tool", more='brokers = ["git"]\n')
    (fault,) = [e for e in check_files(world.locations).findings if e.key == "sandbox.brokers"]
    assert fault.problem.startswith("cannot be asked, so that the command is refused")
    with Daemon(world) as daemon:
        error = daemon.ask("git", cwd="/workspace").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "programs")
    assert "executes its tool alone, and brokers are asked by other programs" in error["message"]
    assert 'write ["*"] there' in error["data"]["hint"]


def test_a_listed_program_is_at_the_same_path_in_each_box_where_the_home_is_hidden(
    world: World, tool: Path
) -> None:
    """A tool may note in the workspace where one is; its next command finds it there."""
    (tool / "home" / ".plugins").mkdir(parents=True)
    shutil.copy(find_launcher(), tool / "home" / ".plugins" / "plugin")
    (tool / "home" / "key").write_text("key")
    write_tool(world, tool / "bin" / "tool", "~/.plugins/**", hidden="~/key")
    (world.workspace / "noted").symlink_to("/home/airlock/.plugins/plugin")
    with Daemon(world, environment={"HOME": str(tool / "home")}) as daemon:
        for _ in range(2):
            assert run(daemon, "run", "none", "/workspace/noted").startswith(RAN)
