"""The docker engine to which a box leads: the human's, or that of the agent's profile."""

from collections.abc import Mapping, Sequence

from airlock_daemon.brokers.docker.endpoint import find_engine
from airlock_daemon.sandbox.client_files import leads_through
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module


def choose_engine(
    module: Module,
    generation: Generation,
    environment: Mapping[str, str],
    written: Sequence[str],
) -> str:
    """The host's path of its socket, "" for a module that wants none.

    `environment` is the daemon's. No engine is found by way of the directories that are `written`
    by agents, who could have one of their own there, and read the logins that are sent to it, or
    choose any socket of the host. Raises Denied (rule "engine").
    """
    if module.sandbox is None or not module.sandbox.has_engine:
        return ""
    variables = {**environment, **generation.agent.profile.env}
    return find_engine(variables, module.source, lambda path: leads_through(path, written))
