"""What a client is told at the end of a command in a box, where the tool's own words mislead."""

from collections.abc import Iterator

import pytest

from airlock_daemon.boundary.box.box import Box, System
from airlock_daemon.boundary.box.choice import Boxed, Maker
from airlock_daemon.boundary.command import Bounds, CommandLine, Ended, Identity
from airlock_daemon.serving.request.closing_notes import find_notes
from airlock_daemon.setup.paths import Reserved
from boxing import CLOSED, needs_bubblewrap, open_world, write_boxes
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

_HUMAN = "[user]\n\tname = Ada\n\temail = ada@example.com\n"
_UNSIGNED = "airlock: warning: commits made here are not signed: commit.gpgsign of the host's git"


@pytest.fixture
def world() -> Iterator[World]:
    """A human with a configuration of git, whose agent has git and a shell in boxes."""
    with open_world() as world:
        write_boxes(world)
        (world.root / "home").mkdir()
        (world.root / "home" / ".gitconfig").write_text(_HUMAN)
        world.write_module("sh", "/bin/sh", CLOSED)
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        yield world


def start(world: World) -> Daemon:
    daemon = Daemon(world, environment={"HOME": str(world.root / "home")})
    made = daemon.ask("git", "init", "-q", ".", cwd="/workspace")
    assert made.exit_code == 0, made.messages
    return daemon


def notes(daemon: Daemon, *words: str, command: str = "git", **env: str) -> list[str]:
    """What Airlock adds to that command."""
    answer = daemon.ask(command, *words, cwd="/workspace", features=["env"], env=env)
    lines = answer.text("stderr").splitlines()
    return [line for line in lines if line.startswith("airlock: ")]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["commit", "--allow-empty", "-F", "/tmp/m"], "/tmp/m"),
        (["commit", "--allow-empty", "-F/tmp/m"], "/tmp/m"),
        (["commit", "--allow-empty", "--file=/home/dev/m"], "/home/dev/m"),
        (["apply", "/tmp/p"], "/tmp/p"),
        (["-C", "/root/app", "status"], "/root/app"),
    ],
)
def test_a_path_of_the_container_is_called_that(world: World, words: list[str], path: str) -> None:
    """git says that there is no such file, and there is one where the client looks."""
    with start(world) as daemon:
        (said,) = notes(daemon, *words)
    assert said == (
        f'airlock: "{path}" is a path of the container, and git runs in a box on the host that has '
        "the workspace alone: put the file there, or pass it on standard input"
    )


def test_a_failure_for_another_reason_brings_no_note(world: World) -> None:
    """Nor does a path of the container in a command that ends well, or one in the workspace."""
    world.write_profile(f'[workspace]\nmounts = {{ "/home/dev/app" = "{world.workspace}" }}\n')
    with Daemon(world, environment={"HOME": str(world.root / "home")}) as daemon:
        for words in (["log"], ["apply", "/home/dev/app/none"], ["-C", "/home/dev/app", "none"]):
            answer = daemon.ask("git", *words, cwd="/home/dev/app")
            assert answer.exit_code != 0
            assert "airlock" not in answer.text("stderr")
        answer = daemon.ask("sh", "-c", "exit 0", "/tmp/x", cwd="/home/dev/app")
        assert answer.text("stderr") == ""


@pytest.mark.parametrize("word", ["-S", "-SKEY", "--gpg-sign", "--gpg-sign=KEY"])
def test_signing_is_said_to_need_a_person(world: World, word: str) -> None:
    """gpg only says that it has no key, in words that would have one made in the container."""
    with start(world) as daemon:
        (said,) = notes(daemon, "commit", word, "--allow-empty", "-m", "x")
    assert said.startswith(f'airlock: git in a box has no key to sign with: leave "{word}" out')


