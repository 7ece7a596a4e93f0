"""The directory of a command, and its workspace, changed while its box is made."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.meanwhile import meanwhile
from e2e.canary.scene import hear
from e2e.world.lines import make_request

TRIES = 25
"""Of each race in a run of the tests; `CANARY_TRIES` says how many there are in a long one."""


def _any_time() -> float:
    """Seconds, up to as many as a box takes to be made."""
    return 0.001 * (os.urandom(1)[0] % 24)


How = Callable[[BoxScene], Callable[[], object]]
"""Makes of a scene what is done to it again and again."""


def _race(
    scene: BoxScene, *, how: How, script: str, cwd: str = "<here>/sub/deep", times: int = 1
) -> bytes:
    workspace = scene.world.workspace
    for name in ("sub", "sub/deep", "spare"):
        (workspace / name).mkdir(exist_ok=True)
        (workspace / name).chmod(0o777)
        (workspace / name / "id_ed25519").write_text("mine")
    with meanwhile(how(scene), pause=_any_time):
        tries = range(int(os.environ.get("CANARY_TRIES", TRIES)) * times)
        return b"\n".join(scene.run("sh", "-c", scene.fill(script), cwd=cwd) for _ in tries)


def _swap(scene: BoxScene, *, path: str, target: str) -> Callable[[], object]:
    """What is at `path` of the workspace is now itself, now a link to `target`."""
    here = scene.world.workspace / path
    away = here.with_name("away")
    to = scene.fill(target)

    def swap() -> None:
        here.rename(away)
        try:
            here.symlink_to(to)
            time.sleep(_any_time())
            here.unlink()
        finally:
            away.rename(here)

    return swap


def _exchange(scene: BoxScene) -> Callable[[], object]:
    """Two directories change their names."""
    sub, spare, away = (scene.world.workspace / name for name in ("sub", "spare", "away"))

    def exchange() -> None:
        sub.rename(away)
        spare.rename(sub)
        away.rename(spare)

    return exchange


def _remake(scene: BoxScene) -> Callable[[], object]:
    """The directory is removed, and made anew."""
    deep = scene.world.workspace / "sub" / "deep"
    away = scene.world.workspace / "gone"

    def remake() -> None:
        deep.rename(away)
        deep.mkdir()
        os.sched_yield()
        deep.rmdir()
        away.rename(deep)

    return remake


def _replace(scene: BoxScene) -> Callable[[], object]:
    """The workspace itself is now a link to another: what lies above it is writable, too."""
    here = scene.world.workspace
    away = here.with_name("away")

    def replace() -> None:
        here.rename(away)
        try:
            here.symlink_to(scene.world.other)
            time.sleep(_any_time())
            here.unlink()
        finally:
            away.rename(here)

    return replace


def _hide(scene: BoxScene) -> bytes:
    """The host has a mount in a directory that changes its name with another."""
    workspace = scene.world.workspace
    for name in ("sub", "spare"):
        (workspace / name / "vault").mkdir(parents=True)
    vault = workspace / "sub" / "vault"
    subprocess.run(["mount", "-t", "tmpfs", "canary", vault], check=True)
    held = os.open(vault, os.O_PATH)
    try:
        (vault / "word").write_text(scene.world.words["beside"])
        script = "cat sub/vault/word spare/vault/word"
        return _race(scene, how=_exchange, script=script, cwd="<here>", times=8)
    finally:
        subprocess.run(["umount", "-l", f"/proc/{os.getpid()}/fd/{held}"], check=True)
        os.close(held)


def _mount_later(scene: BoxScene) -> bytes:
    """Somebody on the host mounts something in the workspace, while a command runs there."""
    with _shared(scene.world.workspace) as workspace:
        return _mount_there(scene, workspace)


@contextmanager
def _shared(folder: Path) -> Iterator[Path]:
    """What is mounted in it is told to other mount namespaces, as on most hosts anyway."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "--make-shared", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _mount_there(scene: BoxScene, workspace: Path) -> bytes:
    (workspace / "sub").mkdir()
    script = "echo ready; while [ ! -e go ]; do sleep 0.02; done; cat sub/word; ls -la sub"
    with scene.connect() as client:
        client.send(make_request("sh", "-c", script, cwd=scene.fill("<here>")))
        client.await_output("ready")
        subprocess.run(["mount", "-t", "tmpfs", "canary", workspace / "sub"], check=True)
        try:
            (workspace / "sub" / "word").write_text(scene.world.words["beside"])
            (workspace / "go").touch()
            return hear(client)
        finally:
            subprocess.run(["umount", workspace / "sub"], check=True)


_LINKED = ("CVE-2026-39861", "CVE-2026-25724")
_LOOK = "cat id_ed25519 file ../file ../../file ../../../outside/file; cd -P ..; ls; cat file"
_IN_THE_HOSTS = "Landlock has no mounts of its own: a command sees what is mounted meanwhile"
_WRITE = "echo x > made; echo x > ../made; echo x >> file; true"
_TARGETS = (
    "<home>/.ssh",
    "<other>",
    "<outside>",
    "/",
    "/proc/self/root",
    "/proc/1/root<home>/.ssh",
)


def _attacks() -> Iterator[Attack]:
    for script, does in ((_LOOK, "read"), (_WRITE, "written")):
        for target in _TARGETS:
            for path in ("sub", "sub/deep"):
                how = partial(_swap, path=path, target=target)
                name = f"{path} swapped with a link to {target}, {does}"
                race = partial(_race, how=how, script=script)
                yield Attack(name, "box-directory", race, tries=_LINKED)
        for what, change in (("exchanged", _exchange), ("made anew", _remake)):
            name = f"the directory {what}, {does}"
            yield Attack(name, "box-directory", partial(_race, how=change, script=script))
        works = script == _LOOK
        # A box that waited is made of the workspace before a request comes: few tries hit that.
        times = 8 if works else 1
        run = partial(_race, how=_replace, script=script, cwd="<here>", times=times)
        yield Attack(f"the workspace replaced, {does}", "box-directory", run, works)
    name = "what the host has mounted, in a directory that is exchanged"
    yield Attack(name, "box-covers", _hide, True, only="bubblewrap")
    for only, known in (("bubblewrap", ""), ("landlock", _IN_THE_HOSTS)):
        name = "what is mounted in the workspace later"
        yield Attack(name, "box-later", _mount_later, not known, known, only)


FAMILY = Family("box-directory", tuple(_attacks()), why_not)
