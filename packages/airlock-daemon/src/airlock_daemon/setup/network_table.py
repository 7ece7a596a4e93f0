"""Reading `[network]` of a profile: what boxes and containers reach."""

from collections.abc import Mapping

from msgspec.structs import replace

from airlock_daemon.setup.modules import Modules
from airlock_daemon.setup.profile import ContainerNetwork
from airlock_modules import Module, TableReader, read_presets, widen_network

REACHED = "allow"
"""The key of `[network]` for the agent's containers rather than for a command."""


def read_reached(profile: TableReader, modules: Modules) -> ContainerNetwork:
    """Read `[network] allow`; `profile` records the faults."""
    network = profile.table("network")
    if not network.has(REACHED):
        return ContainerNetwork()
    if modules.find(REACHED) is not None:
        problem = f'may mean the command "{REACHED}" or what all containers of the agent reach'
        network.fault(REACHED, problem, "rename the module of that command")
    return ContainerNetwork(*read_presets(network, REACHED))


def read_widening(
    profile: TableReader, modules: Modules, narrowed: Mapping[str, Module]
) -> dict[str, Module]:
    """Read `[network]`: the modules of the commands that it names, widened.

    Starts from `narrowed`, else from `modules`. `profile` records the faults.
    """
    widened: dict[str, Module] = {}
    network = profile.table("network")
    for command in network.names():
        if command == REACHED:
            continue
        module = narrowed.get(command) or modules.find(command)
        if module is None:
            network.refuse(command, "names a command without a module", "correct or remove it")
        elif module.sandbox is None or module.sandbox.box != "closed":
            problem = "names a command without a closed box, whose network is not bounded"
            network.refuse(command, problem, "remove it")
        else:
            sandbox = widen_network(module.sandbox, network, command)
            widened[command] = replace(module, sandbox=sandbox)
    return widened
