"""A tool that reaches APIs, none of which the profile grants."""

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.apis import name_table
from airlock_modules import Module


def refuse_ungranted(module: Module) -> Denied:
    """The refusal of its every call."""
    return Denied(
        f"{module.name} reaches APIs, and this agent is granted none of its",
        layer="profile",
        rule="apis",
        hint=f"a person on the host can write {name_table(module)} in its airlock.toml{AND_RELOAD}",
    )
