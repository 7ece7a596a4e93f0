"""Findings in profiles about remotes and hosts."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from airlock_daemon.files import Finding
from airlock_daemon.setup.agents import Agent
from airlock_modules import GIT_REMOTE, GIT_SIGN, Fault, Login, Module
from airlock_wire import quote


def find_contradictions(agent: Agent, ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find a `[git]` or `[ssh]` that some of git or ssh bypasses.

    Also rules for git without effect, and a GIT_SSH_COMMAND or key that a broker cannot use.
    """
    profile, source = agent.profile, agent.profile_file
    granted = agent.list_granted(ceiling)
    module = granted.get("git")
    if profile.names_remotes and module is not None and not module.wants_box:
        yield Fault(
            source,
            "git",
            "binds git-remote only: git runs on this host without a box and ignores it",
            f'write [sandbox] box = "closed" in {module.source}, or leave [git] out',
        )
    narrowed = profile.narrowed.get("git")
    if narrowed is not None and GIT_REMOTE in granted and "git" not in granted:
        from airlock_daemon.setup.profile_findings import find_vain_rules  # noqa: PLC0415

        yield from find_vain_rules(agent, narrowed)
    if profile.ssh.is_pinned:
        for name, module in _find_unbrokered(granted):
            yield Fault(
                source,
                "ssh",
                f"does not bind {name}, which runs ssh on this host and ignores it",
                f'write broker = "ssh" in {module.source} in place of bin, or leave [ssh] out',
            )
    grant = profile.sign
    signs_by = None if grant is None or grant.is_openpgp else grant.key
    if signs_by is not None and not os.path.isfile(os.path.expanduser(signs_by)):
        missing = f"names a key that is not there: {quote(signs_by)}"
        yield Fault(source, "sign.key", missing, "put the file there, or name another")
    text = profile.env.get("GIT_SSH_COMMAND")
    named = (profile.names_remotes, GIT_REMOTE in profile.commands, _uses_remotes(granted))
    if text is not None and any(named):
        from airlock_daemon.setup.ssh_command import SshCommand  # noqa: PLC0415

        try:
            command = SshCommand.read(text)
            problem = command.find_missing_file(os.path.expanduser("~"))
            remedy = "put the file there, or name another"
        except ValueError as error:
            problem, remedy = str(error), 'write it like "ssh -i ~/.ssh/key"'
        if problem is not None:
            said = f"GIT_SSH_COMMAND cannot be used for {GIT_REMOTE}: {problem}"
            yield Fault(source, "env.set", said, remedy)


def find_unpinned(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents that may reach all that the human's keys open on known hosts."""
    for agent in agents:
        granted = agent.list_granted(ceiling)
        if not agent.profile.ssh.is_pinned:
            yield from _find_unpinned_ssh(agent, granted)
        if agent.profile.ssh.is_pinned and {"git", GIT_REMOTE} & set(granted):
            yield from _find_shared_hosts(agent)
        if reaches_any(granted) and not agent.profile.git.is_pinned:
            yield Finding(
                agent.profile_file,
                "git",
                f"agent {agent.name} is unpinned: {GIT_REMOTE} reaches all that your keys open",
                "name its repositories, else each host in your known_hosts or with a credential "
                'helper is open to it: [git] push = ["git@github.com/OWNER/*"]',
                name="remotes",
                is_note=True,
            )


def _find_shared_hosts(agent: Agent) -> Iterator[Finding]:
    """Note hosts of `[ssh]` where sessions can bypass `[git]`."""
    profile = agent.profile
    for line in profile.ssh.hosts:
        if line.name is None:
            continue
        login = Login(user=line.user, host=line.name.lower(), port=line.port)
        if any(place.may_be_at(login) for place in (*profile.git.push, *profile.git.fetch)):
            yield Finding(
                agent.profile_file,
                "ssh.hosts",
                f'"{line.text}" is a host of [git] too: sessions there are not bound by [git] refs',
                "name another account for git, or leave the host out of [ssh]",
                name="remotes",
                is_note=True,
            )


def find_unasked(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find modules whose boxes may use git-remote if it is not enabled or granted."""
    for agent in agents:
        granted = agent.list_granted(ceiling)
        if GIT_SIGN not in granted:
            for module in filter(_lets_sign, granted.values()):
                problem = (
                    f"the profile of {agent.name} does not grant {GIT_SIGN}, or it is disabled"
                )
                remedy = f'add "{GIT_SIGN}" to commands there, or remove "sign"'
                yield Fault(module.source, "sandbox.brokers", f"has no effect: {problem}", remedy)
        if GIT_REMOTE not in ceiling:
            problem = f'"{GIT_REMOTE}" is not enabled in config.toml'
            remedy = "enable it there, beside the command, or remove this"
        elif {"git", GIT_REMOTE}.isdisjoint(granted):
            problem = f"the profile of {agent.name} grants neither git nor {GIT_REMOTE}"
            remedy = f'add "{GIT_REMOTE}" to commands there, or remove this'
        else:
            continue
        for module in filter(may_use_remotes, granted.values()):
            yield Fault(module.source, "sandbox.brokers", f"has no effect: {problem}", remedy)


def reaches_any(granted: Mapping[str, Module]) -> bool:
    """Whether one of these commands reaches git's remotes."""
    return GIT_REMOTE in granted or _uses_remotes(granted)


def _uses_remotes(granted: Mapping[str, Module]) -> bool:
    """Whether git runs in a box that reaches its remotes.

    Another command's box reaches them only if the profile grants git.
    """
    return "git" in granted and may_use_remotes(granted["git"])


def may_use_remotes(module: Module) -> bool:
    """Whether a module's owner lets its box use git's remotes.

    Granting the built-in terraform, for example, says nothing about remotes.
    """
    has_said = not module.builtin or module.name == "git"
    return has_said and module.sandbox is not None and "git" in module.sandbox.brokers


def _lets_sign(module: Module) -> bool:
    """As `may_use_remotes`, for signatures; git, or an override of it, has them by default."""
    return module.name != "git" and module.sandbox is not None and "sign" in module.sandbox.brokers


def reaches_remotes(module: Module) -> bool:
    """Whether a command of `module` is git-remote, or uses it from its box."""
    return module.name == GIT_REMOTE or may_use_remotes(module)


def _find_unpinned_ssh(agent: Agent, granted: Mapping[str, Module]) -> Iterator[Finding]:
    name = next((name for name, each in granted.items() if each.broker == "ssh"), None)
    if name is None:
        return
    past = ", but those of [git]" if agent.profile.names_remotes else ""
    yield Finding(
        agent.profile_file,
        "ssh",
        f"agent {agent.name} is unpinned: {name} reaches every host in your known_hosts{past}",
        'name its hosts: [ssh] hosts = ["deploy@build.example.com"]',
        name="remotes",
        is_note=True,
    )


def _find_unbrokered(granted: Mapping[str, Module]) -> Iterator[tuple[str, Module]]:
    for name, module in granted.items():
        if module.broker is None and os.path.basename(module.bin) == "ssh":
            yield name, module
