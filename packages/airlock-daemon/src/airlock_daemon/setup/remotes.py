"""What profiles say of git: contradictions, who reaches more than is named, what runs here."""

from collections.abc import Iterable, Iterator, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.ssh_command import UnfitCommandError, read_ssh_command
from airlock_modules import Fault

BROKER = "git-remote"


def find_contradictions(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find a `[git]` that does not hold for all of git, and a GIT_SSH_COMMAND of no use to it."""
    profile, source = agent.profile, agent.profile_file
    granted = profile.granted(ceiling)
    if profile.names_remotes and "git" in granted:
        yield Fault(
            source,
            "git",
            "says where git-remote may go, and the agent has git too, which runs on this host and "
            "does not heed it",
            f'grant commands = ["{BROKER}"], and use the git of the container',
        )
    text = profile.env.get("GIT_SSH_COMMAND")
    if text is not None and (profile.names_remotes or BROKER in profile.commands):
        try:
            read_ssh_command(text)
        except UnfitCommandError as error:
            problem = f"GIT_SSH_COMMAND cannot be used for {BROKER}: {error}"
            yield Fault(source, "env.set", problem, 'write it like "ssh -i ~/.ssh/key"')


def find_unpinned(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Name the agents that may fetch and push wherever the human's keys lead on known hosts."""
    for agent in agents:
        if BROKER in agent.profile.granted(ceiling) and not agent.profile.git.is_pinned:
            yield Finding(
                agent.profile_file,
                "git",
                f"agent {agent.name} is unpinned: {BROKER} reaches every repository of the hosts "
                "that known_hosts has by their own names",
                'name what it needs: [git] push = ["git@github.com/OWNER/*"]',
                name="remotes",
                is_note=True,
            )


def find_git_on_host(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Name the agents whose git is this host's, and what that means."""
    for agent in agents:
        if "git" in agent.profile.granted(ceiling):
            yield Finding(
                agent.profile_file,
                "commands",
                f"the git of agent {agent.name} runs on this host, and so do the programs that "
                "hooks, attributes and configuration in its workspace name",
                f'for images that have git, grant commands = ["{BROKER}"] instead',
                name="remotes",
                is_note=True,
            )
