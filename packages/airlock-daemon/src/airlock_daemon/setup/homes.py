"""Which commands run with the human's home, and what to write instead."""

from collections.abc import Collection, Iterable, Iterator

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.modules import Modules

_LEAVES = "can read and send away every credential in your home"
_CLOSED = '[sandbox] box = "closed" where the tool needs no credential and no network'


def find_unsaid(modules: Modules, command: str) -> Iterator[Finding]:
    """Tell that the file of a command says nothing of a box, so that it runs with the home."""
    written, module = modules.find_written(command), modules.find(command)
    if written is None or module is None or written.sandbox is not None:
        return
    if module.sandbox is not None and module.sandbox.box == "home":
        problem = f"does not say which box {command} has: it runs with your home, and {_LEAVES}"
        remedy = f'write {_CLOSED}, else box = "home", which is what it has now'
        yield Finding(written.source, "sandbox", problem, remedy, name="box")


def find_homes(agents: Iterable[Agent], ceiling: Collection[str]) -> Iterator[Finding]:
    """Note each module by which an agent has the home because its file says so."""
    told = set()
    for agent in agents:
        for command in agent.profile.commands or ceiling:
            written = agent.modules.find_written(command)
            if command not in ceiling or written is None or written.source in told:
                continue
            if written.sandbox is not None and written.sandbox.box == "home":
                told.add(written.source)
                problem = f'is "home": {command} {_LEAVES}'
                remedy = f"write {_CLOSED}"
                yield Finding(
                    written.source, "sandbox.box", problem, remedy, name="box", is_note=True
                )
