"""What an attack out of a box is: a program that the agent has run there."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e.canary.attack import Attack

if TYPE_CHECKING:
    from e2e.canary.boxes.scene import BoxScene

_MODULES = "fcntl mmap select signal stat struct subprocess time"
_INSIDE = Path(__file__).with_name("inside.py").read_text() + "".join(
    f"import {name}\n" for name in _MODULES.split()
)

GOT = b"GOT" + b": "
"""What an attack says when it has something that no box may give, and what follows says what."""


def python(
    name: str,
    guard: str,
    code: str,
    *,
    command: str = "python3",
    works_without: bool = False,
    known: str = "",
    only: str = "",
    tries: tuple[str, ...] = (),
    before: "Callable[[BoxScene], object] | None" = None,
    **more: Any,
) -> Attack:
    """An attack by lines of Python, which have what stands in `inside.py`.

    `guard` is one of BOX_GUARANTEES, without what all of them begin with. `command` is the module
    by which it runs: `python3`, `inet` or `unix`. `known`, `only` and `tries` are as for `Attack`;
    `more` is for `BoxScene.run`. In the lines stands what `BoxScene.fill` knows. `before` is what
    root of the container does first.
    """

    def run(scene: "BoxScene") -> bytes:
        if before is not None:
            before(scene)
        return scene.run(command, "-c", f"{_INSIDE}\n{scene.fill(code)}\n", **more)

    return Attack(name, f"box-{guard}", run, works_without, known, only, tries)


def shell(
    name: str,
    guard: str,
    script: str,
    *,
    command: str = "sh",
    works_without: bool = False,
    known: str = "",
    only: str = "",
    tries: tuple[str, ...] = (),
    **more: Any,
) -> Attack:
    """The same by a script of sh."""

    def run(scene: "BoxScene") -> bytes:
        return scene.run(command, "-c", scene.fill(script), **more)

    return Attack(name, f"box-{guard}", run, works_without, known, only, tries)


def left(name: str, guard: str, code: str, known: str) -> list[Attack]:
    """An attack by Python that a box by bubblewrap stops, and one by Landlock is known not to."""
    return [
        python(name, guard, code, only="bubblewrap", works_without=True),
        python(name, guard, code, only="landlock", known=known),
    ]
