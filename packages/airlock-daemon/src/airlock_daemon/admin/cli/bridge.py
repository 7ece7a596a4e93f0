"""`airlock bridge`."""

from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.wiring import Mount, find_volume
from airlock_daemon.errors import AND_RELOAD, AirlockError
from airlock_daemon.setup.generation import SOCKET_DIRECTORY


def bridge(
    application: Application,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent.")],
) -> None:
    """Print how containers mount an agent's sockets by its bridge.

    For an agent with [bridge] in its airlock.toml. The daemon keeps a container that has the
    agent's sockets in a volume; the printed option of `docker run` mounts it. Whoever mounts the
    volume is the agent, so keep its name to yourself.
    """
    setup, generation = application.load_agent(agent)
    volume = find_volume(setup, generation.agent)
    if volume is None:
        raise AirlockError(
            f"agent {agent} has no bridge",
            hint="where its containers run in a virtual machine, add to "
            f"{generation.agent.profile_file}: [bridge]{AND_RELOAD}",
        )
    sockets = Mount(source="", target=SOCKET_DIRECTORY, read_only=True, volume=volume.name)
    mount = sockets.describe(volume.engine)
    report = {"agent": agent, "engine": volume.engine, "volume": volume.name, "mount": mount}
    application.print(report, [f"--mount {mount}"])
