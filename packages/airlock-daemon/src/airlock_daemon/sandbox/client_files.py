"""What of the host a client writes: its directories, and what is reached by way of them."""

from collections.abc import Iterator

from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.directory import Workspace


def list_written(workspace: Workspace, reserved: Reserved) -> Iterator[str]:
    """The real paths of the client's directories, among them `workspace` where its command runs."""
    yield workspace.root
    mounts = workspace.mounts
    if mounts is not None:
        found = (mounts.sights.look(each.directory) for each in mounts.list_workspaces(reserved))
        yield from (each.real for each in found if each is not None)


def list_untrusted(workspace: Workspace, generation: Generation) -> tuple[str, ...]:
    """The same, and all directories that a profile maps: any agent's container may write there."""
    return (*list_written(workspace, generation.reserved), *generation.workspaces)
