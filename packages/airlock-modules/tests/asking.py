"""Decisions of the built-in modules."""

from airlock_modules import Decision, Grant, builtin_names, evaluate, load_builtin

GRANT = Grant(
    ceiling=builtin_names(), modules={name: load_builtin(name) for name in builtin_names()}
)
"""All built-in modules."""


def ask(command: str, *args: str) -> Decision:
    """Return the decision of the command's built-in module."""
    return evaluate(GRANT, command, args)