def test_tags_too(world: World) -> None:
    """And what is only spelled like it is something else."""
    with start(world) as daemon:
        notes(daemon, "commit", "-q", "--allow-empty", "-m", "x")
        (said,) = notes(daemon, "tag", "-s", "v1", "-m", "x")
        assert "no key to sign with" in said
        assert notes(daemon, "log", "-S", "none", "no-such-branch") == []


@pytest.mark.parametrize("name", ["GIT_EDITOR", "EDITOR"])
def test_an_editor_of_the_container_is_called_that(world: World, name: str) -> None:
    """git only says that it cannot run it."""
    with start(world) as daemon:
        (said,) = notes(daemon, "commit", "--allow-empty", **{name: "code-of-container --wait"})
        assert said == (
            f'airlock: the editor "code-of-container" of {name} is not on the host, where git runs '
            "in a box: name one that is there, or give the message with -m or -F"
        )
        assert notes(daemon, "commit", "-m", "x", **{name: "code-of-container"}) == []
        assert notes(daemon, "commit", "--allow-empty", **{name: "false"}) == []


@pytest.mark.parametrize("value", ["true", "yes"])
def test_that_commits_are_not_signed_is_told_once(world: World, value: str) -> None:
    """Where the human's own git would sign them: once for each reading of the daemon's files."""
    settings = f"{_HUMAN}[commit]\n\tgpgsign = {value}\n"
    (world.root / "home" / ".gitconfig").write_text(settings)
    with start(world) as daemon:
        assert notes(daemon, "status") == []
        (said,) = notes(daemon, "-c", "a.b=c", "commit", "-q", "--allow-empty", "-m", "x")
        assert said.startswith(_UNSIGNED)
        assert notes(daemon, "commit", "-q", "--allow-empty", "-m", "y") == []


def test_nothing_is_told_of_signing_where_nobody_counts_on_it(world: World) -> None:
    """As where the human has no such setting, or has it switched off."""
    settings = f"{_HUMAN}[commit]\n\tgpgsign = false\n"
    (world.root / "home" / ".gitconfig").write_text(settings)
    with start(world) as daemon:
        assert notes(daemon, "commit", "-q", "--allow-empty", "-m", "x") == []


def say(*words: str, places: int = 0, left: int = 0) -> list[str]:
    """What follows a git that failed, whose box had so many places and left so many files."""
    box = Box(
        operations=tuple(System("/usr", f"/tmp/place/{n:06}") for n in range(places)),
        directory="/",
        is_shared=False,
        bounds=Bounds(),
        sockets="none",
    )
    boxed = Boxed(box, Maker(bubblewrap="/bwrap", identity=Identity(0, 0)), Reserved(()))
    line = CommandLine("/usr/bin/git", ("git", *words), {"EDITOR": " "}, 0)
    paths = [f"/tmp/{n:06}" for n in range(left)]
    return list(find_notes(line, boxed, Ended(1, None), left=paths, refused=()))


def test_paths_that_the_box_has_or_left_are_not_called_the_containers() -> None:
    """Nor what is below them; what only begins with the same letters is."""
    known = ("/tmp/place/000003", "/tmp/place/000003/x", "--file=/tmp/000002", "/tmp/000002/a/b/")
    assert say(*known, places=5, left=5) == []
    for word in ("/tmp/place/000003x", "/tmp/place", "/tmp/0000020", "/tmp/000002 /x", "/tmp/a\nb"):
        (said,) = say(*known, word, places=5, left=5)
        assert "is a path of the container" in said


def test_many_words_take_no_more_than_it_takes_to_read_them() -> None:
    """The event loop of all agents waits for it: to compare each with each would take hours."""
    words = [f"/tmp/{n % 10_000:06}/x" for n in range(100_000)]
    assert say("commit", *words, places=10_000, left=10_000) == []
    (said,) = say("commit", *words, "/tmp/other", places=10_000, left=10_000)
    assert said.startswith('"/tmp/other" is a path of the container')
    assert say("commit", "-" + "m" * 3_000_000 + "\n") == []
