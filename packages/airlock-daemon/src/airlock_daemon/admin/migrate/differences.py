"""What changes for a person and cannot be migrated."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from airlock_daemon.admin.migrate.layout import Layout
from airlock_daemon.admin.toml_edit import edit, extend_array
from airlock_daemon.setup.generation import ANY_REFS, Modules, reaches_remotes
from airlock_daemon.setup.overrides import find_losses
from airlock_modules import DEFAULT_REFS, Module

RELEASED = ("aws", "docker", "git", "ssh", "terraform")
"""The built-in modules of all earlier releases."""

# Prefixes of variables that the tools of the built-in modules read.
_LOOKED_AT: Mapping[str, tuple[str, ...]] = {
    "aws": ("AWS_",),
    "docker": ("BUILDKIT_", "BUILDX_", "COMPOSE_", "DOCKER_"),
    "git": ("GIT_", "GCM_", "SSH_AUTH_SOCK"),
    "ssh": ("SSH_AUTH_SOCK",),
    "terraform": ("ARM_", "AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_", "TF_", "SSH_AUTH_SOCK"),
}


# How the built-in modules of this release differ from running the tool on the host.
_BOXED: Mapping[str, str] = {
    "aws": (
        "runs in a box without a key: each agent that has it needs [aws] with profile, regions and "
        "buckets in its airlock.toml, and its requests are judged: airlock show aws "
        "--security"
    ),
    "docker": (
        "reaches what the agent made itself, images that [docker] of its airlock.toml names, and "
        "its workspaces, and nothing else of your engine; it builds where [docker] names a "
        "builder: airlock show docker --security"
    ),
    "git": (
        "runs in a box with the workspace and without your keys; the daemon itself talks to its "
        "remotes"
    ),
    "terraform": (
        "runs in a box without a credential; providers and backends reach AWS where the agent has "
        "aws too: airlock show terraform --security"
    ),
}


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """An agent: its old and new names, its commands and variables, and its modules.

    `keeps_refs` says that its profile's `[git] refs` stays as it is.
    """

    before: str
    name: str
    commands: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    modules: Modules = Modules()
    keeps_refs: bool = False

    def needs_refs(self, enable: Sequence[str]) -> bool:
        """Whether pushes, with commands among `enable`, would be refused that were allowed."""
        found = map(self.modules.find, self.commands or enable)
        return not self.keeps_refs and any(each and reaches_remotes(each) for each in found)


def allow_any_ref(profile: str) -> str | None:
    """A profile with `[git] refs` for all branches and tags, the earlier default.

    None if it has that key, or a form that is not changed here.
    """

    def extend(text: str) -> str | None:
        if "refs" in tomllib.loads(text).get("git", {}):
            return None
        return extend_array(text, "git", "refs", ANY_REFS)

    try:
        changed = edit(profile, extend)
    except (ValueError, RecursionError, TypeError):
        # `check` reports what is wrong with it.
        return None
    return None if changed is None else changed.removesuffix("\n") + "\n"


def list_differences(
    agents: Sequence[Migrated],
    *,
    enable: Sequence[str],
    environment: Iterable[str],
    layout: Layout,
    has_hooks: bool,
) -> Iterator[str]:
    """Yield each difference as a line, for agents that may use the commands `enable`.

    `environment` are the names of the variables that the daemon would inherit.
    """
    for agent in agents:
        if agent.name != agent.before:
            yield (
                f'agent "{agent.before}" is called {agent.name}, since such characters are in no '
                f"name any more: its container has to mount sockets/{agent.name}"
            )
        if agent.needs_refs(enable):
            yield (
                f"agent {agent.name}: [git] refs of its airlock.toml lets it push to all branches "
                f"and tags, as before; without that line to {', '.join(DEFAULT_REFS)} only"
            )
        for command in agent.commands or enable:
            module = agent.modules.find(command)
            for name in agent.variables:
                if module is not None and name in module.strip:
                    yield (
                        f"agent {agent.name}: {name} of its profile does not reach {command} any "
                        "more: its module strips it, which wins now"
                    )
            if module is not None and module.broker == "ssh":
                yield (
                    f"agent {agent.name}: {command} enters no workspace, takes no -i, -F or -J, "
                    "and reaches a host of a private network or behind a jump host only where "
                    "[ssh] hosts of its airlock.toml names it; its key stands in ~/.ssh/config"
                )
    modules = _find_modules(agents, enable)
    yield from _list_boxed(modules)
    yield from _list_not_inherited(modules, environment, layout)
    if has_hooks:
        yield (
            "hooks start in their agent's directory, with PATH, HOME, USER and AIRLOCK_AGENT, and "
            "are ended after [hooks] timeout_s (30 s); one that fails refuses"
        )


def list_losses(agents: Sequence[Migrated], enable: Sequence[str]) -> Iterator[str]:
    """Yield what overrides lack of the built-in modules, which protect against more now."""
    shared = [agents[0].modules.shared] if agents else []
    for fault in find_losses([*shared, *(agent.modules.own for agent in agents)], enable):
        yield str(fault)


def _find_modules(agents: Sequence[Migrated], enable: Sequence[str]) -> tuple[Module, ...]:
    modules: dict[str, Module] = {}
    for command in enable:
        for module in (agent.modules.find(command) for agent in agents):
            if module is not None:
                modules[module.source] = module
    return tuple(modules.values())


def _list_boxed(modules: Sequence[Module]) -> Iterator[str]:
    at_home = sorted({module.name for module in modules if module.shows_home})
    if at_home:
        yield (
            f"{', '.join(at_home)}: runs in a box with your home, in which what it writes there is "
            "thrown away and no unix socket answers. A module that names no box is refused, so "
            '[sandbox] box = "home" is added; box = "none" there has it run as it did'
        )
    for module in modules:
        if module.builtin and module.name in _BOXED:
            yield f"{module.name} {_BOXED[module.name]}"


def _list_not_inherited(
    modules: Sequence[Module], environment: Iterable[str], layout: Layout
) -> Iterator[str]:
    names = sorted(environment)
    for module in modules:
        prefixes = _LOOKED_AT.get(module.name, ())
        lost = [name for name in names if name.startswith(prefixes) and name not in module.inherit]
        if lost and prefixes:
            yield (
                f"{module.name} does not inherit {', '.join(lost)} any more: what it needs "
                "belongs into [env] set of a profile or [env] inherit of an override"
            )
    others = [module.name for module in modules if module.name not in RELEASED]
    if others:
        yield (
            f"{', '.join(others)}: the daemon's variables are not inherited any more but for PATH, "
            f"HOME and their like; {layout} passed on all: list what is needed in [env] inherit"
        )
