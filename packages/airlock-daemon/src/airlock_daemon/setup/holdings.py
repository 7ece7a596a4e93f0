"""Which commands have credentials in their boxes, and what a person is told of that."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_modules import ANY_PROGRAM, IF_THERE, Credentials, Module, Sandbox

HOLDING_CLASS = "holding"
"""What records and people are told of a command whose box has credentials."""

# What may speak to it may do all that root may.
_ENGINE = "the docker engine, which is root on this host"
_MOST = 5


def describe_holding(module: Module) -> str:
    """What the box of a holding module has, where it reaches, and what it may execute.

    Long lists are cut: the module itself has them whole.
    """
    credentials, sandbox = module.credentials or Credentials(), module.sandbox
    if sandbox is None or not module.is_holding:
        raise TypeError(module.name)
    engine = (_ENGINE,) if sandbox.has_engine else ()
    named = ", ".join(_cut((*engine, *credentials.env, *credentials.files)))
    reached = ", ".join(_cut(sandbox.network)) or "nothing"
    return f"it has {named}; it reaches {reached}; it may execute {_say_programs(sandbox)}"


def _cut(names: Sequence[str]) -> Sequence[str]:
    if len(names) <= _MOST:
        return names
    return (*names[: _MOST - 1], f"{len(names) - _MOST + 1} more")


def _say_programs(sandbox: Sandbox) -> str:
    if ANY_PROGRAM in sandbox.programs:
        return "whatever it sees, in the workspace too"
    if not sandbox.programs:
        return "the tool alone"
    listed = ", ".join(("the tool", *(each.removesuffix(IF_THERE) for each in sandbox.programs)))
    return f"{listed}, and a shell, interpreter or busybox among these would run anything"


def find_holdings(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note each module by which an agent's box has credentials."""
    told = set()
    for agent in agents:
        for command in agent.profile.commands or ceiling:
            found = agent.profile.widened.get(command) or agent.modules.find(command)
            module = found if command in ceiling else None
            if module is None or not module.is_holding:
                continue
            problem = f"the box of {command} has credentials in it ({HOLDING_CLASS})"
            if (module.source, describe_holding(module)) in told:
                continue
            told.add((module.source, describe_holding(module)))
            remedy = (
                "grant it only to agents that may do all that these credentials allow: "
                f"{describe_holding(module)}"
            )
            yield Finding(module.source, "credentials", problem, remedy, name="box", is_note=True)
