"""Carrying out attacks on a daemon, whole or with one guard off."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from e2e.canary import forge, web
from e2e.canary.attack import (
    API_GUARANTEES,
    BOX_GUARANTEES,
    ENGINE_GUARANTEES,
    GUARANTEES,
    Attack,
)
from e2e.canary.look import Look
from e2e.canary.push import LIST_REFS
from e2e.canary.scene import Scene
from e2e.canary.sign import COMMIT, SIGNATURE
from e2e.canary.world import SERVER, World
from e2e.hostile.footprint import Footprint, measure
from e2e.hostile.log import LogReader
from e2e.hostile.rest import list_left
from e2e.world.daemon import Daemon
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.openssh import OpenSsh
from e2e.world.server import choose_port
from e2e.world.sshd import running_sshd

_UNGUARDED = Path(__file__).with_name("unguarded.py")
_TICK_S = 0.02


class Result(NamedTuple):
    """What an attack got, a line each; nothing where it was stopped."""

    attack: Attack
    leaks: tuple[str, ...]


def list_surprises(results: Iterable[Result]) -> Iterator[str]:
    """A line for each leak that is not known, and for each attack that is known and got nothing."""
    for attack, leaks in results:
        if attack.known and not leaks:
            yield f"GONE: {attack.name}: got nothing, though known to work: take away the mark"
        for leak in () if attack.known else leaks:
            guarantees = {**GUARANTEES, **BOX_GUARANTEES, **API_GUARANTEES, **ENGINE_GUARANTEES}
            holds = guarantees[attack.guard]
            yield f"LEAK: {attack.name}: {leak}; should hold: {holds}"


Told = Callable[[str], None]
"""Has a line shown at the end of a test run, whichever process of it calls."""


def say_tried(results: Sequence[Result]) -> str:
    """How many attacks there were, and what they got."""
    known = sum(bool(result.attack.known) for result in results)
    leaking = sum(bool(result.leaks) for result in results if not result.attack.known)
    also = f", {known} known to work" if known else ""
    return f"{len(results)} attacks tried, {leaking} leaks{also}"


def carry_out(
    attacks: Iterable[Attack], *, without: str | None = None, openssh: OpenSsh | None = None
) -> list[Result]:
    """Try each attack, with the guard `without` off if one is named.

    Server and ssh are this host's, or those of `openssh`. With all guards what is granted must be
    served first, the daemon must afterwards hold no more than before, and its log must have all
    requests and be fit to be shown; raises BrokenError where that is not so.
    """
    with running(without, openssh) as scene:
        look = Look(scene)
        _ask_for_granted(scene, expects=without is None, has_signatures=openssh is None)
        before = measure(scene.daemon.pid, scene.world.temporary)
        results = [Result(each, _try(each, scene, look)) for each in attacks]
        if without is None:
            await_rest(scene.daemon.pid, scene.world.temporary, before)
            check_log(scene.world.log, scene.requests)
            _show_log(scene)
    return results


@contextmanager
def running(without: str | None, openssh: OpenSsh | None) -> Iterator[Scene]:
    """A world of its own, whose server and daemon run."""
    # pytest's own directories are too deep for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    try:
        (root / "server").mkdir()
        forge_port = choose_port()
        more = SERVER.format(proof=root / "proof", account=root / "account", forge_port=forge_port)
        path, server = "/usr/bin:/bin", []
        if openssh is not None:
            path = f"{openssh.unpack_client(root / 'openssh')}:{path}"
            server = openssh.serve(root)
        more += forge.write_server(root / "forge", port=forge_port)
        with (
            web.serving(root / "server", proof=root / "proof") as sites,
            running_sshd(root / "server", more=more, program=server) as port,
        ):
            world = World(root, port=port, forge_port=forge_port, sites=sites)
            program = ["-m", "airlock_daemon"] if without is None else [_UNGUARDED, without]
            daemon = Daemon(
                world.argv([sys.executable, *program]),
                said=world.said,
                sockets=world.list_sockets,
                environment={
                    "HOME": str(world.home),
                    "PATH": path,
                    "TMPDIR": str(world.temporary),
                },
            )
            with daemon:
                yield Scene(world, daemon)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _ask_for_granted(scene: Scene, *, expects: bool, has_signatures: bool) -> None:
    """Start what a daemon keeps ready, and see that there is something to be attacked."""
    url = "https://127.0.0.1:<web>/open/app.git"
    granted = [
        ("pinned", ("ssh", "forge", "git-upload-pack '<open>/app.git'"), b"", b""),
        ("web", ("https", "origin", url), b"connect git-upload-pack\n", LIST_REFS),
    ]
    if forge.why_not() is None:
        granted.append(("acme", ("ssh", "gitolite", "git-upload-pack 'acme/app'"), b"", b""))
    for agent, words, says, then in granted:
        seen = scene.converse(agent, words, says=says, then=then)
        if expects and b"refs/heads/main" not in seen:
            raise BrokenError(f"{words} is not served: {seen.decode(errors='replace')}")
    seen = scene.converse("signing", ("ssh",), command="git-sign", says=COMMIT)
    # An old ssh-keygen signs nothing.
    if expects and has_signatures and SIGNATURE not in seen:
        raise BrokenError(f"a commit is not signed: {seen.decode(errors='replace')}")


def _try(attack: Attack, scene: Scene, look: Look) -> tuple[str, ...]:
    try:
        seen = attack.run(scene)
    except (BrokenError, OSError) as error:
        return (f"not served: {error}",)
    return tuple(look.find_leaks(seen))


def await_rest(pid: int, temporary: Path, before: Footprint) -> None:
    """Wait until a daemon holds no more than before. Raises BrokenError with what is left."""
    until = time.monotonic() + PATIENCE_S
    while left := list_left(before, measure(pid, temporary)):
        if time.monotonic() > until:
            raise BrokenError(f"the attacks have left {left}")
        time.sleep(_TICK_S)


def check_log(path: Path, requests: Mapping[str, int]) -> None:
    """See that a log is whole, and has a record of each of so many requests of each agent."""
    log = LogReader(path)
    log.read()
    missing = {
        agent: (count, log.finals[agent], log.refused[agent])
        for agent, count in requests.items()
        if not log.finals[agent] <= count <= log.finals[agent] + log.refused[agent]
    }
    if missing:
        raise BrokenError(f"requests and their records: {missing}")


def _show_log(scene: Scene) -> None:
    command = scene.world.argv([sys.executable, "-m", "airlock_daemon"], "log")
    shown = subprocess.run(
        [*command, "tail", "-n", "100000"], capture_output=True, text=True, check=True
    )
    raw = [line for line in shown.stdout.splitlines() if not line.isprintable()]
    if raw or not shown.stdout:
        raise BrokenError(f"log tail shows {raw[:3]!a} of {len(shown.stdout)} characters")
