"""A tool that reaches APIs, none of which the profile grants."""

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_modules import Module


def name_table(module: Module) -> str:
    """What a person has to write to grant an API of `module`."""
    has_keys = any(api.aws is not None for api in module.apis)
    lines = ' with profile = "NAME" and regions = ["eu-west-1"]' if has_keys else ""
    return f"[{module.name}]{lines}"


def refuse_ungranted(module: Module) -> Denied:
    """The refusal of its every call."""
    return Denied(
        f"{module.name} reaches APIs, and this agent is granted none of its",
        layer="profile",
        rule="apis",
        hint=f"a person on the host can write {name_table(module)} in its airlock.toml{AND_RELOAD}",
    )
