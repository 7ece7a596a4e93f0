"""A tool that reaches APIs, none of which the profile grants."""

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.apis import name_table
from airlock_modules import Module


def refuse_ungranted(module: Module) -> Denied:
    """The refusal of its every call."""
    why = f"{module.name} reaches APIs, and this agent is granted none of its"
    how = f"write {name_table(module)} in its airlock.toml{AND_RELOAD}"
    if any(api.is_cluster for api in module.apis):
        # Its profile always names one, if only by default.
        why = f"{module.name} reaches a cluster, and that of this agent could not be read"
        how = "see why: airlock check"
    return Denied(why, layer="profile", rule="apis", hint=f"a person on the host can {how}")
