"""Boxes: what a container has the daemon look for before it makes one."""

from e2e.hostile.attack import Scene, make_family
from e2e.hostile.standing import forgotten, stand
from e2e.hostile.world import HIDDEN
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request


def hold_what_is_above_a_hidden_name(scene: Scene) -> None:
    """What a profile hides is looked for, and who has the directory's lock may have it for ever."""
    workspace = scene.daemon.world.workspace
    hidden = workspace / HIDDEN.removeprefix("/workspace/")
    hidden.touch()
    with forgotten(hidden), scene.connect() as client:
        with stand(scene, "held_directories", str(hidden.parent)):
            client.send(make_request("true", cwd="/workspace"))
        if client.await_result().get("exit_code") != 0:
            raise BrokenError("a command does not run where what is hidden is not there")


def hold_what_is_above_another_workspace(scene: Scene) -> None:
    """A box shows all directories of its agent, as far as they are there."""
    inner = scene.daemon.world.inner
    with forgotten(inner), scene.connect() as client:
        with stand(scene, "held_directories", str(inner.parent)):
            client.send(make_request("true", cwd="/workspace"))
        if client.await_result().get("exit_code") != 0:
            raise BrokenError("a command does not run where another directory is not there")


FAMILY = make_family(
    "boxes",
    "what is looked for before a box is made",
    hold_what_is_above_a_hidden_name,
    hold_what_is_above_another_workspace,
    boxed=True,
)
