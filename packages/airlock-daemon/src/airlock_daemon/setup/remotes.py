"""Findings in profiles about remotes and hosts."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.profile import USE_REFS
from airlock_modules import DEFAULT_REFS, Fault, Grant, Login, Module, list_unseen, load_builtin
from airlock_wire import quote

BROKER = "git-remote"
SIGNER = "git-sign"
ANY_REFS = ("refs/heads/**", "refs/tags/**")
"""Patterns of `[git] refs` for all branches and tags."""

_VERBS = {"push", "fetch", "pull", "clone", "ls-remote"}


def find_contradictions(
    agent: Agent, ceiling: Sequence[str], *, has_keys: bool = True
) -> Iterator[Fault]:
    """Find a `[git]` or `[ssh]` that some of git or ssh bypasses.

    Also rules for git without effect, and a GIT_SSH_COMMAND or key that a broker cannot use;
    `has_keys` says that the key files should be on this host.
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
    yield from _find_vain_rules(agent, granted)
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
    if has_keys and signs_by is not None and not os.path.isfile(os.path.expanduser(signs_by)):
        missing = f"names a key that is not there: {quote(signs_by)}"
        yield Fault(source, "sign.key", missing, "put the file there, or name another")
    text = profile.env.get("GIT_SSH_COMMAND")
    named = (profile.names_remotes, BROKER in profile.commands, _asks(granted))
    if text is not None and any(named):
        from airlock_daemon.setup.ssh_command import (  # noqa: PLC0415
            UnfitCommandError,
            find_missing_file,
            read_ssh_command,
        )

        try:
            words = read_ssh_command(text)
            problem = find_missing_file(words, os.path.expanduser("~")) if has_keys else None
            remedy = "put the file there, or name another"
        except UnfitCommandError as error:
            problem, remedy = str(error), 'write it like "ssh -i ~/.ssh/key"'
        if problem is not None:
            said = f"GIT_SSH_COMMAND cannot be used for {BROKER}: {problem}"
            yield Fault(source, "env.set", said, remedy)


