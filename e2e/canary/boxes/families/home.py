"""Homes that boxes keep: what another agent or another command has left there, and links in one."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import _INSIDE
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene

# Landlock shows no directory at another path than the host's: there each home is a fresh one.
_ONLY = "bubblewrap"

_LEAVE = "open(os.path.expanduser('~/left'), 'w').write('x')"
_FIND = """
if os.path.exists(os.path.expanduser('~/left')):
    got('what another one has left')
"""
_LINK = "os.symlink('{target}', os.path.expanduser('~/link'))"
_FOLLOW = "show(os.path.expanduser('~/link')); os.unlink(os.path.expanduser('~/link'))"
_TARGETS = ("<home>/.ssh/id_ed25519", "<config>/credential", "<other>/file")


def _run(scene: BoxScene, command: str, code: str, *, agent: str = "my") -> bytes:
    return scene.run(command, "-c", f"{_INSIDE}\n{scene.fill(code)}\n", agent=agent)


def _find(scene: BoxScene, *, command: str, agent: str) -> bytes:
    _run(scene, command, _LEAVE, agent=agent)
    return _run(scene, "keeper", _FIND)


def _follow(scene: BoxScene, *, target: str) -> bytes:
    _run(scene, "keeper2", _LINK.replace("{target}", target))
    return _run(scene, "keeper2", _FOLLOW)


def _attacks() -> Iterator[Attack]:
    for name, command, agent in (
        ("what another agent keeps", "keeper", "other"),
        ("what another command keeps", "keeper2", "my"),
    ):
        run = partial(_find, command=command, agent=agent)
        yield Attack(name, "box-home", run, works_without=True, only=_ONLY)
    for target in _TARGETS:
        run = partial(_follow, target=target)
        name = f"a link that is kept, to {target}"
        yield Attack(name, "box-files", run, works_without=True, only=_ONLY)


FAMILY = Family("box-home", tuple(_attacks()), why_not)
