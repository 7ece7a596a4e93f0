"""Findings of `check` about APIs: missing credentials, tokens with wide access."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.apis import PLACEHOLDERS, find_apis
from airlock_daemon.setup.files import Finding
from airlock_daemon.setup.programs import Programs
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets
from airlock_daemon.setup.trust import find_file_problem
from airlock_daemon.setup.trusted_command import find_command_problem

if TYPE_CHECKING:
    from airlock_modules.apis import Api, Client
    from airlock_modules.apis.aws import Grant


def find_api_oddities(
    agents: Iterable[Agent], ceiling: Sequence[str], state: State, search_path: str
) -> Iterator[Finding]:
    """Find missing credentials, tokens with wide access, and presets that allow data out."""
    agents = tuple(agents)
    workspaces = tuple(mount.source for each in agents for mount in each.mounts)
    for agent in agents:
        source = agent.profile_file
        found = find_apis(agent, ceiling)
        used = {name for names, client in found.clients for name in names if _has_any(client)}
        for api in found.apis:
            written = _find_written(api, workspaces, search_path)
            if written is not None:
                yield Finding(source, f"{api.module}.credential", *written, name="api")
            missing = _find_missing(agent.name, api, state, search_path)
            # Tools such as package managers work without a credential.
            if missing is not None and api.name in used:
                yield Finding(source, f"{api.module}.credential", *missing, name="api")
            if api.repositories is not None:
                yield from _find_wide(source, api)
            if api.aws is not None:
                yield from _find_unusable(source, api.aws)
        if agent.profile.reached.presets:
            problem = "lets data out to whoever publishes a package or an extension there"
            remedy = "list the hosts that are needed, or grant npm and pypi, which only read"
            yield Finding(source, "network.allow", problem, remedy, name="api", is_note=True)


def _find_wide(source: str, api: "Api") -> Iterator[Finding]:
    """Find a token that reaches more than the repositories, or a grant of no repository."""
    key = f"{api.module}.repositories"
    words = () if api.credential is None else api.credential.source.words
    if not api.repositories:
        problem = "names no repository, and [git] push none at github.com: nothing can be read"
        yield Finding(source, key, problem, 'write repositories = ["OWNER/NAME"]', name="api")
    if api.wide:
        problem = "lets this agent use a token that reaches other repositories: GraphQL reads them"
        remedy = f"prefer a fine-grained token for these alone: airlock login {api.module}"
        yield Finding(source, f"{api.module}.wide", problem, remedy, name="api", is_note=True)
    elif words == ("gh", "auth", "token"):
        problem = (
            "is the token of gh auth login, which reaches all your repositories and is refused"
        )
        remedy = (
            f"make a fine-grained token for these alone (airlock login {api.module}, "
            f'credential = {{ stored = "{api.module}" }}), or write wide = true'
        )
        yield Finding(source, f"{api.module}.credential", problem, remedy, name="api")


def _find_unusable(source: str, grant: "Grant") -> Iterator[Finding]:
    """Find an `[aws]` table that grants nothing, as it lacks a profile or regions."""
    if grant.profile is None:
        remedy = 'write profile = "NAME", one of ~/.aws/config with few rights'
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.profile", problem, remedy, name="api")
    if not grant.regions:
        problem = "is missing, so that every call is refused"
        yield Finding(source, "aws.regions", problem, 'write regions = ["eu-west-1"]', name="api")


def _has_any(client: "Client") -> bool:
    """Whether tools get a placeholder, and so use the credential."""
    texts = (*client.env.values(), *client.files.values())
    return any(part in text for part in PLACEHOLDERS for text in texts)


def _find_written(
    api: "Api", workspaces: Sequence[str], search_path: str
) -> tuple[str, str] | None:
    """Return why a credential's file or program is not trusted, and a remedy; None if it is."""
    source = None if api.credential is None else api.credential.source
    if source is None or source.kind not in ("command", "file"):
        return None
    path = os.path.expanduser(source.words[0])
    if source.kind == "file":
        return find_file_problem(path, workspaces)
    program = Programs(search_path).find(path)
    if program is None:
        return None
    return find_command_problem(program, source.words[1:], workspaces)


def _find_missing(agent: str, api: "Api", state: State, search_path: str) -> tuple[str, str] | None:
    """Return what an API's credential lacks, and a remedy; None if nothing."""
    source = None if api.credential is None else api.credential.source
    if source is None:
        return None
    word = source.words[0]
    if source.kind == "stored" and Secrets(state).find(word, agent) is None:
        return f"no credential is stored for {word}", f"airlock login {word}"
    if source.kind == "file" and not os.path.exists(os.path.expanduser(word)):
        return f"{word} is not there", "create it, readable by you alone"
    if source.kind == "command" and Programs(search_path).find(os.path.expanduser(word)) is None:
        remedy = f'install it, or write [{api.module}] credential = {{ stored = "NAME" }}'
        return f'"{word}" is not an executable on the daemon\'s PATH', remedy
    return None