def find_unpinned(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents that may reach all that the human's keys open on known hosts."""
    for agent in agents:
        granted = agent.list_granted(ceiling)
        if not agent.profile.ssh.is_pinned:
            yield from _find_unpinned_ssh(agent, granted)
        if agent.profile.ssh.is_pinned and {"git", BROKER} & set(granted):
            yield from _find_shared_hosts(agent)
        if _reaches_any(granted) and not agent.profile.git.is_pinned:
            yield Finding(
                agent.profile_file,
                "git",
                f"agent {agent.name} is unpinned: {BROKER} reaches all that your keys open",
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


def find_default_refs(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents whose profile does not say which refs a push may move."""
    quoted = "[" + ", ".join(f'"{each}"' for each in ANY_REFS) + "]"
    for agent in agents:
        if _reaches_any(agent.list_granted(ceiling)) and not agent.profile.git.names_refs:
            yield Finding(
                agent.profile_file,
                "git.refs",
                f"is not there, so that {agent.name} may push to {', '.join(DEFAULT_REFS)} only",
                f"for all branches and tags write in [git]: refs = {quoted}",
                name="remotes",
                is_note=True,
            )


def find_unseen_rules(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Find rules about git's remotes that git-remote cannot apply.

    A rule of `[deny]` without any effect is a fault instead (`find_contradictions`). The built-in
    module's are explained in its SECURITY.md.
    """
    for agent in agents:
        granted = agent.profile.granted(ceiling)
        narrowed, own = agent.profile.narrowed.get("git"), agent.modules.find("git")
        if "git" not in granted:
            # What the profile adds is a fault.
            narrowed = None
        module = narrowed or own
        if module is None or not (_lets_ask(module) if "git" in granted else BROKER in granted):
            continue
        rules = _list_unseen(module)
        if "git" in granted:
            # The others apply to git itself.
            rules = [rule for rule in rules if _VERBS & {*rule.split()}]
        if rules:
            source = agent.profile_file if narrowed is not None else module.source
            key = "deny.git" if narrowed is not None else ""
            problem = f"{_name_rules(rules)} no effect on {BROKER}, which sees refs, not flags"
            yield Finding(source, key, problem, USE_REFS, name="remotes")


def _find_vain_rules(agent: Agent, granted: Collection[str]) -> Iterator[Fault]:
    """Find rules of `[deny] git` without effect, since the agent has git-remote alone."""
    narrowed = agent.profile.narrowed.get("git")
    if narrowed is None or BROKER not in granted or "git" in granted:
        return
    kept = set(_list_unseen(agent.modules.find("git")))
    if rules := [rule for rule in _list_unseen(narrowed) if rule not in kept]:
        problem = f"{_name_rules(rules)} no effect: {BROKER} sees refs, not flags"
        yield Fault(agent.profile_file, "deny.git", problem, USE_REFS)


def _list_unseen(module: Module | None) -> list[str]:
    """A git module's rules that match no git-remote request, without the built-in's."""
    if module is None:
        return []
    builtin = set(list_unseen(load_builtin("git").rules))
    return [rule for rule in list_unseen(module.rules) if rule not in builtin]


def _name_rules(rules: Sequence[str]) -> str:
    shown = ", ".join(quote(rule, limit=60) for rule in rules[:3])
    return f"{shown}{', ...' if len(rules) > 3 else ''} {'has' if len(rules) == 1 else 'have'}"


def find_own_keys(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents whose commits the human's own key signs."""
    for agent in agents:
        grant = agent.profile.sign
        if SIGNER in agent.list_granted(ceiling) and (grant is None or grant.key is None):
            yield Finding(
                agent.profile_file,
                "sign.key",
                f"is not there, so that commits of {agent.name} are signed as your own",
                'name a key for agents in [sign], so that readers can tell: key = "~/.ssh/agents"',
                name="remotes",
                is_note=True,
            )


def find_git_on_host(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Finding]:
    """Note the agents that use this host's git, and what that means."""
    for agent in agents:
        module = agent.list_granted(ceiling).get("git")
        if module is None:
            continue
        sandboxed = "sandboxed, with the host's programs" if module.wants_box else "without a box"
        yield Finding(
            agent.profile_file,
            "commands",
            f"git and its hooks run on this host, {sandboxed}",
            f'for images that have git, grant commands = ["{BROKER}"] instead',
            name="remotes",
            is_note=True,
        )


def find_unasked(agents: Iterable[Agent], ceiling: Sequence[str]) -> Iterator[Fault]:
    """Find modules whose boxes may use git-remote if it is not enabled or granted."""
    for agent in agents:
        granted = agent.list_granted(ceiling)
        if SIGNER not in granted:
            for module in filter(_lets_sign, granted.values()):
                problem = f"the profile of {agent.name} does not grant {SIGNER}, or it is disabled"
                remedy = f'add "{SIGNER}" to commands there, or remove "sign"'
                yield Fault(module.source, "sandbox.brokers", f"has no effect: {problem}", remedy)
        if BROKER not in ceiling:
            problem = f'"{BROKER}" is not enabled in config.toml'
            remedy = "enable it there, beside the command, or remove this"
        elif {"git", BROKER}.isdisjoint(granted):
            problem = f"the profile of {agent.name} grants neither git nor {BROKER}"
            remedy = f'add "{BROKER}" to commands there, or remove this'
        else:
            continue
        for module in filter(_lets_ask, granted.values()):
            yield Fault(module.source, "sandbox.brokers", f"has no effect: {problem}", remedy)


def _reaches_any(granted: Mapping[str, Module]) -> bool:
    return BROKER in granted or _asks(granted)


def _asks(granted: Mapping[str, Module]) -> bool:
    """Whether git runs in a box that reaches its remotes.

    Another command's box reaches them only if the profile grants git.
    """
    return "git" in granted and _lets_ask(granted["git"])


def grants_git(grant: Grant) -> bool:
    """Whether an agent may use git's remotes at all, through git or git-remote."""
    return grant.grants("git") or grant.grants(BROKER)


def grants_relayed(grant: Grant, command: str) -> bool:
    """Whether an agent is granted what its boxes may request as `command`."""
    return grants_git(grant) if command == BROKER else grant.grants(command)


def _lets_ask(module: Module) -> bool:
    """Whether a module's owner lets its box use git's remotes.

    Granting the built-in terraform, for example, says nothing about remotes.
    """
    has_said = not module.builtin or module.name == "git"
    return has_said and module.sandbox is not None and "git" in module.sandbox.brokers


def _lets_sign(module: Module) -> bool:
    """As `_lets_ask`, for signatures; git, or an override of it, has them by default."""
    return module.name != "git" and module.sandbox is not None and "sign" in module.sandbox.brokers


def reaches_remotes(module: Module) -> bool:
    """Whether a command of `module` is git-remote, or uses it from its box."""
    return module.name == BROKER or _lets_ask(module)


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
