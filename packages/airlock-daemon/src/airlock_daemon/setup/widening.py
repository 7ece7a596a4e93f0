"""What a profile lets be reached: by the box of a command, and by containers."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.setup.modules import Modules
from airlock_modules import Module, TableReader, read_presets, widen_network

REACHED = "allow"
"""The key of `[network]` that is about no command, but about all that the agent's containers do."""


class Reached(msgspec.Struct, frozen=True):
    """What containers may reach: destinations (HOST:PORT), and presets by their names."""

    network: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()


def read_reached(profile: TableReader, modules: Modules) -> Reached:
    """Read `[network] allow`. Faults are recorded by `profile`."""
    network = profile.table("network")
    if network.has(REACHED) and modules.find(REACHED) is not None:
        problem = f'may mean the command "{REACHED}" or what all containers of the agent reach'
        network.fault(REACHED, problem, "rename the module of that command")
    return Reached(*read_presets(network, REACHED))


def read_widening(
    profile: TableReader, modules: Modules, narrowed: Mapping[str, Module]
) -> dict[str, Module]:
    """Read `[network]`: the modules of the commands that it names, widened.

    Otherwise they are those of `narrowed`, else of `modules`. Faults are recorded by `profile`.
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
