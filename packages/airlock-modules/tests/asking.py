"""What the built-in modules decide."""

from airlock_modules import Decision, Grant, builtin_names, evaluate, load_builtin

GRANT = Grant(
    ceiling=builtin_names(), modules={name: load_builtin(name) for name in builtin_names()}
)
"""All built-in modules."""


def ask(command: str, *args: str) -> Decision:
    """Return what the built-in module of the command decides."""
    return evaluate(GRANT, command, args)
