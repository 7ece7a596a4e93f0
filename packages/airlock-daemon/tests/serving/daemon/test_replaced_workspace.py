"""An agent that can write above another one's workspace puts something else in its place.

What it wants is a key. The client is one that the daemon cannot see, so that its claim chooses
among the paths of the profile. Each attack gets the key where its guards are off.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import unguarded
from running import Daemon, connect_to, read_answer, request
from worlds import World

CANARY = "canary-9b7e"
STAND_IN = """\
#!/bin/sh
case $1 in
image)
  echo '[{"Id":"sha256:1","Os":"linux","Architecture":"x86_64","Config":{"Cmd":["x"]}}]'
  exit ;;
create) echo made; exit ;;
cp) echo "Could not find the file $2" >&2; exit 1 ;;
rm) exit ;;
esac
for word; do
  case $word in type=bind,source=*) word=${word#*source=}; cat "${word%%,*}/key" ;; esac
done 2>/dev/null
"""
"""A docker whose containers print the key in whatever is mounted."""


@pytest.fixture
def app(world: World) -> Path:
    """The workspace of `part`; that of `mono` is the directory above, and both are registered."""
    app = world.root / "src" / "app"
    app.mkdir(parents=True)
    for name, path in (("part", app), ("mono", app.parent)):
        world.add_agent(name)
        profile = world.agent.with_name(name) / "airlock.toml"
        profile.write_text(f'commands = []\n[workspace]\nsame_path = ["{path}"]\n')
    (world.root / "home").mkdir()
    (world.root / "home" / "key").write_text(CANARY)
    return app


def link(world: World, app: Path) -> None:
    """In mono's container: mv app old; ln -s HOME app."""
    app.rename(app.with_name("old"))
    app.symlink_to(world.root / "home")


def directory(world: World, app: Path) -> None:
    """Where the key is in a directory that it can move: mv app old; mv home app."""
    app.rename(app.with_name("old"))
    (world.root / "home").rename(app)


Swap = Callable[[World, Path], None]

# What each needs off: one guard alone keeps it out.
ATTACKS: list[tuple[Swap, tuple[str, ...]]] = [
    (link, ("links", "nesting", "notes")),
    (directory, ("nesting", "notes")),
]
attacks = pytest.mark.parametrize(("swap", "guards"), ATTACKS, ids=["link", "directory"])


def start(world: World, *guards: str) -> Daemon:
    """A daemon that cannot see its clients, with these guards off."""
    return Daemon(world, program=unguarded.options(*guards, namespace="pid"))


def read_key(world: World, app: Path) -> str:
    """What `part` gets by a command in its workspace, "" where it is not served."""
    with suppress(FileNotFoundError, ConnectionRefusedError):
        socket = Path(world.locations.sockets_dir) / "part" / "airlock.sock"
        with connect_to(socket) as connection:
            connection.sendall(request("sh", "-c", "cat key", cwd=str(app)))
            return read_answer(connection).text()
    return ""


def find_inner(daemon: Daemon) -> int:
    """The daemon itself, inside of its namespace."""
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    return int(children.read_text().split()[0])


def reload(daemon: Daemon) -> None:
    """Have it reload by the signal, and wait until it says so."""
    said = daemon.messages().count("reloaded: ")
    os.kill(find_inner(daemon), signal.SIGHUP)
    daemon.wait_until(lambda: daemon.messages().count("reloaded: ") > said)


def attack_by_reload(world: World, app: Path, swap: Swap, *guards: str) -> str:
    with start(world, *guards) as daemon:
        swap(world, app)
        reload(daemon)
        return read_key(world, app)


def attack_by_restart(world: World, app: Path, swap: Swap, *guards: str) -> str:
    with start(world, *guards) as daemon:
        os.kill(find_inner(daemon), signal.SIGTERM)
        daemon.process.wait(30)
    swap(world, app)
    with start(world, *guards):
        return read_key(world, app)


def attack_by_run(world: World, app: Path, swap: Swap, *guards: str) -> str:
    """What a container finds in what docker is told to mount."""
    docker = world.root / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(STAND_IN)
    docker.chmod(0o755)
    with start(world, *guards):
        swap(world, app)
        argv = [sys.executable, *unguarded.options(*guards), "--config", str(world.config)]
        argv += ["--agents", str(world.agents_file), "run", "part", "image", "true"]
        path = f"{docker.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            argv, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        return f"{done.stdout}{done.stderr}"


WAYS = (attack_by_reload, attack_by_restart, attack_by_run)
ways = pytest.mark.parametrize("attack", WAYS)


@attacks
@ways
def test_no_guard_is_the_only_one(
    world: World, app: Path, attack: Callable[..., str], swap: Swap, guards: tuple[str, ...]
) -> None:
    """With all but one off, that one keeps the key; each of them is left in one of the ways."""
    left = guards[WAYS.index(attack) % len(guards)]
    off = [guard for guard in guards if guard != left]
    assert CANARY not in attack(world, app, swap, *off)


@attacks
@ways
def test_without_guards_each_attack_has_the_key(
    world: World, app: Path, attack: Callable[..., str], swap: Swap, guards: tuple[str, ...]
) -> None:
    """So that it is seen to be one."""
    assert CANARY in attack(world, app, swap, *guards)


@pytest.mark.parametrize(
    ("attack", "swap"),
    [(attack_by_reload, link), (attack_by_restart, directory), (attack_by_run, link)],
)
def test_the_key_stays(world: World, app: Path, attack: Callable[..., str], swap: Swap) -> None:
    """With all guards, as it is shipped: the first test has each attack against one of them."""
    assert CANARY not in attack(world, app, swap)


@pytest.fixture
def in_home(world: World) -> Path:
    """A workspace of `part` in its own home, as its `.git` may have had `agent add` write it."""
    app = Path(world.locations.containers_dir) / "homes" / "part" / "r" / "app"
    app.mkdir(parents=True)
    world.add_agent("part")
    profile = world.agent.with_name("part") / "airlock.toml"
    profile.write_text(f'commands = []\n[workspace]\nsame_path = ["{app}"]\n')
    (world.root / "home").mkdir()
    (world.root / "home" / "key").write_text(CANARY)
    return app


OF_LINK, OF_DIRECTORY = ("homes", "links", "notes"), ("homes", "notes")
home_attacks = pytest.mark.parametrize(
    ("attack", "swap", "guards"),
    [
        (attack_by_reload, link, OF_LINK),
        (attack_by_restart, link, OF_LINK),
        (attack_by_run, directory, OF_DIRECTORY),
    ],
)


@home_attacks
def test_a_home_is_no_place_for_a_workspace(
    world: World, in_home: Path, attack: Callable[..., str], swap: Swap, guards: tuple[str, ...]
) -> None:
    """That guard alone keeps the key, which an attack has without it."""
    assert CANARY not in attack(world, in_home, swap, *guards[1:])


@home_attacks
def test_without_guards_what_replaces_a_workspace_in_a_home_is_given_away(
    world: World, in_home: Path, attack: Callable[..., str], swap: Swap, guards: tuple[str, ...]
) -> None:
    """So that it is seen to be an attack."""
    assert CANARY in attack(world, in_home, swap, *guards)
