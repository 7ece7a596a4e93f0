"""What profiles say of remotes and hosts: contradictions, who goes beyond, what runs here."""

import os
from collections.abc import Iterable, Iterator, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.ssh_command import UnfitCommandError, read_ssh_command
from airlock_modules import Fault, Module

BROKER = "git-remote"


def find_contradictions(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find a `[git]` or `[ssh]` that does not hold for all of git or ssh, and a GIT_SSH_COMMAND of
    no use to git-remote.
    """
    profile, source = agent.profile, agent.profile_file
    granted = profile.granted(ceiling)
    if profile.names_remotes and "git" in granted and not _asks(agent, "git"):
        yield Fault(
            source,
            "git",
            "says where git-remote may go, and the agent has git too, which runs on this host and "
            "does not heed it",
            f'grant commands = ["{BROKER}"], and use the git of the container',
        )
    if profile.ssh.is_pinned:
        for name, module in _find_unbrokered(agent, granted):
            yield Fault(
                source,
                "ssh",
                f"says where ssh may go, and {name} runs ssh on this host without heeding it "
                f"({module.source})",
                'write broker = "ssh" there in the place of bin, or leave [ssh] out',
            )
    text = profile.env.get("GIT_SSH_COMMAND")
    asks = BROKER in profile.commands or any(_asks(agent, name) for name in profile.commands)
    if text is not None and (profile.names_remotes or asks):
        try:
            read_ssh_command(text)
        except UnfitCommandError as error:
            problem = f"GIT_SSH_COMMAND cannot be used for {BROKER}: {error}"
            yield Fault(source, "env.set", problem, 'write it like "ssh -i ~/.ssh/key"')


def find_unpinned(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Name the agents that may go wherever the human's keys lead on known hosts."""
    for agent in agents:
        granted = agent.profile.granted(ceiling)
        if not agent.profile.ssh.is_pinned:
            yield from _find_unpinned_ssh(agent, granted)
        reaches = BROKER in granted or any(_asks(agent, name) for name in granted)
        if reaches and not agent.profile.git.is_pinned:
            yield Finding(
                agent.profile_file,
                "git",
                f"agent {agent.name} is unpinned: {BROKER} reaches every repository of the hosts "
                "that known_hosts has by their own names, and those for which git has a credential "
                "helper by name",
                'name what it needs: [git] push = ["git@github.com/OWNER/*"]',
                name="remotes",
                is_note=True,
            )


def find_git_on_host(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Name the agents whose git is this host's, and what that means."""
    for agent in agents:
        if "git" in agent.profile.granted(ceiling) and not _asks(agent, "git"):
            yield Finding(
                agent.profile_file,
                "commands",
                f"the git of agent {agent.name} runs on this host, and so do the programs that "
                "hooks, attributes and configuration in its workspace name",
                f'for images that have git, grant commands = ["{BROKER}"] instead',
                name="remotes",
                is_note=True,
            )


def find_unasked(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Fault]:
    """Name the modules whose boxes may ask for git-remote, where it is not enabled."""
    for agent in agents if BROKER not in ceiling else ():
        for name in agent.profile.granted(ceiling):
            module = agent.modules.find(name)
            if module is not None and _asks(agent, name):
                yield Fault(
                    module.source,
                    "sandbox.brokers",
                    f'has no effect: "{BROKER}" is not enabled in config.toml',
                    "enable it there, beside the command, or remove this",
                )


def _asks(agent: Agent, name: str) -> bool:
    """Whether a command runs in a box from which git's remotes are reached."""
    module = agent.modules.find(name)
    return module is not None and module.sandbox is not None and "git" in module.sandbox.brokers


def _find_unpinned_ssh(agent: Agent, granted: Iterable[str]) -> Iterator[Finding]:
    modules = {name: agent.modules.find(name) for name in granted}
    name = next((name for name, each in modules.items() if each and each.broker == "ssh"), None)
    if name is None:
        return
    past = ", and git's servers among them past what [git] says"
    yield Finding(
        agent.profile_file,
        "ssh",
        f"agent {agent.name} is unpinned: {name} reaches every account of the hosts that "
        f"known_hosts has by their own names{past if agent.profile.names_remotes else ''}",
        'name what it needs: [ssh] hosts = ["deploy@build.example.com"]',
        name="remotes",
        is_note=True,
    )


def _find_unbrokered(agent: Agent, granted: Iterable[str]) -> Iterator[tuple[str, Module]]:
    for name in granted:
        module = agent.modules.find(name)
        if module is not None and module.broker is None and os.path.basename(module.bin) == "ssh":
            yield name, module
