"""What a holding box hides: its tool finds it, and nothing that an agent can write leads to it."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared_fixtures
from airlock_daemon.sandbox.bundle import bundle_variables
from boxing import PYTHON, needs_bubblewrap
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

SECRET = "s3cr3t-value"
HIDING = """\
[deny]
args = []
[sandbox]
box = "closed"
programs = []
[credentials.files]
"${TOOL_KEY}" = "~/.tool/key"
"${TOOL_CONFIG}/config.json" = "~/.tool/config"
"~/.tool/state" = "~/.tool/state"
[credentials.env]
TOOL_TOKEN = "TOOL_TOKEN"
"""

# Whatever a tool may be led to by a link or a path, it would read: all that can be found.
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
print(found, os.listdir("/proc"))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of the daemon's user, with what a tool keeps there."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        home = Path(os.path.realpath(folder))
        (home / ".tool").mkdir()
        for name in ("key", "config", "state"):
            (home / ".tool" / name).write_text(SECRET)
        yield home


world = shared_fixtures.mapped


def run(world: World, home: Path, script: str, *, module: str = HIDING) -> str:
    """What a script of Python says in the box of `module`."""
    world.write_module("sh", PYTHON, module)
    with Daemon(world, environment={"HOME": str(home), "TOOL_TOKEN": SECRET}) as daemon:
        answer = daemon.ask("sh", "-I", "-c", script, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text()


def test_a_tool_finds_what_is_hidden_by_its_variables(world: World, home: Path) -> None:
    """Files, a directory that has one, and a home of its own that can be written."""
    said = run(
        world,
        home,
        "import os; e = os.environ; print(open(e['TOOL_KEY']).read(), "
        "open(e['TOOL_CONFIG'] + '/config.json').read(), "
        "open(os.path.expanduser('~/.tool/state')).read()); "
        "open(os.path.expanduser('~/new'), 'w').write('x'); "
        "print(open(os.path.expanduser('~/new')).read())",
    )
    assert said.split() == [SECRET, SECRET, SECRET, "x"]


def test_nobody_who_does_not_know_the_paths_comes_upon_them(world: World, home: Path) -> None:
    """No directory on the way can be listed, and /proc says nothing of variables and files."""
    assert run(world, home, SEARCH).splitlines() == ["[] []"]


def test_without_the_guard_the_search_finds_it(world: World, home: Path) -> None:
    """At paths that are written in a module, and in /proc where everything may be executed."""
    plain = HIDING.replace("${TOOL_KEY}", "~/key").replace("${TOOL_CONFIG}", "~/config")
    assert "/home/airlock/key" in run(world, home, SEARCH, module=plain)
    everything = HIDING.replace("programs = []", 'programs = ["*"]')
    assert "/environ" in run(world, home, SEARCH, module=everything)


def test_the_paths_are_others_for_each_command(world: World, home: Path) -> None:
    """What an agent learns of one is of no use in the next, and a home tells of nothing else."""
    script = "import os, json; print(json.dumps([os.environ[n] for n in ('TOOL_KEY', 'HOME')]))"
    first, second = (json.loads(run(world, home, script)) for _ in range(2))
    assert len({*first, *second}) == 4
    key, kept = (Path(path) for path in first)
    assert key.parent.name != kept.name


def test_a_program_that_brings_its_python_is_told_that_it_has_started(tmp_path: Path) -> None:
    """By its real path, and where its libraries are, beside it or in a directory of its own."""
    program = tmp_path / "dist" / "tool"
    program.parent.mkdir()
    program.write_text("")
    assert bundle_variables(str(program)) == {}
    link = tmp_path / "link"
    link.symlink_to(program)
    inner = program.parent / "_internal"
    inner.mkdir()
    (inner / "base_library.zip").write_text("")
    told = bundle_variables(str(link))
    assert (told["LD_LIBRARY_PATH"], told["_PYI_ARCHIVE_FILE"]) == (str(inner), str(program))
    (program.parent / "base_library.zip").write_text("")
    assert bundle_variables(str(link))["_MEIPASS2"] == str(program.parent)
