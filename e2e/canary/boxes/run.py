"""Carrying out attacks out of boxes, by one way of making them, whole or with one guard off."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from e2e.canary.attack import Attack
from e2e.canary.boxes import host, mutants
from e2e.canary.boxes.look import BoxLook
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.boxes.world import WAYS, BoxWorld, By
from e2e.canary.run import Result, check_log
from e2e.hostile.footprint import Footprint, measure
from e2e.world import reach
from e2e.world.daemon import Daemon
from e2e.world.errors import PATIENCE_S, BrokenError

_UNGUARDED = Path(__file__).with_name("unguarded.py")
# Of the daemon itself: launchers, of which one in a box is called by its descriptor there.
_OWN = ("airlock-launch", "bwrap", "4")
# Processes of bubblewrap with which boxes wait, and descriptors of these and of launchers.
_AHEAD, _KEPT = 32, 64
# Which Podman keeps where it is asked for containers without a runtime directory.
_PODMAN = "storage-run-"
_TICK_S = 0.02

Told = TypeVar("Told")
_TOOLS = "/usr/local/bin:/usr/bin:/bin"


def why_not() -> str | None:
    """Why no attack can be carried out here, or None."""
    if os.geteuid() != 0:
        return "a host with several users is needed, which only root can make"
    return None if shutil.which("bwrap") else "there is no bubblewrap"


def applies(attack: Attack, by: By) -> bool:
    """Whether an attack is one on boxes that are made so."""
    return attack.only in ("", by.maker, by.user, str(by))


def can_be_off(guard: str, by: By) -> bool:
    """Whether this guard is one of boxes that are made so, and can be taken away from them."""
    if guard == "box-devices":
        return by.maker == "landlock"
    return by == WAYS[0] or (
        by.maker == "landlock" and guard.removeprefix("box-") in mutants.FENCE_OFF
    )


def carry_out(attacks: Iterable[Attack], *, by: By, without: str | None = None) -> list[Result]:
    """Try each attack that applies, with the guard `without` off if one is named.

    With all guards nothing may be left of them in the end: the daemon must hold no more than
    before, and its log must have all requests. Raises BrokenError where that is not so.
    """
    chosen = [each for each in attacks if applies(each, by)]
    told = as_daemon_of(by, lambda: [result.leaks for result in _carry_out(chosen, by, without)])
    return [Result(*each) for each in zip(chosen, told, strict=True)]


def as_daemon_of(by: By, act: Callable[[], Told]) -> Told:
    """Do something where a daemon of this user can run; what `act` returns is fit for pickle."""
    if by.user == "root":
        return act()
    # A client is to be on the same host as its daemon, which is in a namespace where what is root's
    # own can be executed by others.
    return reach.run_apart(act, Path(sys.executable).with_name("airlock-daemon"))


def _carry_out(attacks: Iterable[Attack], by: By, without: str | None) -> list[Result]:
    with running(by, without) as scene:
        look = BoxLook(scene)
        seen = scene.run("sh", "-c", "cat file && pwd")
        if b"mine" not in seen:
            raise BrokenError(f"a box by {by} does not run: {seen.decode(errors='replace')}")
        list(look.find_leaks(b""))
        before = measure(scene.daemon.pid, scene.world.temporary)
        results = [Result(each, _try(each, scene, look)) for each in attacks]
        if without is None:
            _await_rest(scene, before)
            check_log(scene.world.log, scene.requests)
    return results


@contextmanager
def running(by: By, without: str | None = None) -> Iterator[BoxScene]:
    """A world of its own, with its host and its daemon."""
    # Attacks are on a host on which whoever is in a box could go anywhere but for the box.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    try:
        root.chmod(0o755)
        world = BoxWorld(root, by)
        port = int(world.names["open"])
        with host.running(world.outside, world.words, world.user, port) as neighbours:
            world.open_up()
            daemon = Daemon(
                world.argv([*reach.become(world.account), sys.executable, *_guards(without)]),
                said=world.said,
                sockets=world.list_sockets,
                environment=world.environment(_TOOLS),
            )
            with daemon:
                yield BoxScene(world, neighbours, daemon)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _await_rest(scene: BoxScene, before: Footprint) -> None:
    """Wait until no tool is left, nor a box but those that wait for one."""
    until = time.monotonic() + PATIENCE_S
    while True:
        now = measure(scene.daemon.pid, scene.world.temporary)
        boxes = sum(name == "bwrap" for name in now.descendants)
        left = [name for name in now.descendants if name not in _OWN]
        left += [name for name in now.directories if not name.startswith(_PODMAN)]
        left += [*now.tools, *(["boxes"] if boxes > _AHEAD else [])]
        if not left and len(now.descriptors) <= len(before.descriptors) + _KEPT:
            return
        if time.monotonic() > until:
            raise BrokenError(f"the attacks have left {left} and {now.descriptors}")
        time.sleep(_TICK_S)


def _guards(without: str | None) -> list[str]:
    if without is None:
        return ["-m", "airlock_daemon"]
    guard = without.removeprefix("box-")
    return [str(_UNGUARDED), guard, str(mutants.make(guard) or "")]


def _try(attack: Attack, scene: BoxScene, look: BoxLook) -> tuple[str, ...]:
    try:
        seen = attack.run(scene)
    except (BrokenError, OSError) as error:
        # What it did is undone all the same.
        return (f"not served: {error}", *look.find_leaks(b""))
    return tuple(look.find_leaks(seen))
