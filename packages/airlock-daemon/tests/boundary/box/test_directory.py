"""The directory of a boxed command: what was checked is what it starts in, or it does not start."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

import unguarded
from boxing import CLOSED, boxed_world, needs_bubblewrap
from commanding import reload
from running import Daemon, repeated
from worlds import World

pytestmark = needs_bubblewrap

SECRET = "canary-5b21"
TRIES = 100
REFUSED = ("directory", "workspace", "no box")


@pytest.fixture
def world() -> Iterator[World]:
    """A world whose workspace is at /workspace in the container; a secret lies beside it."""
    with boxed_world() as world:
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        for folder in (world.workspace / "sub", world.workspace / "other", world.root / "secret"):
            folder.mkdir()
            folder.chmod(0o777)
        (world.workspace / "sub" / "file").write_text("sub")
        (world.workspace / "other" / "file").write_text("other")
        (world.root / "secret" / "file").write_text(SECRET)
        yield world


def test_it_is_called_as_the_client_calls_it(world: World) -> None:
    """Nothing is renamed on the way in, and links within the workspace work."""
    (world.workspace / "link").symlink_to("/workspace/other")
    with Daemon(world) as daemon:
        answer = daemon.shell("pwd; cat /workspace/link/file", cwd="/workspace/sub")
        assert answer.text() == "/workspace/sub\nother"
        assert daemon.shell("pwd", cwd="/workspace").text() == "/workspace\n"
        # A link to the directory is followed by the daemon; the tool starts where it leads.
        (world.workspace / "entry").symlink_to("sub")
        assert daemon.shell("pwd", cwd="/workspace/entry").text() == "/workspace/sub\n"


def test_without_a_workspace_it_is_empty_and_nothing_can_be_written(world: World) -> None:
    """What a tool wrote there would be gone with the box, so the tool has to say that it cannot."""
    with Daemon(world) as daemon:
        for cwd in ("/somewhere/else", "/tmp", "/"):
            answer = daemon.shell("pwd; echo x > file; ls workspace ../workspace", cwd=cwd)
            assert answer.text().startswith("/\n" if cwd == "/" else "/no-workspace\n")
            assert answer.text().endswith("other\nsub\n")
            assert "Read-only file system" in answer.text("stderr")
        assert daemon.shell("echo x > file", cwd="/tmp").exit_code != 0
        assert daemon.shell("ls -A", cwd="/somewhere/else").text() == ""


PLACES = ("/usr", "/usr/local/x", "/etc", "/proc/x", "/home", "/run/x", "kit", "kit/bin/x", "shown")


def test_a_workspace_where_the_box_has_something_of_its_own_is_refused(world: World) -> None:
    """It would cover what the tool is made of, or what its module reads, or could not be there."""
    program = world.root / "kit" / "bin" / "tool"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (world.root / "shown").mkdir()
    world.write_module("sh", str(program), f'{CLOSED}read = ["{world.root}/shown"]\n')
    with Daemon(world) as daemon:
        for each in PLACES:
            place = str(world.root / each)
            world.write_profile(f'[workspace]\nmounts = {{ "{place}" = "{world.workspace}" }}\n')
            assert reload(world).returncode == 0
            error = daemon.shell("true", cwd=place).error
            assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "place"), place


def pick_pauses() -> Callable[[], float]:
    """As long as a box takes, more or less: so it hits one at every step of its making."""
    chance = random.Random(16)  # noqa: S311 - when, not what
    return lambda: chance.uniform(0, 0.03)


def swap_with_link(world: World) -> Callable[[], None]:
    """`sub` is now itself, now a link out of the workspace, now one to another directory."""
    sub, away = world.workspace / "sub", world.workspace / "away"

    def swap() -> None:
        for target in (str(world.root / "secret"), "/workspace/other", "/etc"):
            with suppress(OSError):
                sub.rename(away)
                sub.symlink_to(target)
                os.sched_yield()
                sub.unlink()
            with suppress(OSError):
                away.rename(sub)

    return swap


def swap_with_other(world: World) -> Callable[[], None]:
    """`sub` and `other` change their names."""
    sub, other, away = (world.workspace / name for name in ("sub", "other", "away"))

    def swap() -> None:
        sub.rename(away)
        other.rename(sub)
        away.rename(other)

    return swap


def swap_workspace(world: World) -> Callable[[], None]:
    """The mapped directory itself is now there, now a link to the secret beside it."""
    away = world.root / "away"

    def swap() -> None:
        world.workspace.rename(away)
        world.workspace.symlink_to(world.root / "secret")
        os.sched_yield()
        world.workspace.unlink()
        away.rename(world.workspace)

    return swap


@pytest.mark.parametrize("make", [swap_with_link, swap_with_other, swap_workspace])
def test_swaps_while_boxes_are_made_lead_nowhere(
    world: World, make: Callable[[World], Callable[[], None]]
) -> None:
    """Each try sees a directory of the workspace, or is refused."""
    said: dict[str, int] = {}
    with Daemon(world) as daemon, repeated(make(world), pause=pick_pauses()):
        for _ in range(TRIES):
            answer = daemon.shell("cat file", cwd="/workspace/sub")
            assert SECRET not in str(answer.messages)
            text = answer.text() if "result" in answer.last else answer.error["message"]
            said[text] = said.get(text, 0) + 1
    assert said.pop("sub")
    said.pop("other", None)
    assert all(any(each in text for each in REFUSED) for text in said), said


def swap_for_link(world: World) -> None:
    """The workspace is a link to the secret for a moment."""
    away = world.root / "away"
    world.workspace.rename(away)
    world.workspace.symlink_to(world.root / "secret")
    os.sched_yield()
    world.workspace.unlink()
    away.rename(world.workspace)


def swap_for_secret(world: World) -> None:
    """The secret itself is the workspace for a moment."""
    away, secret = world.root / "away", world.root / "secret"
    world.workspace.rename(away)
    secret.rename(world.workspace)
    os.sched_yield()
    world.workspace.rename(secret)
    away.rename(world.workspace)


def race(world: World, swap: Callable[[World], None], *guards: str) -> list[str]:
    """What commands print of the workspace, one after the other, while it is swapped all the time.

    It ends after 1,000 swaps and TRIES commands, of which one has run; or with the secret.
    """
    is_over, swaps, said = threading.Event(), 0, list[str]()

    def go() -> None:
        nonlocal swaps
        while not is_over.is_set():
            swap(world)
            swaps += 1

    (world.workspace / "file").write_text("own")
    with Daemon(world, program=unguarded.options(*guards)) as daemon:
        thread = threading.Thread(target=go)
        thread.start()
        try:
            while SECRET not in said and (swaps < 1000 or len(said) < TRIES or "own" not in said):
                answer = daemon.shell("cat file", cwd="/workspace")
                assert SECRET not in str(answer.messages) or answer.text() == SECRET
                said.append(answer.text() if "result" in answer.last else "refused")
        finally:
            is_over.set()
            thread.join()
    return said


swaps = pytest.mark.parametrize("swap", [swap_for_link, swap_for_secret])


@swaps
def test_a_box_has_the_noted_workspace_or_is_refused(
    world: World, swap: Callable[[World], None]
) -> None:
    """However often something else is there while boxes are made of it."""
    assert {*race(world, swap)} <= {"own", "refused"}


@swaps
def test_without_guards_a_box_has_the_secret(world: World, swap: Callable[[World], None]) -> None:
    """So that the race is seen to be one."""
    assert SECRET in race(world, swap, "links", "notes")
